"""Jobs and answers are the same after a journey as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from pykbroker.storage.cleaning_job import (
    CleanedSegment,
    CleaningSummary,
    SourceSegment,
    cleaned_from_json,
    job_from_json,
    summary_from_json,
    to_json,
)
from pykbroker.storage.compaction import CleaningStats, LastRecord
from tests.harness.compaction import a_job


def test_a_job_travels() -> None:
    job = a_job(
        Path("/data/orders-0"),
        SourceSegment(0, 10, 100),
        SourceSegment(10, 30, 200),
        active_producers={7: LastRecord(1, 5), 1 << 40: LastRecord(2, None)},
        io_max_bytes_per_second=1.7976931348623157e308,
    )

    assert job_from_json(json.loads(json.dumps(to_json(job)))) == job


def test_answers_travel() -> None:
    cleaned = CleanedSegment(0, (0, 10), 30, 300, 16, 24, True, 1234, 29)
    summary = CleaningSummary(30, 5, 0.25, 300, 0.5, 1.5, CleaningStats(records_read=8))

    assert cleaned_from_json(json.loads(json.dumps(to_json(cleaned)))) == cleaned
    assert summary_from_json(json.loads(json.dumps(to_json(summary)))) == summary
