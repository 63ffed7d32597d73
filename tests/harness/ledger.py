"""What a log was told, and what it must still hold after any fault.

`Ledger` appends to a log and keeps every batch as it must be on disk. `Promise` is what had been
acknowledged at some moment; `check` holds a log that was opened again against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.producer_state import AppendOrigin, ProducerEntry, ProducerStateManager
from pykbroker.storage.transaction_index import AbortedTransaction
from tests.harness.batches import NOW_MS
from tests.harness.logs import fetched


@dataclass(frozen=True)
class Promise:
    """What was acknowledged at some moment.

    Attributes:
        written: How many batches had been given to the log, the last one perhaps not acknowledged.
        kept_end: Everything below must be there.
        start: The log start offset that was asked for, perhaps not acknowledged.
        kept_start: The log start offset must not be below.
    """

    written: int
    kept_end: int
    start: int
    kept_start: int


@dataclass(frozen=True)
class _Expected:
    """What follows from the batches below some offset."""

    producers: dict[int, ProducerEntry]
    aborted: list[AbortedTransaction]
    first_unstable: int | None


class Ledger:
    """Everything that was appended to one log.

    Attributes:
        batches: As they must be on disk, in order.
        flushed_end: Up to where a flush has confirmed.
        start: See `Promise`.
        kept_start: See `Promise`.
    """

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        self.flushed_end = 0
        self.start = 0
        self.kept_start = 0
        self._expected: dict[int, _Expected] = {}

    @property
    def end(self) -> int:
        return self.batches[-1].last_offset + 1 if self.batches else self.start

    def append(self, log: PartitionLog, batch: RecordBatch, now_ms: int = NOW_MS) -> None:
        """Append to the log and here, or to neither and raise what the log did."""
        expected = RecordBatch.parse(bytearray(batch.data))
        expected.assign(log.log_end_offset, log.leader_epoch)
        self.batches.append(expected)
        origin = AppendOrigin.COORDINATOR if batch.is_control else AppendOrigin.CLIENT
        try:
            result = log.append(batch, now_ms, origin=origin)
        except KafkaError:
            self.batches.pop()
            raise
        assert not result.is_duplicate
        assert result.base_offset == expected.base_offset

    def flush(self, log: PartitionLog) -> None:
        end = log.log_end_offset
        log.flush()
        self.flushed_end = end

    def delete_records(self, log: PartitionLog, offset: int) -> None:
        self.start = max(self.start, offset)
        log.delete_records(offset, NOW_MS)

    def promise(self, log: PartitionLog | None = None, *, is_kill: bool = False) -> Promise:
        """What holds now.

        Args:
            log: Retention moves its start without being asked.
            is_kill: What the page cache holds is kept, so nothing may be lost.
        """
        start = self.start if log is None else max(self.start, log.log_start_offset)
        end = self.end if is_kill else self.flushed_end
        return Promise(len(self.batches), end, start, self.kept_start)

    def copy(self, promise: Promise) -> Ledger:
        """The ledger as it was when the promise was made."""
        ledger = Ledger()
        ledger.batches = self.batches[: promise.written]
        ledger.flushed_end, ledger.start = promise.kept_end, promise.start
        ledger.kept_start = promise.kept_start
        return ledger

    def cut(self, log: PartitionLog) -> None:
        """Go on with what is there after a fault."""
        self.batches = [b for b in self.batches if b.base_offset < log.log_end_offset]
        self._expected.clear()
        self.start = self.kept_start = log.log_start_offset
        self.flushed_end = log.log_end_offset

    def check(self, log: PartitionLog, promise: Promise) -> None:
        """The log holds what was promised, all of it is valid, and everything agrees with it."""
        start, end = log.log_start_offset, log.log_end_offset
        batches = self.batches[: promise.written]
        written_end = batches[-1].last_offset + 1 if batches else promise.start
        assert promise.kept_end <= end <= max(written_end, promise.start), (promise, log)
        assert promise.kept_start <= start <= promise.start, (promise, log)
        visible = [b for b in batches if b.last_offset >= start and b.base_offset < end > start]
        assert not visible or visible[-1].last_offset == end - 1, "half a batch"
        assert read_all(log) == b"".join(batch.data for batch in visible)
        for batch in visible:
            assert log.epoch_at(max(batch.base_offset, start)) == batch.partition_leader_epoch
        self._check_producers(log, end)
        _check_times(log, visible)

    def _check_producers(self, log: PartitionLog, end: int) -> None:
        first = log.segments[0].base_offset
        expected = self._expected.get(end)
        if expected is None:
            expected = self._expected[end] = _replay(
                [b for b in self.batches if b.base_offset < end]
            )
        for producer_id, entry in expected.producers.items():
            found = log.producers.producers.get(producer_id)
            if log.size_bytes and entry.batches and entry.batches[-1].last_offset >= first:
                assert found is not None, f"producer {producer_id} is forgotten"
                assert (found.epoch, found.last_sequence) == (entry.epoch, entry.last_sequence)
                assert found.batches[-1][:4] == entry.batches[-1][:4]  # the time may be a marker's
                if (
                    entry.transaction_first_offset is None
                    or entry.transaction_first_offset >= first
                ):
                    assert found.transaction_first_offset == entry.transaction_first_offset
        assert set(log.producers.producers) <= set(expected.producers), "who is that?"
        unstable = expected.first_unstable
        if unstable is None or unstable >= first:
            assert log.last_stable_offset == (
                end if unstable is None else max(unstable, log.log_start_offset)
            )
        # Where a transaction began below the first segment may be unknown after a power cut.
        cut_off = {a.last_offset for a in expected.aborted if a.first_offset < first}
        found_aborted = [a for s in log.segments for a in s.transaction_index.entries()]
        assert [a for a in found_aborted if a.last_offset not in cut_off] == [
            a for a in expected.aborted if a.last_offset not in cut_off
        ]


def read_all(log: PartitionLog) -> bytes:
    """The batches from the log start offset on, as a Fetch gets them."""
    data = b""
    position = log.log_start_offset
    while position < log.high_watermark:
        part = fetched(log, position)
        assert part, f"nothing at {position} of {log}"
        data += part
        rest = memoryview(part)
        while rest:
            batch = RecordBatch.parse(rest)
            assert batch.is_crc_valid()
            assert batch.base_offset <= position, f"nothing at {position} of {log}"
            position = batch.last_offset + 1
            rest = rest[batch.size_bytes :]
    return data


def _replay(batches: list[RecordBatch]) -> _Expected:
    producers = ProducerStateManager()
    aborted = []
    for batch in batches:
        completed = producers.record(batch) if batch.producer_id >= 0 else None
        if completed is not None and completed.is_aborted:
            aborted.append(
                AbortedTransaction(
                    completed.producer_id,
                    completed.first_offset,
                    completed.last_offset,
                    producers.last_stable_offset_after(completed),
                )
            )
    return _Expected(producers.producers, aborted, producers.first_unstable_offset)


def _check_times(log: PartitionLog, visible: list[RecordBatch]) -> None:
    start, end = log.log_start_offset, log.log_end_offset
    records = [r for b in visible for r in b.records(1 << 20) if r.offset >= start]
    if not records:
        return
    highest = max(record.timestamp for record in records)
    lowest = min(record.timestamp for record in records)
    for target in {highest, lowest, (highest + lowest) // 2, highest + 1}:
        expected = next((r.offset for r in records if r.timestamp >= target), None)
        found = log.offset_for_timestamp(target, end)
        assert (found.offset if found else None) == expected, target
    found = log.max_timestamp_offset(end)
    assert found is not None
    assert found.offset == next(r.offset for r in records if r.timestamp == highest)
