"""Checking one partition's directory: its segments in their order, and its small files.

What the data directory says is read before, and index files are opened before the log's size is
taken. So a broker that writes meanwhile can only make the log longer than the rest says, but for
what is at its end; see README.md for what is damage then.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Final

from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    parse_leader_epochs,
    parse_partition_metadata,
)
from pykbroker.storage.lenient_scan import BadBytes, open_for_reading, scan_all
from pykbroker.storage.log_names import parse_log_file_name
from pykbroker.storage.partition_files import LEADER_EPOCHS, PARTITION_METADATA
from pykbroker.storage.producer_state import DamagedSnapshotError, ProducerStateManager
from pykbroker.storage.segment import (
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    file_name,
)
from pykbroker.storage.verify.batches import BatchChecks
from pykbroker.storage.verify.findings import (
    Finding,
    Progress,
    Report,
    Severity,
    Summary,
    Surroundings,
)
from pykbroker.storage.verify.indexes import (
    OffsetIndexCheck,
    TimeIndexCheck,
    TransactionIndexCheck,
)

_PROGRESS_BYTES: Final = 8 << 20
_INDEX_SUFFIXES: Final = (OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX)

ADVICE_LOG: Final = (
    "Records in a .log file are damaged: copy the partition's directory away, then restore the file"
    " from a backup, or replay the records from where they came."
)
ADVICE_CUT: Final = (
    "Damage in a .log file beyond the recovery point: the next start cuts the log there and drops"
    " the whole batches behind it. Copy the partition's directory first if they are wanted."
)
ADVICE_INDEX: Final = (
    "Index files can be made anew from the .log file: stop the broker, remove the .index and"
    " .timeindex files of the segment, start it. A .txnindex comes from a backup only."
)
ADVICE_SNAPSHOT: Final = (
    "A damaged .snapshot file may be removed while the broker is stopped; it reads the log instead."
)
ADVICE_EPOCHS: Final = (
    "leader-epoch-checkpoint may be removed while the broker is stopped; pykbroker makes it anew"
    " from the log."
)
ADVICE_METADATA: Final = (
    "Restore partition.metadata with the topic's id, or the topic is not found."
)


def verify_partition(
    path: Path,
    surroundings: Surroundings,
    report: Report,
    progress: Progress,
    *,
    only_segment: int | None = None,
    state: str = "",
) -> Summary:
    """Check a partition's directory, or one segment of it.

    Args:
        path: The directory.
        surroundings: What the data directory says about it.
        report: Called with each finding as it is found.
        progress: Called as the log is read.
        only_segment: The base offset of the only segment to check; what is not about it is left
            out then.
        state: What its files have behind their names, such as `.deleted`.

    Raises:
        OSError: Something cannot be read.
    """
    check = _PartitionCheck(path, surroundings, report, progress, state)
    check.list_files(only_segment)
    if only_segment is None:
        check.check_metadata()
    check.walk()
    if only_segment is None:
        check.check_ends()
    return check.summary


class _PartitionCheck:
    def __init__(
        self,
        path: Path,
        surroundings: Surroundings,
        report: Report,
        progress: Progress,
        state: str,
    ) -> None:
        self._path = path
        self._state = state
        self._around = surroundings
        self._report = report
        self._progress = progress
        self._bases: list[int] = []
        self._snapshots: list[int] = []
        self._is_whole = self._is_last = True
        self._is_index_repairable = False
        self.summary = Summary(path)
        epochs = self._read_epochs()
        self._has_epochs = epochs is not None
        self._batches = BatchChecks(
            epochs,
            surroundings.log_start_offset or 0,
            is_compacted=surroundings.cleaned_offset is not None,
        )

    def _complain(
        self,
        path: Path,
        text: str,
        *,
        position: int | None = None,
        offset: int | None = None,
        advice: str = ADVICE_LOG,
        is_repaired: bool = False,
    ) -> None:
        if is_repaired:
            self.summary.warnings += 1
            severity = Severity.WARNING
            advice = ""
        else:
            self.summary.damage += 1
            severity = Severity.DAMAGE
        self._report(Finding(severity, path, text, position, offset, advice))

    def _complain_of_index(
        self, path: Path, text: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        is_repaired = self._is_index_repairable
        self._complain(
            path, text, position=position, offset=offset, advice=ADVICE_INDEX,
            is_repaired=is_repaired,
        )  # fmt: skip

    def _warn(
        self, path: Path, text: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        self._complain(path, text, position=position, offset=offset, is_repaired=True)

    def _file(self, offset: int, suffix: str) -> Path:
        return self._path / (file_name(offset, suffix) + self._state)

    def list_files(self, only_segment: int | None) -> None:
        """Find out which segments and snapshots there are, and judge the names."""
        sizes = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                name = parse_log_file_name(entry.name)
                if name is None or name.state in {".deleted", ".cleaned"} - {self._state}:
                    continue
                if name.offset is None:
                    self._complain(self._path / entry.name, "no name of a file of a log")
                elif name.state == self._state:
                    sizes[name.offset, name.suffix] = entry.stat().st_size
                elif name.state and only_segment is None:
                    text = "a compaction was interrupted while its result was put in place"
                    self._warn(self._path / entry.name, f"{text}; the next start finishes it")
        self._bases = sorted(offset for offset, suffix in sizes if suffix == LOG_SUFFIX)
        self._snapshots = sorted(offset for offset, suffix in sizes if suffix == SNAPSHOT_SUFFIX)
        if only_segment is not None:
            self._is_whole = False
            self._is_last = only_segment == max(self._bases, default=only_segment)
            self._bases = [base for base in self._bases if base == only_segment]
            self._snapshots = []
        for (offset, suffix), size_bytes in sorted(sizes.items()):
            is_index = suffix in _INDEX_SUFFIXES and size_bytes > 0
            is_wanted = only_segment in (None, offset)
            if is_index and is_wanted and (offset, LOG_SUFFIX) not in sizes:
                path = self._file(offset, suffix)
                self._complain(path, "the .log file of this index is missing", offset=offset)

    def _read_epochs(self) -> list[tuple[int, int]] | None:
        path = self._path / LEADER_EPOCHS
        if self._state:
            return None  # they may be of records that the log has no more
        try:
            return parse_leader_epochs(path.read_bytes())
        except FileNotFoundError:
            return None
        except CheckpointFormatError as error:
            self._complain(path, str(error), advice=ADVICE_EPOCHS)
            return []

    def check_metadata(self) -> None:
        """Check `partition.metadata`."""
        path = self._path / PARTITION_METADATA
        try:
            parse_partition_metadata(path.read_bytes())
        except FileNotFoundError:
            if self._bases:
                self._warn(path, "missing: which topic id the records belong to is not known")
        except CheckpointFormatError as error:
            self._complain(path, str(error), advice=ADVICE_METADATA)

    def walk(self) -> None:
        """Check all segments, and on the way the snapshots at their offsets."""
        for base_offset, following in pairwise([*self._bases, None]):
            assert base_offset is not None
            is_last = following is None and (self._is_whole or self._is_last)
            self._is_index_repairable = (
                self._around.is_known
                and not self._around.is_clean
                and (is_last or (following or 0) > self._around.recovery_point)
            )
            try:
                self._walk_segment(base_offset, is_last=is_last)
            except FileNotFoundError as error:
                text = "it vanished while it was looked at: by retention of a running broker?"
                self._warn(Path(error.filename), text, offset=base_offset)
        batches = self._batches
        self._check_snapshots_up_to(None)
        batches.finish(self._complain, self._path / LEADER_EPOCHS)
        self._judge_gaps()
        self.summary.batches = batches.batches
        self.summary.records = batches.records
        if batches.start_offset is not None:
            self.summary.start_offset = batches.start_offset
        self.summary.end_offset = self._end_offset

    @property
    def _end_offset(self) -> int:
        return max(self._batches.next_offset or 0, self._bases[-1] if self._bases else 0)

    def _walk_segment(self, base_offset: int, *, is_last: bool) -> None:
        path = self._file(base_offset, LOG_SUFFIX)
        offsets, times = self._open_indexes(base_offset)
        transactions_path = self._file(base_offset, TRANSACTION_INDEX_SUFFIX)
        aborted = TransactionIndexCheck(transactions_path, self._complain_of_index)
        handle = open_for_reading(path)
        size_bytes = os.fstat(handle.fd).st_size
        self.summary.segments += 1
        self.summary.size_bytes += size_bytes
        self._batches.on_segment(path, base_offset, self._complain)
        self._check_snapshots_up_to(base_offset)
        told = 0
        is_torn = False
        for found in scan_all(handle, size_bytes):
            if found.position - told > _PROGRESS_BYTES:
                self._progress(path, found.position - told)
                told = found.position
            if isinstance(found, BadBytes):
                is_torn = found.end == size_bytes
                self._judge_bad_bytes(path, found, is_tail=is_last and is_torn)
                if offsets is not None and times is not None:
                    offsets.on_bad_bytes(found.end)
                    times.on_bad_bytes()
                continue
            self._batches.check(
                path, base_offset, found.position, found.batch, self._complain, aborted
            )
            if offsets is not None and times is not None:
                offsets.on_batch(found.position, found.batch)
                times.on_batch(found.batch)
        self._progress(path, size_bytes - told)
        if is_torn:
            aborted.skip_to(1 << 63)
        if offsets is not None and times is not None:
            offsets.finish()
            times.finish(is_closed=not self._is_index_repairable)
        elif size_bytes and not self._is_index_repairable:
            text = "its indexes are missing"
            self._complain(path, text, offset=base_offset, advice=ADVICE_INDEX)
        aborted.finish()

    def _open_indexes(
        self, base_offset: int
    ) -> tuple[OffsetIndexCheck, TimeIndexCheck] | tuple[None, None]:
        offsets = self._file(base_offset, OFFSET_INDEX_SUFFIX)
        times = self._file(base_offset, TIME_INDEX_SUFFIX)
        try:
            return (
                OffsetIndexCheck(offsets, base_offset, self._complain_of_index, self._warn),
                TimeIndexCheck(times, base_offset, self._complain_of_index),
            )
        except FileNotFoundError:
            return None, None

    def _judge_bad_bytes(self, path: Path, bad: BadBytes, *, is_tail: bool) -> None:
        self._batches.on_bad_bytes()
        end_offset = self._batches.next_offset or 0
        text = f"{bad.reason}; {bad.end - bad.position} bytes"
        is_checked = self._around.is_checked_at_start(end_offset)
        if is_tail and is_checked:
            text += " behind the last whole batch: a running broker may be writing them, else"
            text += " the next start cuts them"
            self._warn(path, text, position=bad.position, offset=end_offset)
            return
        advice = ADVICE_CUT if is_checked else ADVICE_LOG
        text += " are no batch" + (", nothing but zeros" if bad.is_zeros else "")
        self._complain(path, text, position=bad.position, offset=end_offset, advice=advice)

    def _judge_gaps(self) -> None:
        gap = self._batches.first_gap
        if gap is None or self._batches.is_compacted:
            return
        times = self._batches.gaps
        text = f"offsets are missing from {gap.offset} on"
        if times > 1:
            text += f", and in {times - 1} more places"
        if self._around.is_known:
            text += ", but the log was never compacted"
            self._complain(gap.path, text, position=gap.position, offset=gap.offset)
        else:
            text += (
                ": compaction leaves such gaps; in a log that is not compacted, records are lost"
            )
            self._warn(gap.path, text, position=gap.position, offset=gap.offset)

    def _check_snapshots_up_to(self, offset: int | None) -> None:
        """Check the snapshots that are not newer than the segment that begins; None: all."""
        while self._snapshots and (offset is None or self._snapshots[0] <= offset):
            snapshot = self._snapshots.pop(0)
            path = self._file(snapshot, SNAPSHOT_SUFFIX)
            fault = self._fault_of_snapshot(
                path, snapshot, self._end_offset if offset is None else offset
            )
            if fault is not None:
                is_repaired = self._around.is_checked_at_start(snapshot)
                self._complain(
                    path, fault, offset=snapshot, advice=ADVICE_SNAPSHOT, is_repaired=is_repaired
                )

    def _fault_of_snapshot(self, path: Path, offset: int, reached: int) -> str | None:
        producers = ProducerStateManager()
        try:
            producers.load_snapshot(path.read_bytes())
        except FileNotFoundError:
            return None  # a running broker has replaced it
        except DamagedSnapshotError as error:
            return str(error)
        if offset > reached:
            return f"it is of offset {offset}, but the log ends at {reached}"
        for entry in producers.producers.values():
            last_offset = entry.batches[-1].last_offset if entry.batches else -1
            if max(last_offset, entry.transaction_first_offset or -1) >= offset:
                return f"producer {entry.producer_id} is at offset {last_offset}, beyond {offset}"
            # Elsewhere batches are missing, or it is an earlier stop's and the log has gone on.
            if offset == self._batches.next_offset:
                fault = self._batches.fault_of_producer(entry)
                if fault is not None:
                    return fault
        return None

    def check_ends(self) -> None:
        """Compare checkpoints with where the log ends."""
        end_offset = self._end_offset
        around = self._around
        epochs_path = self._path / LEADER_EPOCHS
        is_repaired = around.is_checked_at_start(end_offset)
        if not self._has_epochs and self._batches.latest_epoch >= 0:
            text = "missing, though the batches have leader epochs"
            self._complain(epochs_path, text, advice=ADVICE_EPOCHS, is_repaired=is_repaired)
        for epoch, start_offset in self._batches.epochs_beyond(end_offset):
            text = (
                f"epoch {epoch} starts at offset {start_offset}, but the log ends at {end_offset}"
            )
            self._complain(epochs_path, text, offset=start_offset, advice=ADVICE_EPOCHS,
                           is_repaired=is_repaired)  # fmt: skip
