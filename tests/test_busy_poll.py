from __future__ import annotations

import asyncio

import pytest

from pykbroker.busy_poll import SHORT_GAPS_BEFORE_POLLING, BusyPoll, BusyPollPolicy
from tests.harness.loop import run, turns

WINDOW_NS = 200_000
WORK_NS = 50_000


class Traffic:
    """Requests one after the other, and the time that passes with them."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self.policy = BusyPollPolicy(window_ns)
        self.now_ns = 1_000_000_000

    def request(self, gap_ns: int, *, is_single_request: bool = True) -> None:
        self.now_ns += gap_ns
        self.policy.work_begins(self.now_ns)
        self.now_ns += WORK_NS
        self.policy.work_ends(self.now_ns, is_single_request=is_single_request)

    def would_poll(self, after_ns: int = 0) -> bool:
        return self.policy.should_poll(self.now_ns + after_ns)


def test_some_short_gaps_in_a_row_make_it_poll_for_one_window() -> None:
    traffic = Traffic()
    for _ in range(SHORT_GAPS_BEFORE_POLLING):
        traffic.request(WINDOW_NS - 1)
        assert not traffic.would_poll()
    traffic.request(WINDOW_NS - 1)
    assert traffic.would_poll()
    assert traffic.would_poll(after_ns=WINDOW_NS - 1)
    assert not traffic.would_poll(after_ns=WINDOW_NS)


@pytest.mark.parametrize("gap_ns", [WINDOW_NS, 100 * WINDOW_NS])
def test_one_long_gap_ends_it(gap_ns: int) -> None:
    traffic = Traffic()
    for _ in range(100):
        traffic.request(10_000)
    traffic.request(gap_ns)
    assert not traffic.would_poll()
    for _ in range(SHORT_GAPS_BEFORE_POLLING):
        assert not traffic.would_poll()
        traffic.request(10_000)
    assert traffic.would_poll()


def test_traffic_with_longer_gaps_never_polls() -> None:
    traffic = Traffic()
    for _ in range(100):
        traffic.request(WINDOW_NS)
        assert not traffic.would_poll()


def test_what_is_not_one_small_request_at_a_time_never_polls() -> None:
    traffic = Traffic()
    for _ in range(100):
        traffic.request(10_000, is_single_request=False)
        assert not traffic.would_poll()


def test_without_a_window_it_never_polls() -> None:
    traffic = Traffic(window_ns=0)
    for _ in range(100):
        traffic.request(0)
        assert not traffic.would_poll()


class Shell:
    """The callback in a real loop, with a time that a test moves."""

    def __init__(self, window_us: int = WINDOW_NS // 1000) -> None:
        self.now_ns = 0
        self.is_processor_wanted = False
        self.clock_reads = 0
        self.busy_poll = BusyPoll(window_us, self.clock_ns, lambda: self.is_processor_wanted)

    def clock_ns(self) -> int:
        self.clock_reads += 1
        return self.now_ns

    def requests(self) -> None:
        for _ in range(SHORT_GAPS_BEFORE_POLLING + 1):
            self.busy_poll.work_begins()
            self.busy_poll.work_ends(asyncio.get_running_loop(), is_single_request=True)

    async def is_polling(self) -> bool:
        await turns()
        reads = self.clock_reads
        await turns()
        return self.clock_reads > reads


def test_the_loop_is_kept_awake_until_the_window_is_over() -> None:
    async def main() -> None:
        shell = Shell()
        shell.requests()
        assert await shell.is_polling()
        shell.now_ns += WINDOW_NS - 1
        assert await shell.is_polling()
        shell.now_ns += 1
        assert not await shell.is_polling()
        shell.requests()
        assert await shell.is_polling()

    run(main())


def test_who_flushes_gets_the_processor() -> None:
    async def main() -> None:
        shell = Shell()
        shell.is_processor_wanted = True
        shell.requests()
        assert not await shell.is_polling()
        shell.is_processor_wanted = False
        shell.requests()
        assert await shell.is_polling()
        shell.is_processor_wanted = True
        assert not await shell.is_polling()

    run(main())


def test_no_window_does_not_even_look_at_the_clock() -> None:
    async def main() -> None:
        shell = Shell(window_us=0)
        shell.requests()
        assert not await shell.is_polling()
        assert shell.clock_reads == 0

    run(main())
