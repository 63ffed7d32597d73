import asyncio

from pykbroker.delayed import ParkedFetches
from tests.harness.clock import ManualClock
from tests.harness.loop import run, turns


def test_a_change_that_meets_the_condition_ends_the_waiting() -> None:
    async def main() -> None:
        clock = ManualClock()
        parked = ParkedFetches(clock)
        readable: set[str] = set()
        task = asyncio.create_task(parked.wait(["a", "b"], 500, lambda log: log in readable))
        await turns()

        parked.notify("a")
        await turns()
        assert not task.done()

        readable.add("b")
        parked.notify("b")
        await turns()
        assert task.done()
        assert len(parked) == 0
        assert clock.pending_timers == 0

    run(main())


def test_only_watchers_of_the_log_are_asked() -> None:
    async def main() -> None:
        parked = ParkedFetches(ManualClock())
        asked: list[str] = []

        def condition(log: str) -> bool:
            asked.append(log)
            return True

        task = asyncio.create_task(parked.wait(["a"], 500, condition))
        await turns()
        parked.notify("b")
        assert asked == []
        parked.notify("a")
        parked.notify("a")
        assert asked == ["a"], "who is awake already is not asked again"
        await task

    run(main())


def test_the_deadline_ends_the_waiting() -> None:
    async def main() -> None:
        clock = ManualClock()
        parked = ParkedFetches(clock)
        task = asyncio.create_task(parked.wait(["a"], 500, lambda log: False))
        await turns()
        clock.advance(499)
        await turns()
        assert not task.done()
        clock.advance(1)
        await turns()
        assert task.done()
        assert len(parked) == 0

    run(main())


def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async def main() -> None:
        clock = ManualClock()
        parked = ParkedFetches(clock)
        task = asyncio.create_task(parked.wait(["a", "b", "a"], 500, lambda log: True))
        await turns()
        assert len(parked) == 1
        task.cancel()
        await turns()
        assert task.cancelled()
        assert len(parked) == 0
        assert clock.pending_timers == 0
        parked.notify("a")

    run(main())


def test_one_change_wakes_all_whom_it_completes_in_order() -> None:
    async def main() -> None:
        parked = ParkedFetches(ManualClock())
        woken: list[int] = []

        async def fetch(number: int) -> None:
            await parked.wait(["a"], 500, lambda log: number != 2)
            woken.append(number)

        tasks = [asyncio.create_task(fetch(number)) for number in (1, 2, 3)]
        await turns()
        parked.notify("a")
        await turns()
        assert woken == [1, 3]
        assert len(parked) == 1
        parked.close()
        await asyncio.gather(*tasks)
        assert len(parked) == 0

    run(main())


def test_nobody_waits_once_it_is_closed() -> None:
    async def main() -> None:
        clock = ManualClock()
        parked = ParkedFetches(clock)
        task = asyncio.create_task(parked.wait(["a"], 500, lambda log: False))
        await turns()
        parked.close()
        await task
        await parked.wait(["a"], 500, lambda log: False)
        assert len(parked) == 0
        assert clock.pending_timers == 0

    run(main())
