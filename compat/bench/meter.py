"""What a stretch of a load has cost: time, the broker's processor time, the load's own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from compat.bench.machine import cpu_seconds


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks at one moment."""

    time_s: float
    broker_cpu_s: float
    load_cpu_s: float

    @classmethod
    def now(cls, pid: int) -> Self:
        return cls(time.perf_counter(), cpu_seconds(pid), time.process_time())

    def until(self, later: "Reading") -> dict[str, float]:
        """Seconds between two readings."""
        return {
            "seconds": later.time_s - self.time_s,
            "broker_cpu_s": later.broker_cpu_s - self.broker_cpu_s,
            "load_cpu_s": later.load_cpu_s - self.load_cpu_s,
        }


class Window:
    """The part of a pipelined load that counts: after the warm-up, until its time is over."""

    def __init__(self, pid: int, warm_up_s: float, seconds: float, most: int) -> None:
        """Args:
        most: End early after so many counted answers.
        """
        self._pid = pid
        self._begins = time.perf_counter() + warm_up_s
        self._seconds = seconds
        self._most = most
        self._first: tuple[Reading, int] | None = None
        self._last: tuple[Reading, int] | None = None

    def is_over(self, answers: int) -> bool:
        """To be called with the number of answers so far, after each read."""
        now = time.perf_counter()
        if now < self._begins:
            return False
        if self._first is None:
            self._first = Reading.now(self._pid), answers
            return False
        first, before = self._first
        if now - first.time_s < self._seconds and answers - before < self._most:
            return False
        self._last = Reading.now(self._pid), answers
        return True

    def result(self) -> dict[str, float]:
        """Seconds, processor times and `requests` of the part that counts."""
        assert self._first is not None, "the load has ended before it began to count"
        assert self._last is not None, "the load has ended before its time"
        (first, before), (last, after) = self._first, self._last
        return {**first.until(last), "requests": after - before}


def latencies(
    ask: Callable[[], float], pid: int, *, warm_up: int, seconds: float
) -> dict[str, float]:
    """Percentiles in microseconds of what `ask` gives in seconds, called again and again."""
    for _ in range(warm_up):
        ask()
    times: list[float] = []
    first = Reading.now(pid)
    until = first.time_s + seconds
    while time.perf_counter() < until:
        times.append(ask())
    return {**first.until(Reading.now(pid)), "requests": len(times), **percentiles(times)}


def percentiles(times: list[float]) -> dict[str, float]:
    """p50, p99, p99.9 and the largest, in microseconds, of times in seconds."""
    ordered = sorted(times)
    return {
        "p50_us": ordered[len(ordered) // 2] * 1e6,
        "p99_us": ordered[len(ordered) * 99 // 100] * 1e6,
        "p99_9_us": ordered[len(ordered) * 999 // 1000] * 1e6,
        "max_us": ordered[-1] * 1e6,
    }
