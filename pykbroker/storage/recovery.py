"""Loading a partition's directory: after a clean stop quickly, after a crash with every check.

After a clean stop only the end of the last segment is looked at. After any other stop every batch
of the segments from the recovery point on is read and checked (CRC, magic, offsets), their indexes
and the producer state are rebuilt, and the log is cut at the first bad byte: a torn or zero-filled
tail is what a crash leaves (Kafka's `LogLoader`, `LogSegment.recover`).

The recovery point is what an fsync has confirmed. Damage before it is no torn tail but lost data:
it raises `DamagedLogError` and the log is left as it is.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.batch_scan import (
    DamagedSegmentError,
    find_old_message,
    scan_batches,
    scan_headers,
)
from pykbroker.storage.checkpoint import CheckpointFormatError, parse_leader_epochs
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.leader_epoch_cache import LeaderEpochCache
from pykbroker.storage.partition_files import DELETED_SUFFIX, LEADER_EPOCHS
from pykbroker.storage.producer_state import DamagedSnapshotError, ProducerStateManager
from pykbroker.storage.segment import (
    INDEX_SUFFIXES,
    LOG_SUFFIX,
    MAX_RELATIVE_OFFSET,
    OFFSET_INDEX_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    Segment,
    file_name,
)
from pykbroker.storage.segment_swap import recover_swaps
from pykbroker.storage.transaction_index import AbortedTransaction, aborted_by

_MAGIC: Final = 2
_OFFSET_DIGITS: Final = 20

_logger = logging.getLogger(__name__)


class DamagedLogError(Exception):
    """Records that were durable are damaged or gone; the log is refused and left as it is."""


@dataclass(slots=True)
class LoadedLog:
    """What a partition's directory holds.

    Attributes:
        segments: Oldest first, at least one.
        log_start_offset: First offset that may be read.
        recovery_point: Everything below is durable.
        epochs: The leader epochs.
        producers: State at the end of the log.
        snapshot_offsets: The producer snapshots that exist, ascending.
        cut_bytes: What was removed behind the last whole batch.
        are_epochs_saved: Whether the epochs are in their file as they are here.
        checked_from: Base offset of the first segment that recovery has read; None after a clean
            stop.
    """

    segments: list[Segment]
    log_start_offset: int = 0
    recovery_point: int = 0
    epochs: LeaderEpochCache = field(default_factory=LeaderEpochCache)
    producers: ProducerStateManager = field(default_factory=ProducerStateManager)
    snapshot_offsets: list[int] = field(default_factory=list)
    cut_bytes: int = 0
    are_epochs_saved: bool = True
    checked_from: int | None = None

    @property
    def log_end_offset(self) -> int:
        """The offset of the next record."""
        return self.segments[-1].next_offset

    @property
    def checked_segments(self) -> list[Segment]:
        """The segments that recovery has read; none after a clean stop."""
        first = self.checked_from
        return [s for s in self.segments if first is not None and s.base_offset >= first]


class LogLoader:
    """Loads one partition's directory.

    Args:
        files: The file system.
        directory: The partition's directory.
        config: The topic's settings.
        now_ms: Wall time.
        log_start_offset: From the checkpoint; 0 where it has none.
        recovery_point: From the checkpoint; 0 has everything checked.
        is_clean: Whether the last stop was clean, so that nothing need be checked.
        may_have_gaps: Whether the log may have been compacted although its topic is not.
        is_foreign: Whether somebody else wrote it, and nobody knows what was durable.
        on_checked: Told of the bytes of each batch that has been checked.
    """

    def __init__(
        self,
        files: FileLayer,
        directory: Path,
        config: TopicConfig,
        *,
        now_ms: int,
        log_start_offset: int = 0,
        recovery_point: int = 0,
        is_clean: bool = False,
        may_have_gaps: bool = False,
        is_foreign: bool = False,
        on_checked: Callable[[int], None] | None = None,
    ) -> None:
        self._files = files
        self._directory = directory
        self._config = config
        self._now_ms = now_ms
        self._log_start_offset = log_start_offset
        self._recovery_point = recovery_point
        self._is_clean = is_clean
        self._check_from = recovery_point
        self._may_have_gaps = may_have_gaps or is_foreign or config.is_compacted
        self._is_foreign = is_foreign
        self._on_checked = on_checked

    def load(self) -> LoadedLog:
        """Open the segments, recover what needs it, restore epochs and producers.

        Raises:
            DamagedLogError: There is damage before the recovery point.
            OSError: The disk failed.
        """
        sizes = self._list_files()
        bases = sorted(_offset_of(n, LOG_SUFFIX) for n in sizes if n.endswith(LOG_SUFFIX))
        segments = [self._open_segment(base, sizes) for base in bases]
        if not segments:
            segments = [self._new_segment()]
        self._drop_deleted(segments)
        for segment, following in pairwise(segments):
            segment.next_offset = following.base_offset
        loaded = LoadedLog(segments)
        try:
            self._find_end(loaded, sizes)
            self._restore(loaded, sizes)
        except DamagedSegmentError as error:
            raise self._refusal(error) from error
        return loaded

    def _restore(self, loaded: LoadedLog, sizes: dict[str, int]) -> None:
        """Find the offsets, the leader epochs and the producers of a log whose end is known."""
        if loaded.log_end_offset < self._log_start_offset:
            self._begin_anew(loaded)
        end, base_offset = loaded.log_end_offset, loaded.segments[0].base_offset
        loaded.log_start_offset = min(max(self._log_start_offset, base_offset), end)
        loaded.recovery_point = min(self._recovery_point, end)
        self._load_epochs(loaded)
        self._load_producers(loaded, sizes)

    def _begin_anew(self, loaded: LoadedLog) -> None:
        """Drop records that were deleted before they were durable: the log starts behind them."""
        _logger.warning(
            "log begun anew path=%s end_offset=%d log_start_offset=%d",
            self._directory, loaded.log_end_offset, self._log_start_offset,
        )  # fmt: skip
        self._remove(loaded.segments)
        loaded.segments[:] = [self._new_segment()]
        loaded.checked_from = loaded.log_end_offset

    def _remove(self, segments: list[Segment]) -> int:
        """Remove segments for good, and return how many bytes they had.

        Synced, for with the next records their offsets are given to others.
        """
        for segment in segments:
            for path in segment.existing_paths():
                self._files.remove(path)
        self._files.sync_path(self._directory)
        return sum(segment.size_bytes for segment in segments)

    def _drop_deleted(self, segments: list[Segment]) -> None:
        """Remove what was deleted before the crash; a power cut may undo the removal, in part."""
        deleted = 0
        while deleted + 1 < len(segments) and (
            segments[deleted + 1].base_offset <= self._log_start_offset
        ):
            deleted += 1
        if deleted:
            self._remove(segments[:deleted])
            del segments[:deleted]

    def _list_files(self) -> dict[str, int]:
        """Return name -> size of the files, without what an interrupted deletion left."""
        sizes = self._scan_sizes()
        try:
            if recover_swaps(self._files, self._directory, sizes):
                sizes = self._scan_sizes()
        except DamagedSegmentError as error:
            raise self._refusal(error) from error
        for name in list(sizes):
            dot = name.rfind(".")
            suffix = name[dot:]
            is_orphan = suffix in INDEX_SUFFIXES and name[:dot] + LOG_SUFFIX not in sizes
            if is_orphan or suffix in (DELETED_SUFFIX, ".tmp"):
                self._files.remove(self._directory / name)
                del sizes[name]
        return sizes

    def _scan_sizes(self) -> dict[str, int]:
        with os.scandir(self._directory) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}

    def _open_segment(self, base_offset: int, sizes: dict[str, int]) -> Segment:
        stem = file_name(base_offset, "")
        return Segment(
            self._files,
            self._directory,
            base_offset,
            size_bytes=sizes[stem + LOG_SUFFIX],
            index_sizes=(
                sizes.get(stem + OFFSET_INDEX_SUFFIX),
                sizes.get(stem + TIME_INDEX_SUFFIX),
            ),
            max_index_bytes=self._config.segment_index_bytes,
            index_interval_bytes=self._config.index_interval_bytes,
            created_ms=self._now_ms,
        )

    def _new_segment(self) -> Segment:
        return new_segment(
            self._files, self._directory, self._log_start_offset, self._config, self._now_ms
        )

    def _find_end(self, loaded: LoadedLog, sizes: dict[str, int]) -> None:
        """Find where the log ends, recovering what may have been torn."""
        # Which transactions were aborted can be told only by reading the segment.
        damaged = [
            segment.base_offset
            for segment in loaded.segments
            if file_name(segment.base_offset, TRANSACTION_INDEX_SUFFIX) in sizes
            and segment.transaction_index.is_damaged(segment.base_offset, _end_of(segment, loaded))
        ]
        self._check_from = min([self._recovery_point, *damaged])
        if self._is_clean and not damaged:
            try:
                loaded.segments[-1].load_tail()
                if loaded.log_end_offset >= self._recovery_point:
                    _mark_flushed(loaded.segments)
                    return
            except DamagedSegmentError as error:
                _logger.warning("log damaged after clean stop path=%s reason=%s", error.path, error)
        self._recover(loaded)
        if loaded.log_end_offset < self._recovery_point and self._files.fsync_enabled:
            raise DamagedLogError(
                f"{self._directory} ends at offset {loaded.log_end_offset}, but everything up to "
                f"{self._recovery_point} had been made durable"
            )

    def _recover(self, loaded: LoadedLog) -> None:
        """Check every batch from the recovery point's segment on; cut at the first bad one."""
        segments = loaded.segments
        first = _first_to_check(segments, self._check_from)
        _mark_flushed(segments[:first])
        loaded.checked_from = segments[first].base_offset
        for index, segment in enumerate(segments[first:], first):
            following = segments[index + 1] if index + 1 < len(segments) else None
            try:
                file_bytes = segment.start_rebuild()
                self._check_batches(segment, file_bytes, following)
            except DamagedSegmentError as error:
                if segment.next_offset < self._recovery_point and self._files.fsync_enabled:
                    raise
                self._refuse_old_messages(segment, error)
                if self._is_foreign and following is not None:
                    raise
                cut_bytes = file_bytes - segment.size_bytes
                # First, or with the torn end gone nothing would tell that they must go too.
                cut_bytes += self._remove(segments[index + 1 :])
                _logger.warning(
                    "log cut path=%s position=%d cut_bytes=%d end_offset=%d reason=%s",
                    segment.path, segment.size_bytes, cut_bytes, segment.next_offset, error.reason,
                )  # fmt: skip
                segment.truncate(segment.size_bytes)
                segment.save_indexes()
                self._files.sync(segment.handle)
                loaded.cut_bytes = cut_bytes
                del segments[index + 1 :]
                return
            if file_bytes:
                segment.save_indexes()

    def _check_batches(self, segment: Segment, file_bytes: int, following: Segment | None) -> None:
        path = segment.path
        is_dense = True
        batches = scan_batches(segment.handle, path, 0, file_bytes) if file_bytes else ()
        for position, batch in batches:
            reason = _fault_of(batch, segment, following is None and not self._is_foreign)
            if reason is not None:
                raise DamagedSegmentError(path, position, reason)
            is_dense &= batch.base_offset == segment.next_offset
            segment.note(position, batch.size_bytes, batch.last_offset, batch.max_timestamp)
            if self._on_checked is not None:
                self._on_checked(batch.size_bytes)
        if following is None or following.base_offset == segment.next_offset:
            return
        # A power cut may keep the beginning of one segment and of the next, and lose what was
        # between. Where compaction was at work gaps are no fault.
        if is_dense and not self._may_have_gaps:
            raise DamagedSegmentError(
                path,
                file_bytes,
                f"offset {following.base_offset} comes after {segment.next_offset - 1}",
            )

    @staticmethod
    def _refuse_old_messages(segment: Segment, error: DamagedSegmentError) -> None:
        """Raise where what cannot be read is no damage, but older than what can be read."""
        file_bytes = os.fstat(segment.handle.fd).st_size
        magic = find_old_message(segment.handle, error.position, file_bytes)
        if magic is not None:
            raise DamagedLogError(
                f"{error.path} holds messages of format {magic} from byte {error.position} on, as "
                "Kafka wrote them before 0.11; only format 2 can be read. The log was not cut. "
                "Copy the topic with a Kafka that knows both, or move the partition's directory "
                "away to go on without it."
            )

    def _refusal(self, error: DamagedSegmentError) -> DamagedLogError:
        reason = (
            "There are younger segments"
            if self._is_foreign
            else f"The records up to offset {self._recovery_point} had been made durable"
        )
        return DamagedLogError(
            f"{error}. {reason}, so this is lost data and not the torn end of a crash. The log was "
            "not changed. Restore the file, or move the partition's directory away to go on "
            "without it."
        )

    def _load_epochs(self, loaded: LoadedLog) -> None:
        """Read the leader epochs, and look for those that their file does not have."""
        saved = self._read_epochs()
        epochs = LeaderEpochCache(saved or ())
        epochs.truncate_from_end(loaded.log_end_offset)
        segments = loaded.segments
        if saved is not None:
            # A deletion may have reached this file, but not the segments.
            is_whole = bool(epochs.entries) and epochs.entries[0][1] <= loaded.log_start_offset
            if loaded.checked_from is None:
                segments = []
            elif is_whole:
                # What is flushed is flushed with its epochs; later ones are in the batches only.
                segments = loaded.checked_segments
            else:
                epochs = LeaderEpochCache()
        for segment in segments:
            if segment.is_unused:
                continue
            for header in scan_headers(segment.handle, segment.path, 0, segment.size_bytes):
                epochs.assign(header.leader_epoch, header.base_offset)
        epochs.truncate_from_start(loaded.log_start_offset)
        loaded.epochs = epochs
        loaded.are_epochs_saved = epochs.entries == (saved or [])

    def _read_epochs(self) -> list[tuple[int, int]] | None:
        try:
            return parse_leader_epochs((self._directory / LEADER_EPOCHS).read_bytes())
        except (FileNotFoundError, CheckpointFormatError):
            return None

    def _load_producers(self, loaded: LoadedLog, sizes: dict[str, int]) -> None:
        """Restore from the newest usable snapshot, then replay the log from there."""
        segments, checked_from = loaded.segments, loaded.checked_from
        # A snapshot behind what was checked may be of records that are not in the log any more.
        newest = loaded.log_end_offset if checked_from is None else checked_from
        offsets = sorted(
            _offset_of(name, SNAPSHOT_SUFFIX) for name in sizes if name.endswith(SNAPSHOT_SUFFIX)
        )
        # Batches below the log start offset count as long as they are there: their producers live.
        start = segments[0].base_offset
        for offset in reversed(offsets.copy()):
            path = self._directory / file_name(offset, SNAPSHOT_SUFFIX)
            try:
                if offset <= newest:
                    loaded.producers.load_snapshot(path.read_bytes())
                    start = max(start, offset)
                    break
            except DamagedSnapshotError as error:
                _logger.warning("snapshot removed path=%s reason=%s", path, error)
            self._files.remove(path)
            offsets.remove(offset)
        bases = {segment.base_offset for segment in segments}
        for offset in offsets[:-1]:
            if offset not in bases:  # left by an earlier stop
                self._files.remove(self._directory / file_name(offset, SNAPSHOT_SUFFIX))
                offsets.remove(offset)
        loaded.snapshot_offsets = offsets
        for segment in segments:
            is_checked = checked_from is not None and segment.base_offset >= checked_from
            if is_checked and checked_from != segment.base_offset not in offsets:
                self._save_snapshot(loaded, segment.base_offset)  # as the roll did
            aborted = replay(segment, loaded.producers, start)
            if is_checked:
                segment.transaction_index.replace(aborted)

    def _save_snapshot(self, loaded: LoadedLog, offset: int) -> None:
        path = self._directory / file_name(offset, SNAPSHOT_SUFFIX)
        self._files.replace_file(path, loaded.producers.encode_snapshot(), durable=False)
        loaded.snapshot_offsets.append(offset)


def _end_of(segment: Segment, loaded: LoadedLog) -> int:
    """Return an offset that no record of the segment reaches; that of the last one is unknown."""
    return 1 << 63 if segment is loaded.segments[-1] else segment.next_offset


def _first_to_check(segments: list[Segment], recovery_point: int) -> int:
    """Return the index of the segment that the recovery point is in."""
    return max((i for i, s in enumerate(segments) if s.base_offset <= recovery_point), default=0)


def _mark_flushed(segments: list[Segment]) -> None:
    for segment in segments:
        segment.flushed_bytes = segment.size_bytes


def new_segment(
    files: FileLayer, directory: Path, base_offset: int, config: TopicConfig, now_ms: int
) -> Segment:
    """Return an empty segment; its file is made when it is first used."""
    return Segment(
        files,
        directory,
        base_offset,
        max_index_bytes=config.segment_index_bytes,
        index_interval_bytes=config.index_interval_bytes,
        created_ms=now_ms,
    )


def replay(
    segment: Segment, producers: ProducerStateManager, start: int
) -> list[AbortedTransaction]:
    """Bring the producers from offset `start` to the end of a segment.

    Args:
        segment: What is replayed.
        producers: Their state at `start`, or at the start of the segment if that is later.
        start: The first offset that they do not know.

    Returns:
        The transactions whose abort marker was replayed.

    Raises:
        DamagedSegmentError: A batch, or the record in a marker, cannot be right.
    """
    aborted: list[AbortedTransaction] = []
    place = segment.locate(start) if segment.next_offset > start else None
    if place is None:
        return aborted
    batches = scan_batches(segment.handle, segment.path, place.position, segment.size_bytes)
    for position, batch in batches:
        try:
            completed = producers.record(batch) if batch.producer_id >= 0 else None
        except CorruptBatchError as error:
            raise DamagedSegmentError(segment.path, position, str(error)) from error
        if completed is not None and completed.is_aborted:
            aborted.append(aborted_by(completed, producers))
    return aborted


def _fault_of(batch: RecordBatch, segment: Segment, is_dense: bool) -> str | None:
    """Say what is wrong with a batch that should be next in `segment`, if anything."""
    if batch.magic != _MAGIC:
        return f"magic {batch.magic}"
    if not batch.is_crc_valid():
        return "CRC mismatch"
    # The checksum does not cover the base offset. Compaction leaves gaps, but never in our last
    # segment, where a gap is a flipped bit. A follower of Kafka has copied them into its own.
    if is_dense and batch.base_offset != segment.next_offset:
        return f"offset {batch.base_offset} instead of {segment.next_offset}"
    if batch.base_offset < segment.next_offset or batch.last_offset_delta < 0:
        return f"offset {batch.base_offset} after {segment.next_offset - 1}"
    if batch.last_offset - segment.base_offset > MAX_RELATIVE_OFFSET:
        return f"offset {batch.last_offset} does not belong to this segment"
    return None


def _offset_of(name: str, suffix: str) -> int:
    digits = name.removesuffix(suffix)
    if len(digits) != _OFFSET_DIGITS or not digits.isdecimal():
        raise DamagedLogError(f"{name!r} is no name of a file of a log")
    return int(digits)
