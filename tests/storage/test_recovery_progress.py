"""A start that takes long says how far it is, and what it has done."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.storage.recovery_progress import RecoveryProgress, bytes_to_check
from tests.harness.clock import ManualClock

MB = 1_000_000


@pytest.fixture(autouse=True)
def _everything_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(" directory=d ")[2] for record in caplog.records]


def test_a_quick_start_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    progress = RecoveryProgress(Path("d"), clock, 2, 100 * MB)
    for _ in range(10):
        progress.note_checked(10 * MB)
        clock.advance(99)
    progress.note_loaded()
    progress.finish()
    assert lines(caplog) == []


def test_one_large_log_is_told_by_its_bytes_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    progress = RecoveryProgress(Path("d"), clock, 1, 100 * MB)
    for _ in range(25):
        progress.note_checked(4 * MB + 300_000)
        clock.advance(100)
    progress.note_loaded(cut_bytes=77)
    progress.finish()
    assert lines(caplog) == [
        "done=0 of=1 checked_mb=47 of_mb=100 seconds_left=1",
        "done=0 of=1 checked_mb=90 of_mb=100 seconds_left=0",
        "logs=1 checked_bytes=107500000 cut_bytes=77 seconds=2.5",
    ]


def test_many_logs_are_told_by_their_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    progress = RecoveryProgress(Path("d"), clock, 4, 0)
    for _ in range(4):
        clock.advance(600)
        progress.note_loaded()
    progress.finish()
    assert lines(caplog) == [
        "done=2 of=4 checked_mb=0 of_mb=0 seconds_left=1",
        "done=4 of=4 checked_mb=0 of_mb=0 seconds_left=0",
        "logs=4 checked_bytes=0 cut_bytes=0 seconds=2.4",
    ]


def test_nothing_is_estimated_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    progress = RecoveryProgress(Path("d"), clock, 4, MB)
    clock.advance(1000)
    progress.note_loaded()
    assert lines(caplog) == ["done=1 of=4 checked_mb=0 of_mb=1 seconds_left=?"]


def test_what_is_below_the_recovery_points_segment_is_not_checked(tmp_path: Path) -> None:
    for base in (0, 10, 20):
        (tmp_path / f"{base:020}.log").write_bytes(bytes(100 + base))
        (tmp_path / f"{base:020}.index").write_bytes(bytes(1000))
    (tmp_path / "other.log").write_bytes(b"?")
    assert [bytes_to_check(tmp_path, point) for point in (0, 9, 10, 15, 99)] == [
        330, 330, 230, 230, 120,
    ]  # fmt: skip
