"""Transactions in a log against a model: what a consumer of committed records sees, and how far.

The consumer does what clients do: it fetches pieces of the log, and leaves out the records of the
aborted transactions that each answer lists, up to their markers.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


class TransactionsMachine(RuleBasedStateMachine):
    """`visible` is what is committed or was never part of a transaction: offset -> value."""

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
        self.producers = {number: Transactional(number) for number in range(1, 5)}
        self.open_offsets: dict[int, list[int]] = {number: [] for number in self.producers}
        self.visible: dict[int, bytes] = {}
        self.values: dict[int, bytes] = {}
        self.aborted: list[tuple[int, int, int]] = []
        self.start = self.end = 0

    # What producers and their coordinator do

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        self.visible.update(self._write(count))

    @rule(number=PRODUCERS, count=st.integers(1, 3))
    def append_in_transaction(self, number: int, count: int) -> None:
        producer = self.producers[number]
        written = self._write(count, **producer.header())
        self.open_offsets[number] += written
        self.values.update(written)
        producer.sequence += count
        assert self.log.has_open_transaction(producer.id, producer.epoch)

    def _write(self, count: int, **header: Any) -> dict[int, bytes]:
        values = [b"%d" % (self.end + n) for n in range(count)]
        result = append(self.log, records=[a_record(value=each) for each in values], **header)
        assert result[:2] == (self.end, self.end + count - 1)
        written = dict(enumerate(values, self.end))
        self.end += count
        return written

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
        offsets, self.open_offsets[number] = self.open_offsets[number], []
        if is_commit:
            self.visible.update((offset, self.values[offset]) for offset in offsets)
        elif offsets:
            self.aborted.append((producer.id, offsets[0], self.end))
        self.end += 1

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

    @rule()
    def flush(self) -> None:
        self.log.flush()

    @rule()
    def close_idle_files(self) -> None:
        self.log.release_idle_files()
        self.log.release_idle_files()

    @rule()
    def stop_and_start(self) -> None:
        self.log = reopened(self.log)

    @rule()
    def kill_and_start(self) -> None:
        self.log = crashed(self.log)

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
        expected = {o: value for o, value in self.visible.items() if first <= o < stable}
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
