"""A compacted log against a model, under any sequence of appends, cleanings, stops and crashes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pykbroker.config.broker import BrokerConfig
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.record_batch import iter_batches
from pykbroker.storage.cleaning_job import CleanedSegment, CleaningJob, CleaningSummary
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.log_cleaner import LogCleaner
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment_cleaner import clean
from tests.harness.batches import NOW_MS, a_record
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles, a_config, append, copy_of, fetched

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
TOPIC_ID = bytes(15) + b"t"
DELETE_RETENTION_MS = 100
PRODUCER_ID = 9


class PartOfACleaning:
    """Cleans for real, and is interrupted after some segments.

    Attributes:
        segments_left: How many may still be swapped in.
    """

    def __init__(self, segments_left: int) -> None:
        self.segments_left = segments_left

    def run(self, job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        cleaning = clean(job, FileLayer(fsync_enabled=False))
        while True:
            if not self.segments_left:
                raise OSError(28, "no more segments")
            self.segments_left -= 1
            try:
                yield next(cleaning)
            except StopIteration as end:
                summary: CleaningSummary = end.value
                return summary


class CompactedLogMachine(RuleBasedStateMachine):
    """`written` is all that was ever appended: offset -> (key, value)."""

    log: PartitionLog

    @initialize(
        segment_bytes=st.sampled_from([200, 500, 2000]),
        policy=st.sampled_from([frozenset({"compact"}), frozenset({"compact", "delete"})]),
    )
    def begin(self, segment_bytes: int, policy: frozenset[str]) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="compacted-log-"))
        self.lives = 0
        self.clock = ManualClock(NOW_MS)
        self.config = a_config(
            cleanup_policy=policy,
            segment_bytes=segment_bytes,
            min_cleanable_dirty_ratio=0.0,
            delete_retention_ms=DELETE_RETENTION_MS,
            file_delete_delay_ms=0,
        )
        self.written: dict[int, tuple[bytes | None, bytes | None]] = {}
        self.start = self.end = self.next_sequence = 0
        self.may_be_cleaned_to = 0
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

    @rule(
        keys=st.lists(st.integers(0, 4), min_size=1, max_size=4),
        tombstones=st.integers(0, 15),
        codec=st.sampled_from([Codec.NONE, Codec.GZIP, Codec.LZ4]),
        is_idempotent=st.booleans(),
    )
    def append(self, keys: list[int], tombstones: int, codec: Codec, is_idempotent: bool) -> None:
        self.clock.advance(10)
        records = [
            a_record(
                key=b"key-%d" % key,
                value=None if tombstones >> n & 1 else b"%d" % (self.end + n),
                timestamp=self.clock.now_ms(),
            )
            for n, key in enumerate(keys)
        ]
        producer = {}
        if is_idempotent:
            producer = {
                "producer_id": PRODUCER_ID,
                "producer_epoch": 0,
                "base_sequence": self.next_sequence,
            }
            self.next_sequence += len(records)

        result = append(
            self.log, now_ms=self.clock.now_ms(), records=records, codec=codec, **producer
        )

        assert result.base_offset == self.end
        for record in records:
            self.written[self.end] = record.key, record.value
            self.end += 1

    @rule()
    def roll(self) -> None:
        self.log.roll(self.clock.now_ms())

    @rule()
    def wait_until_tombstones_may_go(self) -> None:
        self.clock.advance(DELETE_RETENTION_MS + 1)

    @rule(segments=st.one_of(st.just(1 << 20), st.integers(0, 3)))
    def compact(self, segments: int) -> None:
        self.may_be_cleaned_to = self.log.segments[-1].base_offset
        self.cleaner.clean_next(PartOfACleaning(segments))

    @precondition(lambda self: "delete" in self.config.cleanup_policy)
    @rule(fraction=st.floats(0, 1))
    def delete_records(self, fraction: float) -> None:
        self.start += int((self.end - self.start) * fraction)
        assert self.log.delete_records(self.start, self.clock.now_ms()) == self.start

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        self.manager.write_checkpoints(self.clock.now_ms())
        self.manager.write_start_offsets(self.clock.now_ms())
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
    def what_is_there_was_written_and_nothing_that_counts_is_missing(self) -> None:
        found = self.found()
        assert found.items() <= self.written.items()
        assert (self.log.log_start_offset, self.log.log_end_offset) == (self.start, self.end)
        latest = {
            key: (offset, value)
            for offset, (key, value) in sorted(self.written.items())
            if offset >= self.start
        }
        for key, (offset, value) in latest.items():
            if value is not None:
                assert offset in found, f"the last value of {key!r} is gone"
            elif offset not in found:
                older = [at for at, (other, _) in found.items() if other == key]
                assert older == [], f"{key!r} was deleted and is back"
        kept = range(max(self.may_be_cleaned_to, self.start), self.end)
        assert set(kept) <= found.keys(), "nothing may be cleaned there yet"

    @invariant()
    def the_producer_goes_on_where_it_was(self) -> None:
        entry = self.log.producers.producers.get(PRODUCER_ID)
        if self.next_sequence and entry is not None:
            assert entry.last_sequence == self.next_sequence - 1

    def found(self) -> dict[int, tuple[bytes | None, bytes | None]]:
        """What a consumer gets that begins at the start."""
        records: dict[int, tuple[bytes | None, bytes | None]] = {}
        offset = self.start
        while offset < self.log.high_watermark:
            data = fetched(self.log, offset, 700)
            if not data:
                break  # the last offsets were compacted away
            for batch in iter_batches(data):
                assert batch.is_crc_valid()
                assert batch.last_offset >= offset
                for record in batch.records(1 << 20):
                    if record.offset >= self.start:
                        records[record.offset] = record.key, record.value
                offset = batch.last_offset + 1
        return records

    def teardown(self) -> None:
        if hasattr(self, "manager"):
            self.manager.close()
            shutil.rmtree(self.path)


TestCompactedLog = CompactedLogMachine.TestCase
TestCompactedLog.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
