import asyncio
from functools import partial

import pytest

from pykbroker.clock import Clock
from pykbroker.faults.movable_clock import MAX_STEPS, MovableClock
from tests.harness.loop import run, turns

HOUR_MS = 3_600_000


class Machine:
    """A machine's clocks, set by the test."""

    def __init__(self) -> None:
        self.wall_ms = 1_700_000_000_000.0
        self.monotonic_ms = 5000.0

    def clock(self) -> MovableClock:
        return MovableClock(lambda: self.wall_ms, lambda: self.monotonic_ms)

    def pass_ms(self, ms: float) -> None:
        self.wall_ms += ms
        self.monotonic_ms += ms


def test_it_is_a_clock_that_runs_as_the_machines_does() -> None:
    machine = Machine()
    clock = machine.clock()
    assert (clock.now_ms(), clock.monotonic_ms()) == (1_700_000_000_000, 5000)
    machine.pass_ms(7.9)
    machine.wall_ms -= 1000  # it was set
    assert (clock.now_ms(), clock.monotonic_ms()) == (1_699_999_999_007, 5007)
    real: Clock = MovableClock()
    assert real.now_ms() > 1_700_000_000_000
    assert real.monotonic_ms() <= real.monotonic_ms()


def test_it_stands_still_until_it_is_moved_and_goes_on_from_there() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(2):
        clock.stand_still()
    assert clock.is_standing
    machine.pass_ms(100)
    assert (clock.now_ms(), clock.monotonic_ms()) == (1_700_000_000_000, 5000)
    clock.shift(HOUR_MS)
    assert clock.is_standing
    assert (clock.now_ms(), clock.monotonic_ms()) == (1_700_003_600_000, HOUR_MS + 5000)
    for _ in range(2):
        clock.run()
    machine.pass_ms(3)
    assert (clock.now_ms(), clock.monotonic_ms()) == (1_700_003_600_003, HOUR_MS + 5003)
    clock.shift(10)
    assert not clock.is_standing
    assert clock.monotonic_ms() == HOUR_MS + 5013


def test_timers_run_in_order_and_each_at_its_time() -> None:
    async def main() -> None:
        clock = Machine().clock()
        seen = []
        for name, delay_ms in (("second", 20), ("first", 10.5), ("late", 31), ("never", 15)):
            timer = clock.call_later(
                delay_ms, partial(lambda name: seen.append((name, clock.monotonic_ms())), name)
            )
        timer.cancel()
        await clock.advance(30)
        assert seen == [("first", 5010), ("second", 5020)]
        assert clock.monotonic_ms() == 5030
        await clock.advance(1)
        assert seen[2:] == [("late", 5031)]

    run(main())


def test_what_timers_set_off_is_done_before_the_next_one() -> None:
    async def main() -> None:
        clock = Machine().clock()
        seen = []

        async def set_off() -> None:
            await asyncio.sleep(0)
            seen.append(("task", clock.monotonic_ms()))
            clock.call_later(5, lambda: seen.append(("of the task", clock.monotonic_ms())))
            clock.call_later(0, lambda: seen.append(("at once", clock.monotonic_ms())))

        tasks = []
        clock.call_later(10, lambda: tasks.append(asyncio.create_task(set_off())))
        clock.call_later(20, lambda: seen.append(("last", clock.monotonic_ms())))
        await clock.advance(30)
        assert seen == [
            ("task", 5010),
            ("at once", 5010),
            ("of the task", 5015),
            ("last", 5020),
        ], "a step is 0.015 ms"

    run(main())


def test_a_long_time_has_no_more_steps_than_a_short_one() -> None:
    async def main() -> None:
        clock = Machine().clock()
        beats = []
        tasks: set[asyncio.Task[None]] = set()

        async def beat() -> None:
            beats.append(clock.monotonic_ms())
            clock.call_later(1000, begin)

        def begin() -> None:
            tasks.add(asyncio.create_task(beat()))

        begin()
        await turns()
        await clock.advance(1000 * HOUR_MS)
        assert MAX_STEPS * 0.9 < len(beats) <= MAX_STEPS + 2
        assert clock.monotonic_ms() == 1000 * HOUR_MS + 5000
        assert clock.monotonic_ms() - beats[-1] < HOUR_MS

    run(main())


@pytest.mark.parametrize("is_standing", [False, True])
def test_time_does_not_pass_while_it_is_moved(is_standing: bool) -> None:
    async def main() -> None:
        machine = Machine()
        clock = machine.clock()
        if is_standing:
            clock.stand_still()
        clock.call_later(5, lambda: machine.pass_ms(100))
        await asyncio.gather(clock.advance(10), clock.advance(20))
        assert clock.monotonic_ms() == 5030
        assert clock.is_standing == is_standing
        with pytest.raises(ValueError, match="does not go back"):
            await clock.advance(-1)

    run(main())


def test_timers_run_also_when_time_is_not_moved() -> None:
    async def main() -> None:
        clock = MovableClock()
        seen: list[str] = []
        done = asyncio.Event()
        clock.call_later(20, done.set)
        clock.call_later(10, lambda: seen.append("second"))
        clock.call_later(1, lambda: seen.append("first"))
        clock.call_later(2, lambda: seen.append("never")).cancel()
        await asyncio.wait_for(done.wait(), 5)
        assert seen == ["first", "second"]

    run(main())


def test_timers_of_a_clock_that_stands_still_wait_until_it_runs() -> None:
    async def main() -> None:
        machine = Machine()
        clock = machine.clock()
        done = asyncio.Event()
        clock.call_later(1, done.set)
        clock.stand_still()
        machine.pass_ms(100)
        await asyncio.sleep(0.01)
        assert not done.is_set()
        clock.run()
        machine.pass_ms(1)
        await asyncio.wait_for(done.wait(), 5)

    run(main())


def test_a_new_loop_has_no_timers_of_the_old_one() -> None:
    clock = Machine().clock()
    seen = []

    async def main(name: str) -> None:
        clock.call_later(10, lambda: seen.append(name))
        if name == "new":
            await clock.advance(20)

    run(main("old"))
    run(main("new"))
    assert seen == ["new"]
