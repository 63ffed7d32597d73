"""Transactions in a log against a model: what a consumer of committed records sees, and how far.

The consumer does what clients do: it fetches pieces of the log, and leaves out the records of the
aborted transactions that each answer lists, up to their markers.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.record_batch import iter_batches
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.transaction_index import AbortedTransaction
from tests.harness.batches import NOW_MS, a_record
from tests.harness.committed import Transactional, with_skips
from tests.harness.logs import a_log, append, crashed, error_code, reopened

PRODUCERS = st.integers(1, 4)
DATA_BYTES = 1 << 20


class Event(NamedTuple):
    """A batch that was appended: of plain records, of a transaction, or a marker."""

    first: int
    last: int
    number: int | None = None  # of the producer
    epoch: int = 0
    next_sequence: int = 0
    is_commit: bool | None = None  # None for data


class TransactionsMachine(RuleBasedStateMachine):
    """`events` is what was appended; the rest follows from it, see `apply`.

    `visible` are the offsets that are committed or were never part of a transaction. The value of
    each record is its offset.
    """

    log: PartitionLog

    @initialize(
        segment_bytes=st.sampled_from([200, 500, 10_000]),
        index_interval_bytes=st.sampled_from([0, 100, 4096]),
    )
    def open(self, segment_bytes: int, index_interval_bytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="transactions-model-"))
        self.log = a_log(
            self.path, segment_bytes=segment_bytes, index_interval_bytes=index_interval_bytes
        )
        self.events: list[Event] = []
        self.start = self.durable_end = 0
        self.rebuild()

    def rebuild(self) -> None:
        """Find out from the events how things stand."""
        self.producers = {number: Transactional(number) for number in range(1, 5)}
        self.open_offsets: dict[int, list[int]] = {number: [] for number in self.producers}
        self.visible: set[int] = set()
        self.aborted: list[tuple[int, int, int]] = []
        self.end = 0
        for event in self.events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in what one batch means."""
        offsets = range(event.first, event.last + 1)
        self.end = event.last + 1
        if event.number is None:
            self.visible.update(offsets)
            return
        producer = self.producers[event.number]
        producer.epoch, producer.sequence = event.epoch, event.next_sequence
        if event.is_commit is None:
            self.open_offsets[event.number] += offsets
            return
        written, self.open_offsets[event.number] = self.open_offsets[event.number], []
        if event.is_commit:
            self.visible.update(written)
        elif written:
            self.aborted.append((producer.id, written[0], event.last))

    def note(self, event: Event) -> None:
        """Take in a batch that was appended now."""
        self.events.append(event)
        self.apply(event)

    # What producers and their coordinator do

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        self.note(Event(*self._write(count)))

    @rule(number=PRODUCERS, count=st.integers(1, 3))
    def append_in_transaction(self, number: int, count: int) -> None:
        producer = self.producers[number]
        written = self._write(count, **producer.header())
        self.note(Event(*written, number, producer.epoch, producer.sequence + count))
        assert self.log.has_open_transaction(producer.id, producer.epoch)

    def _write(self, count: int, **header: Any) -> tuple[int, int]:
        records = [a_record(value=b"%d" % (self.end + n)) for n in range(count)]
        result = append(self.log, records=records, **header)
        assert result[:2] == (self.end, self.end + count - 1)
        return result[:2]

    @rule(number=PRODUCERS, is_commit=st.booleans(), version=st.integers(1, 2))
    def end_transaction(self, number: int, is_commit: bool, version: int) -> None:
        """A marker may also come twice, or where nothing was written."""
        producer = self.producers[number]
        if version == 2:
            producer.begin_epoch()
        self.log.append_marker(
            producer.id,
            producer.epoch,
            is_commit=is_commit,
            coordinator_epoch=0,
            now_ms=NOW_MS,
            transaction_version=version,
        )
        end = self.end
        self.note(Event(end, end, number, producer.epoch, producer.sequence, is_commit))

    @precondition(lambda self: any(self.open_offsets.values()))
    @rule()
    def end_with_a_stale_marker(self) -> None:
        number = next(number for number, offsets in self.open_offsets.items() if offsets)
        producer = self.producers[number]
        code = error_code(
            lambda: self.log.append_marker(
                producer.id,
                producer.epoch,
                is_commit=False,
                coordinator_epoch=0,
                now_ms=NOW_MS,
                transaction_version=2,
            )
        )
        assert code == ErrorCode.INVALID_PRODUCER_EPOCH

    # What happens to the log

    @rule()
    def roll(self) -> None:
        self.log.roll(NOW_MS)

    @rule(fraction=st.floats(0, 1))
    def delete_records(self, fraction: float) -> None:
        """Also in the midst of a transaction, and of one that is open."""
        self.start += int((self.end - self.start) * fraction)
        self.log.delete_records(self.start, NOW_MS)

    @rule(retention_bytes=st.integers(0, 1000))
    def retain(self, retention_bytes: int) -> None:
        """Segments go whatever is open in them."""
        config = self.log.config
        self.log.reconfigure(replace(config, retention_bytes=retention_bytes))
        self.log.apply_retention(NOW_MS)
        self.log.reconfigure(config)
        assert self.log.log_start_offset >= self.start
        self.start = self.log.log_start_offset

    @rule()
    def flush(self) -> None:
        self.log.flush()
        self.durable_end = self.end

    @rule()
    def close_idle_files(self) -> None:
        self.log.release_idle_files()
        self.log.release_idle_files()

    @rule()
    def stop_and_start(self) -> None:
        self.log = reopened(self.log)
        self.durable_end = self.end

    @rule()
    def kill_and_start(self) -> None:
        self.log = crashed(self.log)

    @precondition(lambda self: self.start <= self.durable_end < self.end)
    @rule(lost=st.integers(1, 300))
    def lose_power_and_start(self, lost: int) -> None:
        """The end of the file is gone, as far back as the last fsync allows."""
        segment = self.log.segments[-1]
        self.log.abandon()
        if segment.base_offset >= self.durable_end and segment.path.exists():
            data = segment.path.read_bytes()
            segment.path.write_bytes(data[: max(len(data) - lost, 0)])
        self.log = crashed(self.log)
        end = self.log.log_end_offset
        assert self.durable_end <= end <= self.end
        assert self.log.log_start_offset == self.start
        self.events = [event for event in self.events if event.last < end]
        self.rebuild()
        assert self.end == end

    # What must hold

    @invariant()
    def open_transactions_hold_the_last_stable_offset(self) -> None:
        first = [offsets[0] for offsets in self.open_offsets.values() if offsets]
        expected = max(min(first), self.start) if first else self.end
        log = self.log
        assert (log.log_start_offset, log.log_end_offset) == (self.start, self.end)
        assert log.last_stable_offset == expected

    @rule(max_bytes=st.integers(1, 600), fraction=st.floats(0, 1))
    def consume(self, max_bytes: int, fraction: float) -> None:
        stable = self.log.last_stable_offset
        first = self.start + int((stable - self.start) * fraction)
        expected = {o: b"%d" % o for o in self.visible if first <= o < stable}
        assert dict(self._consumed(first, max_bytes)) == expected

    def _consumed(self, offset: int, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
        log = self.log
        while offset < log.last_stable_offset:
            read = log.read(
                offset, max_bytes, up_to=log.last_stable_offset, at_least_one_batch=True
            )
            assert read.slice is not None
            aborted = log.transactions.aborted
            listed = aborted.find(offset, aborted.upper_bound(read.slice, log.log_end_offset))
            batches = list(iter_batches(read.slice.read()))
            self._check_list(listed, offset, batches[-1].last_offset + 1)
            for batch, is_skipped in with_skips(batches, listed):
                if not is_skipped:
                    for record in batch.records(DATA_BYTES):
                        if record.offset >= offset:
                            yield record.offset, record.value
            offset = batches[-1].last_offset + 1

    def _check_list(self, listed: list[AbortedTransaction], first: int, end: int) -> None:
        """All that overlap are listed, none that does not exist, none that is far away."""
        found = [each[:3] for each in listed]
        assert len(found) == len(set(found))
        assert set(found) <= set(self.aborted)
        assert {each for each in self.aborted if each[2] >= first and each[1] < end} <= set(found)
        assert all(last_offset >= first for _, _, last_offset in found)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.abandon()
            shutil.rmtree(self.path)


TransactionsMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestTransactionsAgainstAModel = TransactionsMachine.TestCase
