"""A clock that jumps ahead does not delete anything for an hour."""

from __future__ import annotations

import pytest

from pykbroker.storage.retention_clock import DOUBT_MS, JUMP_MS, RetentionClock
from tests.harness.clock import ManualClock

TEN_YEARS_MS = 10 * 365 * 86_400_000


class JumpingClock(ManualClock):
    """A manual clock whose wall time somebody may set."""

    def jump(self, ms: int) -> None:
        self._now_ms += ms


@pytest.mark.parametrize("jump_ms", [0, 1_000, JUMP_MS, -JUMP_MS, -TEN_YEARS_MS])
def test_small_and_backward_jumps_are_believed(jump_ms: int) -> None:
    clock = JumpingClock()
    retention_clock = RetentionClock(clock)
    clock.advance(300_000)
    clock.jump(jump_ms)
    assert retention_clock.now_ms() == clock.now_ms()


def test_a_jump_ahead_is_believed_after_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = JumpingClock()
    retention_clock = RetentionClock(clock)
    before_ms = clock.now_ms()
    clock.jump(TEN_YEARS_MS)
    assert retention_clock.now_ms() == before_ms
    clock.advance(DOUBT_MS - 1)
    assert retention_clock.now_ms() == before_ms + DOUBT_MS - 1, "time goes on"
    assert caplog.text.count("clock jumped ahead seconds=315360000") == 1
    clock.advance(1)
    assert retention_clock.now_ms() == clock.now_ms()
    clock.advance(300_000)
    assert retention_clock.now_ms() == clock.now_ms()


def test_a_clock_that_is_set_right_is_believed_at_once() -> None:
    clock = JumpingClock()
    retention_clock = RetentionClock(clock)
    for _ in range(3):  # each jump has an hour of its own
        clock.jump(TEN_YEARS_MS)
        assert retention_clock.now_ms() == clock.now_ms() - TEN_YEARS_MS
        clock.advance(DOUBT_MS // 2)
        clock.jump(-TEN_YEARS_MS)
        assert retention_clock.now_ms() == clock.now_ms()
