"""Checking the batches of a log in their order.

The checksum of a batch leaves out its base offset and leader epoch, so those are compared with
what is around: the batches before and behind, the leader epoch checkpoint, the producer snapshots.
"""

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import NO_LEADER_EPOCH, RecordBatch
from pykbroker.storage.control_records import ABORT, COMMIT, read_control_record
from pykbroker.storage.producer_state import ProducerEntry
from pykbroker.storage.segment import MAX_RELATIVE_OFFSET
from pykbroker.storage.verify.indexes import MAX_INFLATED_BYTES, Complain, TransactionIndexCheck

_EPOCH_POSITION: Final = 12
_ALL_OFFSETS: Final = 1 << 63


class _Place(NamedTuple):
    path: Path
    position: int
    offset: int


class BatchChecks:
    """The state of a walk over a log.

    Args:
        epochs: The leader epochs by their checkpoint, None where it cannot be used.
        log_start_offset: Below it the leader epochs are not known.
        is_compacted: Whether compaction may have removed records.

    Attributes:
        next_offset: Behind the last batch; None before the first segment.
        start_offset: Of the first batch, None before it.
        batches: How many were checked.
        records: How many are in them.
        latest_epoch: The largest leader epoch, or -1.
        first_gap: Where offsets are missing for the first time, and the first of them.
        gaps: How often offsets are missing.
        is_compacted: Whether there was a sign that compaction has removed records.
    """

    def __init__(
        self, epochs: Sequence[tuple[int, int]] | None, log_start_offset: int, *, is_compacted: bool
    ) -> None:
        self._epochs = epochs
        self._epoch_starts = [start for _, start in epochs or ()]
        self._log_start_offset = log_start_offset
        self._wrong_epochs = 0
        self._previous: tuple[_Place, int] | None = None  # and the offset expected before it
        self._is_after_damage = False
        self._saw_damage = False
        self._open: dict[int, int] = {}  # producer id -> first offset of its transaction
        self._last: dict[int, int] = {}  # producer id -> last offset
        self.next_offset: int | None = None
        self.start_offset: int | None = None
        self.batches = 0
        self.records = 0
        self.latest_epoch = -1
        self.first_gap: _Place | None = None
        self.gaps = 0
        self.is_compacted = is_compacted

    def on_segment(self, path: Path, base_offset: int, complain: Complain) -> None:
        """Note that the next batches are those of another segment."""
        if self.next_offset is None:
            self.next_offset = base_offset
        elif base_offset < self.next_offset:
            complain(
                path,
                f"the segment begins at offset {base_offset}, but the one before ends at"
                f" {self.next_offset}",
                offset=base_offset,
            )

    def on_bad_bytes(self) -> None:
        """Note that some batches cannot be read: how many offsets they had is not known."""
        self._is_after_damage = self._saw_damage = True

    def check(
        self,
        path: Path,
        base_offset: int,
        position: int,
        batch: RecordBatch,
        complain: Complain,
        aborted: TransactionIndexCheck,
    ) -> None:
        """Check the next batch.

        Args:
            path: The `.log` file.
            base_offset: Of the segment.
            position: Of the batch in the file.
            batch: It has a right checksum.
            complain: Where to say what is wrong.
            aborted: The segment's `.txnindex`.
        """
        self.batches += 1
        self.records += batch.record_count
        if self._are_offsets_possible(path, base_offset, position, batch, complain):
            self._check_order(_Place(path, position, batch.base_offset), batch, complain)
            self._check_epoch(path, position, batch, complain)
        self._check_records(path, position, batch, complain)
        if self._is_after_damage:
            aborted.skip_to(batch.base_offset)
            self._is_after_damage = False
        if batch.has_producer_id:
            self._note_producer(batch, aborted)

    def _are_offsets_possible(
        self, path: Path, base_offset: int, position: int, batch: RecordBatch, complain: Complain
    ) -> bool:
        text = ""
        if batch.last_offset_delta < 0 or batch.record_count > batch.last_offset_delta + 1:
            text = f"{batch.record_count} records cannot have {batch.last_offset_delta + 1} offsets"
        elif batch.base_offset < base_offset:
            text = f"offset {batch.base_offset} is below the segment's first, {base_offset}"
        elif batch.last_offset - base_offset > MAX_RELATIVE_OFFSET:
            text = f"offset {batch.last_offset} is too far from the segment's first, {base_offset}"
        if text:
            complain(path, text, position=position, offset=batch.base_offset)
        return not text

    def _check_order(self, place: _Place, batch: RecordBatch, complain: Complain) -> None:
        expected = self.next_offset if self.next_offset is not None else place.offset
        if self.start_offset is None:
            self.start_offset = place.offset
        if batch.record_count < batch.last_offset_delta + 1:
            self.is_compacted = True
        if place.offset < expected:
            self._complain_of_order(place, expected, complain)
        elif place.offset > expected and not self._is_after_damage:
            self.gaps += 1
            if self.first_gap is None:
                self.first_gap = _Place(place.path, place.position, expected)
        self._previous = place, expected
        self.next_offset = batch.last_offset + 1

    def _complain_of_order(self, place: _Place, expected: int, complain: Complain) -> None:
        if self._previous is not None:
            before, expected_before = self._previous
            if expected_before < before.offset and expected_before <= place.offset:
                # Too high for those before it and for this one: it is the one that is wrong.
                self.gaps -= 1
                if self.first_gap is not None and self.first_gap[:2] == before[:2]:
                    self.first_gap = None
                complain(
                    before.path,
                    f"offset {before.offset} stands where {expected_before} should: offset"
                    f" {place.offset} follows",
                    position=before.position,
                    offset=before.offset,
                )
                return
        complain(
            place.path,
            f"offset {place.offset} comes after {expected - 1}",
            position=place.position,
            offset=place.offset,
        )

    def _check_epoch(
        self, path: Path, position: int, batch: RecordBatch, complain: Complain
    ) -> None:
        epoch = batch.partition_leader_epoch
        if epoch == NO_LEADER_EPOCH:
            return
        text = ""
        if epoch < 0:
            text = f"impossible leader epoch {epoch}"
        elif self._epochs:
            known = {self._epoch_at(batch.base_offset), self._epoch_at(batch.last_offset)}
            if batch.base_offset < self._log_start_offset:
                known -= {-1}
            if known - {epoch}:
                wanted = " and ".join(str(each) for each in sorted(known - {epoch}))
                text = f"leader epoch {epoch}, but by the checkpoint of leader epochs {wanted}"
        elif epoch < self.latest_epoch:
            text = f"leader epoch {epoch} comes after {self.latest_epoch}"
        self.latest_epoch = max(self.latest_epoch, epoch)
        if text:
            self._wrong_epochs += 1
            if self._wrong_epochs == 1:
                at = position + _EPOCH_POSITION
                complain(path, text, position=at, offset=batch.base_offset)

    def _epoch_at(self, offset: int) -> int:
        slot = bisect_right(self._epoch_starts, offset)
        return self._epochs[slot - 1][0] if self._epochs and slot else -1

    def _check_records(
        self, path: Path, position: int, batch: RecordBatch, complain: Complain
    ) -> None:
        if not batch.record_count and not batch.payload:
            return  # compaction has left the header alone
        try:
            facts = batch.check_records(MAX_INFLATED_BYTES)
            if facts.offsets_are_dense and batch.record_count == batch.last_offset_delta + 1:
                return
            last_offset = batch.base_offset - 1
            for record in batch.records(MAX_INFLATED_BYTES):
                if not last_offset < record.offset <= batch.last_offset:
                    raise CorruptBatchError(f"offset {record.offset} comes after {last_offset}")
                last_offset = record.offset
        except CorruptBatchError as error:
            complain(path, f"records: {error}", position=position, offset=batch.base_offset)

    def _note_producer(self, batch: RecordBatch, aborted: TransactionIndexCheck) -> None:
        producer_id = batch.producer_id
        if not batch.is_control:
            self._last[producer_id] = batch.last_offset
            if batch.is_transactional and batch.record_count:
                self._open.setdefault(producer_id, batch.base_offset)
            return
        kind = _marker_of(batch)
        if kind not in (ABORT, COMMIT):
            return
        first_offset = self._open.pop(producer_id, None)
        if kind == ABORT:
            stable_offset = min(self._open.values(), default=batch.last_offset + 1)
            aborted.on_abort(
                producer_id,
                batch.last_offset,
                first_offset,
                stable_offset,
                start_offset=self._seen_from,
            )

    @property
    def _seen_from(self) -> int:
        """From which offset on every batch that was ever written has been seen."""
        is_all = not (self.is_compacted or self._saw_damage or self.gaps)
        return self.start_offset if is_all and self.start_offset is not None else _ALL_OFFSETS

    def fault_of_producer(self, entry: ProducerEntry) -> str | None:
        """Say what is wrong with a snapshot's entry at `next_offset`, if anything."""
        last_offset = entry.batches[-1].last_offset if entry.batches else -1
        first_offset = entry.transaction_first_offset
        seen_from = self._seen_from
        if last_offset >= seen_from:
            seen = self._last.get(entry.producer_id, -1)
            if seen != last_offset:
                return f"producer {entry.producer_id} wrote up to offset {seen}, not {last_offset}"
            opened = self._open.get(entry.producer_id)
            if opened != first_offset and (first_offset or 0) >= seen_from:
                return f"producer {entry.producer_id} has no transaction from {first_offset} on"
        return None

    def epochs_beyond(self, end_offset: int) -> list[tuple[int, int]]:
        """Return the leader epochs that start beyond an offset."""
        return [(epoch, start) for epoch, start in self._epochs or () if start > end_offset]

    def finish(self, complain: Complain, epochs_path: Path) -> None:
        """Note that the walk is over."""
        if self._wrong_epochs > 1:
            complain(epochs_path, f"{self._wrong_epochs - 1} more batches do not agree with it")


def _marker_of(batch: RecordBatch) -> str | None:
    try:
        for record in batch.records(MAX_INFLATED_BYTES):
            control = read_control_record(record)
            return control.name if control is not None else None
    except CorruptBatchError:
        pass  # reported with its records
    return None
