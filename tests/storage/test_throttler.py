"""Keeping to a rate, with a clock that the test moves."""

from __future__ import annotations

from pykbroker.storage.throttler import Throttler


class Waiting:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def a_throttler(waiting: Waiting, bytes_per_second: float) -> Throttler:
    return Throttler(bytes_per_second, monotonic=waiting.monotonic, sleep=waiting.sleep)


def test_what_was_too_fast_is_waited_for() -> None:
    waiting = Waiting()
    throttler = a_throttler(waiting, 1000)
    throttler.note(700)
    assert waiting.slept == [], "no third of a second has passed"

    waiting.now += 0.5
    throttler.note(300)

    assert waiting.slept == [0.5], "1000 bytes take a second"


def test_each_interval_counts_alone() -> None:
    waiting = Waiting()
    throttler = a_throttler(waiting, 1000)
    waiting.now += 10
    throttler.note(100)
    assert waiting.slept == []

    waiting.now += 0.5
    throttler.note(1500)

    assert waiting.slept == [1.0]


def test_without_a_limit_nothing_is_waited_for() -> None:
    for rate in (0, -1, 1.7976931348623157e308):
        waiting = Waiting()
        throttler = a_throttler(waiting, rate)
        waiting.now += 1
        throttler.note(1 << 60)
        assert waiting.slept == []
