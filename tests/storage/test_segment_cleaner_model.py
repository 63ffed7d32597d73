"""Passes over random logs against what they must leave, told by the log as it was written."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.compaction import LastRecord
from pykbroker.storage.offset_map import entry_bytes
from pykbroker.storage.transaction_index import AbortedTransaction
from tests.harness.batches import NOW_MS
from tests.harness.compaction import (
    MAX_BYTES,
    RETENTION_MS,
    a_job,
    aborted_of,
    as_source,
    batches_of,
    run,
)
from tests.harness.random_logs import WrittenLog


def check(path: Path, log: WrittenLog, clean_end: int, first_pass_ms: int, now_ms: int) -> None:
    """What must hold after passes up to an offset."""
    batches = batches_of(path)
    latest = {
        record.key: offset
        for offset, record in sorted(log.committed.items())
        if record.key is not None
    }
    latest_clean = {
        record.key: offset
        for offset, record in sorted(log.committed.items())
        if offset < clean_end and record.key is not None
    }
    aborted = aborted_of(path)
    visible = {
        record.offset: record
        for batch in batches
        if not batch.is_control and not is_hidden(batch, aborted)
        for record in batch.records(MAX_BYTES)
    }
    for offset, record in visible.items():
        assert record.key is not None or offset >= clean_end
        assert log.committed[offset] == record, "no record changes, no aborted one is seen"
        if offset < clean_end:
            assert latest_clean[record.key or b""] == offset
    for offset, record in log.committed.items():
        if offset >= clean_end:
            assert offset in visible
        elif record.key is not None and latest[record.key] == offset and offset not in visible:
            assert record.value is None, "only a tombstone may go"
            assert now_ms >= first_pass_ms + RETENTION_MS
    check_headers(path, log, batches)


def is_hidden(batch: RecordBatch, aborted: list[AbortedTransaction]) -> bool:
    return batch.is_transactional and any(
        entry.producer_id == batch.producer_id
        and entry.first_offset <= batch.base_offset <= entry.last_offset
        for entry in aborted
    )


def check_headers(path: Path, log: WrittenLog, batches: list[RecordBatch]) -> None:
    """Sequences, the end of the log and the markers of transactions that have records stay."""
    by_last_offset = {batch.last_offset: batch for batch in batches}
    for batch in log.last_data.values():
        left = by_last_offset[batch.last_offset]
        for name in ("base_offset", "producer_id", "producer_epoch", "last_sequence"):
            assert getattr(left, name) == getattr(batch, name)
    assert max(by_last_offset) == log.offset - 1
    for producer_id, first, last, is_committed in log.markers:
        has_records = any(
            batch.record_count
            and batch.producer_id == producer_id
            and first <= batch.base_offset < last
            for batch in batches
        )
        if has_records:
            (record,) = by_last_offset[last].records(MAX_BYTES)
            assert record.key == bytes([0, 0, 0, is_committed])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_passes_over_any_log_leave_what_they_must(seed: int) -> None:
    rnd = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        log = WrittenLog(path, rnd)
        producers = {
            producer_id: LastRecord(0, batch.last_offset)
            for producer_id, batch in log.last_data.items()
        }
        segments = log.segments
        clean_end, now_ms = 0, NOW_MS
        for _ in range(rnd.randint(1, 6)):
            count = rnd.randint(1, len(segments))
            job = a_job(
                path,
                *segments[:count],
                first_dirty_offset=clean_end,
                now_ms=now_ms,
                active_producers=producers,
                segment_bytes=rnd.choice([1, 2000, 1 << 20]),
                map_bytes=rnd.choice([0, 3 * entry_bytes(40), 1 << 20]),
                io_buffer_bytes=rnd.choice([1, 500, 1 << 20]),
            )
            if job.end_offset < clean_end:
                continue
            cleaned, summary = run(job)
            replaced = sum(len(segment.sources) for segment in cleaned)
            segments = [as_source(segment) for segment in cleaned] + segments[replaced:]
            assert summary.clean_end_offset > clean_end or job.end_offset == clean_end
            clean_end = summary.clean_end_offset
            check(path, log, clean_end, NOW_MS, now_ms)
            now_ms += rnd.choice([0, 1, RETENTION_MS])
