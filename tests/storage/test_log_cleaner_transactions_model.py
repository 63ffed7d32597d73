"""A compacted log with transactions against a model: what a reader of committed records gets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pykbroker.config.broker import BrokerConfig
from pykbroker.protocol.record_batch import iter_batches
from pykbroker.storage.log_cleaner import LogCleaner
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_record
from tests.harness.clock import ManualClock
from tests.harness.committed import Transactional, with_skips
from tests.harness.logs import FaultyFiles, a_config, append, copy_of
from tests.storage.test_log_cleaner_model import CLUSTER_ID, DELETE_RETENTION_MS, PartOfACleaning

TOPIC_ID = bytes(15) + b"t"
PRODUCERS = st.integers(1, 3)
KEYS = st.lists(st.integers(0, 3), min_size=1, max_size=3)


class CompactedTransactionsMachine(RuleBasedStateMachine):
    """`written` is all that was ever appended: offset -> (key, value)."""

    log: PartitionLog

    @initialize(segment_bytes=st.sampled_from([200, 500, 2000]))
    def begin(self, segment_bytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="compacted-transactions-"))
        self.lives = 0
        self.clock = ManualClock(NOW_MS)
        self.config = a_config(
            cleanup_policy=frozenset({"compact"}),
            segment_bytes=segment_bytes,
            min_cleanable_dirty_ratio=0.0,
            delete_retention_ms=DELETE_RETENTION_MS,
            file_delete_delay_ms=0,
        )
        self.producers = {number: Transactional(number) for number in range(1, 4)}
        self.visible: dict[int, tuple[bytes | None, bytes | None]] = {}
        self.waiting: dict[int, dict[int, tuple[bytes | None, bytes | None]]] = {}
        self.end = 0
        self.open(self.path / "0")

    def open(self, path: Path) -> None:
        self.manager = LogManager([path], clock=self.clock, node_id=1, files=FaultyFiles())
        self.manager.open(CLUSTER_ID, lambda _: self.config)
        self.log = self.manager.create("table", TOPIC_ID, 0, self.config)
        self.cleaner = LogCleaner(
            self.manager,
            lambda: BrokerConfig.from_settings({}),
            self.clock.now_ms,
            lambda function: function(),
        )
        self.cleaner._closing.set()  # no threads
        self.cleaner.start()

    @rule(keys=KEYS)
    def append(self, keys: list[int]) -> None:
        self.visible.update(self._write(keys))

    @rule(number=PRODUCERS, keys=KEYS)
    def append_in_transaction(self, number: int, keys: list[int]) -> None:
        producer = self.producers[number]
        written = self._write(keys, **producer.header())
        self.waiting.setdefault(number, {}).update(written)
        producer.sequence += len(keys)

    def _write(
        self, keys: list[int], **header: Any
    ) -> dict[int, tuple[bytes | None, bytes | None]]:
        self.clock.advance(10)
        records = [
            a_record(key=b"%d" % key, value=b"%d" % (self.end + n), timestamp=self.clock.now_ms())
            for n, key in enumerate(keys)
        ]
        append(self.log, now_ms=self.clock.now_ms(), records=records, **header)
        written = {self.end + n: (each.key, each.value) for n, each in enumerate(records)}
        self.end += len(records)
        return written

    @rule(number=PRODUCERS, is_commit=st.booleans(), version=st.integers(1, 2))
    def end_transaction(self, number: int, is_commit: bool, version: int) -> None:
        producer = self.producers[number]
        if version == 2:
            producer.begin_epoch()
        self.log.append_marker(
            producer.id,
            producer.epoch,
            is_commit=is_commit,
            coordinator_epoch=0,
            now_ms=self.clock.now_ms(),
            transaction_version=version,
        )
        self.end += 1
        written = self.waiting.pop(number, {})
        if is_commit:
            self.visible.update(written)

    @rule()
    def roll(self) -> None:
        self.log.roll(self.clock.now_ms())

    @rule()
    def wait_until_markers_may_go(self) -> None:
        self.clock.advance(DELETE_RETENTION_MS + 1)

    @rule(segments=st.one_of(st.just(1 << 20), st.integers(0, 3)))
    def compact(self, segments: int) -> None:
        self.cleaner.clean_next(PartOfACleaning(segments))

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        self.manager.write_checkpoints(self.clock.now_ms())
        self.lives += 1
        path = self.path / str(self.lives)
        if not is_clean:  # a kill: what was written is there, and nothing else happens
            copy_of(self.path / str(self.lives - 1), path)
        self.manager.close()
        if is_clean:
            copy_of(self.path / str(self.lives - 1), path)
        shutil.rmtree(self.path / str(self.lives - 1))
        self.open(path)

    @invariant()
    def open_transactions_hold_the_last_stable_offset(self) -> None:
        first = [min(written) for written in self.waiting.values()]
        assert self.log.log_end_offset == self.end
        assert self.log.last_stable_offset == min(first, default=self.end)

    @invariant()
    def producers_go_on_where_they_were(self) -> None:
        for producer in self.producers.values():
            entry = self.log.producers.producers.get(producer.id)
            if entry is not None:
                assert (entry.epoch, entry.last_sequence) == (
                    producer.epoch,
                    producer.sequence - 1,
                )

    @invariant()
    def nothing_is_seen_that_is_not_committed_and_the_last_values_are(self) -> None:
        stable = self.log.last_stable_offset
        visible = {o: record for o, record in self.visible.items() if o < stable}
        found = dict(self._consumed(stable))
        assert found.items() <= visible.items()
        latest = {key: offset for offset, (key, _) in sorted(visible.items())}
        assert set(latest.values()) <= found.keys()

    def _consumed(self, stable: int) -> Iterator[tuple[int, tuple[bytes | None, bytes | None]]]:
        log, offset = self.log, 0
        while offset < stable:
            read = log.read(offset, 300, up_to=stable, at_least_one_batch=True)
            if read.slice is None:
                return  # the last offsets were compacted away
            aborted = log.transactions.aborted
            listed = aborted.find(offset, aborted.upper_bound(read.slice, log.log_end_offset))
            for batch, is_skipped in with_skips(iter_batches(read.slice.read()), listed):
                if not is_skipped:
                    for record in batch.records(1 << 20):
                        yield record.offset, (record.key, record.value)
                offset = batch.last_offset + 1

    def teardown(self) -> None:
        if hasattr(self, "manager"):
            self.manager.close()
            shutil.rmtree(self.path)


TestCompactedTransactions = CompactedTransactionsMachine.TestCase
TestCompactedTransactions.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None
)
