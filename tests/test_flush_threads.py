from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pykbroker.flush_threads import FlushThreads
from tests.harness.loop import run, until


class FakeLog:
    """Something whose flush waits until the test lets it end."""

    def __init__(self, error: BaseException | None = None, *, is_open: bool = True) -> None:
        self.error = error
        self.threads: list[int] = []
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def flush(self) -> None:
        self.threads.append(threading.get_ident())
        assert self.gate.wait(5)
        if self.error is not None:
            raise self.error


class Flushed:
    """What the loop was told."""

    def __init__(self) -> None:
        self.errors: dict[FakeLog, BaseException | None] = {}
        self.threads: set[int] = set()

    def __call__(self, log: FakeLog, error: BaseException | None) -> None:
        self.errors[log] = error
        self.threads.add(threading.get_ident())


def test_the_loop_hears_of_each_flush_and_of_its_error() -> None:
    async def main() -> None:
        flushed = Flushed()
        threads = FlushThreads(2, flushed)
        good, bad = FakeLog(), FakeLog(OSError("the disk"))
        threads.submit(good)
        threads.submit(bad)
        await until(lambda: len(flushed.errors) == 2)
        assert flushed.errors == {good: None, bad: bad.error}
        assert flushed.threads == {threading.get_ident()}
        assert threading.get_ident() not in good.threads + bad.threads
        assert threads.close() == []

    run(main())


def test_flushes_that_end_together_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        flushed = Flushed()
        threads = FlushThreads(3, flushed)
        logs = [FakeLog(is_open=False) for _ in range(3)]
        loop = asyncio.get_running_loop()
        woken: list[int] = []
        wake = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            woken.append(1)
            return wake(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for log in logs:
            threads.submit(log)
        await until(lambda: all(log.threads for log in logs))
        for log in logs:
            log.gate.set()
        assert threads.close() == []  # all have ended, and the loop has had no turn since
        assert (len(woken), flushed.errors) == (1, {})
        await until(lambda: len(flushed.errors) == 3)

    run(main())


def test_what_nobody_expected_does_not_end_the_thread() -> None:
    async def main() -> None:
        flushed = Flushed()
        threads = FlushThreads(1, flushed)
        logs = [FakeLog(SystemExit()), FakeLog()]
        for log in logs:
            threads.submit(log)
        await until(lambda: len(flushed.errors) == 2)
        assert logs[0].threads == logs[1].threads
        threads.close()

    run(main())


def test_a_thread_is_started_only_when_the_others_are_busy() -> None:
    async def main() -> None:
        flushed = Flushed()
        threads = FlushThreads(2, flushed)
        one_by_one = [FakeLog() for _ in range(3)]
        for number, log in enumerate(one_by_one, 1):
            threads.submit(log)
            await until(lambda number=number: len(flushed.errors) == number)  # type: ignore[misc]
        assert len({thread for log in one_by_one for thread in log.threads}) == 1

        together = [FakeLog(is_open=False) for _ in range(3)]
        for log in together:
            threads.submit(log)
        await until(lambda: sum(len(log.threads) for log in together) == 2)
        for log in together:
            log.gate.set()
        await until(lambda: len(flushed.errors) == 6)
        assert len({thread for log in together for thread in log.threads}) == 2
        threads.close()

    run(main())


def test_a_close_waits_for_what_runs_and_gives_back_what_has_not_begun() -> None:
    async def main() -> None:
        flushed = Flushed()
        threads = FlushThreads(1, flushed)
        running, queued = FakeLog(is_open=False), FakeLog()
        threads.submit(running)
        threads.submit(queued)
        await until(lambda: len(running.threads) == 1)
        threading.Timer(0.01, running.gate.set).start()
        assert threads.close() == [queued]
        assert queued.threads == []
        await until(lambda: flushed.errors == {running: None})

    run(main())
