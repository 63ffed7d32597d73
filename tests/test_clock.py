import asyncio

from pykbroker.clock import Clock, SystemClock
from tests.harness.clock import ManualClock


def test_both_clocks_have_the_interface() -> None:
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    assert all(clock.now_ms() > 1_600_000_000_000 for clock in clocks)


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic_ms() for _ in range(1000)]
    assert readings == sorted(readings)


def test_a_timer_of_the_system_clock_runs_in_the_event_loop() -> None:
    async def main() -> None:
        called = asyncio.Event()
        SystemClock().call_later(1, called.set)
        cancelled = SystemClock().call_later(0, lambda: pytest_fail())
        cancelled.cancel()
        await asyncio.wait_for(called.wait(), 5)

    def pytest_fail() -> None:
        raise AssertionError("a cancelled timer ran")

    asyncio.run(main())


def test_the_manual_clock_runs_due_timers_in_order_and_at_their_time() -> None:
    clock = ManualClock(now_ms=1000)
    seen: list[tuple[str, int]] = []
    clock.call_later(20, lambda: seen.append(("second", clock.now_ms())))
    clock.call_later(10, lambda: seen.append(("first", clock.now_ms())))
    clock.call_later(15, lambda: seen.append(("never", 0))).cancel()
    clock.call_later(31, lambda: seen.append(("late", clock.now_ms())))

    clock.advance(30)

    assert seen == [("first", 1010), ("second", 1020)]
    assert clock.monotonic_ms() == 30
    assert clock.pending_timers == 1
