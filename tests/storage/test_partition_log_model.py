"""The log against an in-memory model, under any sequence of operations, stops and crashes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_record
from tests.harness.logs import a_log, append, crashed, error_code, fetched, reopened, values


class LogMachine(RuleBasedStateMachine):
    """`records` is what the log must hold: offset -> value, from `start` on."""

    log: PartitionLog

    @initialize(
        segment_bytes=st.sampled_from([200, 500, 10_000]),
        index_interval_bytes=st.sampled_from([1, 100, 4096]),
    )
    def open(self, segment_bytes: int, index_interval_bytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="log-model-"))
        self.log = a_log(
            self.path, segment_bytes=segment_bytes, index_interval_bytes=index_interval_bytes
        )
        self.records: dict[int, bytes] = {}
        self.times: dict[int, int] = {}
        self.durable_end = 0
        self.start = self.end = 0
        self.next_sequence = 0
        self.written: list[tuple[int, int, int]] = []  # sequence, count, base offset
        self.now_ms = NOW_MS

    @rule(
        count=st.integers(1, 5),
        codec=st.sampled_from([Codec.NONE, Codec.GZIP, Codec.LZ4]),
        is_idempotent=st.booleans(),
        age_ms=st.integers(0, 50),
    )
    def append(self, count: int, codec: Codec, is_idempotent: bool, age_ms: int) -> None:
        self.now_ms += 10
        records = [
            a_record(value=b"%d" % (self.end + n), timestamp=self.now_ms - age_ms)
            for n in range(count)
        ]
        header = {}
        if is_idempotent:
            header = {
                "producer_id": 9,
                "producer_epoch": 0,
                "base_sequence": self.next_sequence,
            }
            self.written.append((self.next_sequence, count, self.end))
            self.next_sequence += count

        result = append(self.log, records=records, codec=codec, **header)

        assert result[:2] == (self.end, self.end + count - 1)
        for record in records:
            assert record.value is not None
            self.records[self.end] = record.value
            self.times[self.end] = record.timestamp
            self.end += 1

    @precondition(lambda self: self.written)
    @rule(back=st.integers(1, 5))
    def retry(self, back: int) -> None:
        back = min(back, len(self.written))
        sequence, count, base_offset = self.written[-back]
        if back > 1 and base_offset < self.start:
            return  # after a restart only the log could tell, and there it is deleted

        result = append(
            self.log, records=count, producer_id=9, producer_epoch=0, base_sequence=sequence
        )

        assert result.is_duplicate
        assert result[:2] == (base_offset, base_offset + count - 1)

    @precondition(lambda self: self.written)
    @rule()
    def skip_a_sequence(self) -> None:
        code = error_code(
            lambda: append(
                self.log, producer_id=9, producer_epoch=0, base_sequence=self.next_sequence + 1
            )
        )
        assert code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    @rule()
    def roll(self) -> None:
        self.log.roll(self.now_ms)

    @rule(fraction=st.floats(0, 1))
    def delete_records(self, fraction: float) -> None:
        offset = self.start + int((self.end - self.start) * fraction)
        assert self.log.delete_records(offset, self.now_ms) == offset
        self.start = offset
        self._forget()

    @rule(keep_ms=st.integers(0, 200))
    def retain(self, keep_ms: int) -> None:
        config = self.log.config
        self.log.reconfigure(
            type(config)(
                segment_bytes=config.segment_bytes,
                index_interval_bytes=config.index_interval_bytes,
                retention_ms=keep_ms,
            )
        )
        self.log.apply_retention(self.now_ms)
        self.log.reconfigure(config)
        kept = [offset for offset, time in self.times.items() if time >= self.now_ms - keep_ms]
        assert self.log.log_start_offset <= min(kept, default=self.end), "deleted too much"
        assert self.log.log_start_offset >= self.start
        self.start = self.log.log_start_offset
        self._forget()

    @rule()
    def flush(self) -> None:
        self.log.flush()
        self.durable_end = self.end

    @rule()
    def close_idle_files(self) -> None:
        self.log.release_idle_files()

    @rule()
    def stop_and_start(self) -> None:
        self.log = reopened(self.log)
        self.durable_end = self.end

    @rule()
    def kill_and_start(self) -> None:
        self.log = crashed(self.log)

    @precondition(lambda self: self.end > self.durable_end and not self.written)
    @rule(lost=st.integers(1, 300))
    def lose_power_and_start(self, lost: int) -> None:
        """The end of the file is gone, as far back as the last fsync allows."""
        segment = self.log.segments[-1]
        self.log.abandon()
        if segment.base_offset >= self.durable_end and segment.path.exists():
            data = segment.path.read_bytes()
            segment.path.write_bytes(data[: max(len(data) - lost, 0)])
        self.log = crashed(self.log)
        assert self.durable_end <= self.log.log_end_offset <= self.end
        self.end = self.log.log_end_offset
        self.start = self.log.log_start_offset
        self._forget()

    def _forget(self) -> None:
        for offset in list(self.records):
            if not self.start <= offset < self.end:
                del self.records[offset], self.times[offset]

    @invariant()
    def offsets_are_as_expected(self) -> None:
        log = self.log
        assert (log.log_start_offset, log.log_end_offset) == (self.start, self.end)
        assert log.last_stable_offset == log.high_watermark == self.end
        assert log.recovery_point <= self.end

    @rule()
    def read_everything(self) -> None:
        assert values(self.log) == self.records

    @precondition(lambda self: self.end > self.start)
    @rule(fraction=st.floats(0, 1, exclude_max=True), max_bytes=st.integers(0, 400))
    def read(self, fraction: float, max_bytes: int) -> None:
        offset = self.start + int((self.end - self.start) * fraction)
        data = fetched(self.log, offset, max_bytes)
        assert data
        assert len(fetched(self.log, offset, max_bytes, at_least_one_batch=False)) <= max_bytes

    @precondition(lambda self: self.records)
    @rule(step=st.integers(0, 200))
    def look_up_a_time(self, step: int) -> None:
        target = NOW_MS + step
        expected = next((o for o, time in sorted(self.times.items()) if time >= target), None)
        found = self.log.offset_for_timestamp(target, self.end)
        assert (found.offset if found else None) == expected

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.abandon()
            shutil.rmtree(self.path)


LogMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLogAgainstAModel = LogMachine.TestCase
