import asyncio
import threading
from collections.abc import Callable

import pytest

from pykbroker.durability import FLUSH_THREADS_PER_DIRECTORY, GroupCommit
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.loop import run, turns, until


class FakeLog:
    """A log whose flushes run when the test says so."""

    def __init__(self, directory: str = "/data") -> None:
        self.directory = directory
        self.is_closed = False
        self.recovery_point = 0
        self.log_end_offset = 0
        self.error: Exception | None = None
        self.started = 0
        self.threads: set[int] = set()
        self.gate = threading.Semaphore(0)
        self.during_flush: Callable[[], None] = lambda: None

    def flush(self) -> None:
        end_offset = self.log_end_offset
        self.threads.add(threading.get_ident())
        self.started += 1
        assert self.gate.acquire(timeout=5)
        if self.error is not None:
            raise self.error
        self.recovery_point = max(self.recovery_point, end_offset)


def an_open_log(directory: str = "/data") -> FakeLog:
    """Return a log whose flushes do not wait for the test."""
    log = FakeLog(directory)
    log.gate = threading.Semaphore(1000)
    return log


def test_waiting_ends_when_the_records_are_flushed() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), an_open_log()
        log.log_end_offset = 3

        await commit.wait(log, 3)

        assert log.recovery_point == 3
        assert log.threads.isdisjoint({threading.get_ident()})
        assert commit.waiting == 0
        commit.close()

    run(main())


def test_what_is_durable_already_needs_no_flush() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), an_open_log()
        log.recovery_point = 5
        assert commit.submit(log, 5) is None
        await commit.wait(log, 4)
        assert commit.flushes == 0

    run(main())


def test_a_disabled_group_commit_never_flushes() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=False), an_open_log()
        log.log_end_offset = 3
        assert commit.submit(log, 3) is None
        assert log.started == 0

    run(main())


def test_everything_that_waits_meanwhile_shares_the_next_flush() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), FakeLog()
        log.log_end_offset = 1
        first = commit.submit(log, 1)
        await until(lambda: log.started == 1)
        later = []
        for end_offset in (2, 3, 4):
            log.log_end_offset = end_offset
            later.append(commit.submit(log, end_offset))

        log.gate.release()
        assert first is not None
        await first
        assert [future is not None and future.done() for future in later] == [False] * 3
        await until(lambda: log.started == 2)
        log.gate.release()
        await asyncio.gather(*(future for future in later if future is not None))

        assert commit.flushes == 2
        assert log.recovery_point == 4
        commit.close()

    run(main())


def test_requests_that_come_in_one_turn_of_the_loop_share_a_flush() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), an_open_log()
        waits = []
        for end_offset in (1, 2, 3):
            log.log_end_offset = end_offset
            waits.append(commit.submit(log, end_offset))
            assert log.started == 0
        await asyncio.gather(*(future for future in waits if future is not None))
        assert commit.flushes == 1
        commit.close()

    run(main())


def test_who_comes_while_a_flush_is_queued_is_served_by_it() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), FakeLog()
        log.log_end_offset = 2
        first, second = commit.submit(log, 1), commit.submit(log, 2)
        assert first is not None
        assert second is not None
        log.gate.release()
        await first
        await second
        assert commit.flushes == 1
        commit.close()

    run(main())


def test_a_slow_directory_does_not_delay_another_one() -> None:
    async def main() -> None:
        commit = GroupCommit(enabled=True)
        slow = [FakeLog("/slow") for _ in range(FLUSH_THREADS_PER_DIRECTORY + 6)]
        quick = an_open_log("/quick")
        quick.log_end_offset = 1
        stuck = [commit.submit(log, 0 + 1) for log in slow]
        await until(lambda: sum(log.started for log in slow) == FLUSH_THREADS_PER_DIRECTORY)

        await commit.wait(quick, 1)

        assert not any(future is not None and future.done() for future in stuck)
        for log in slow:
            log.log_end_offset = 1
            log.error = OSError("the test is over")
            log.gate.release()
        await asyncio.gather(
            *(future for future in stuck if future is not None), return_exceptions=True
        )
        commit.close()

    run(main())


@pytest.mark.parametrize(
    "error", [OSError(5, "disk"), KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "offline")]
)
def test_a_failed_flush_fails_all_who_wait_for_that_log(error: Exception) -> None:
    async def main() -> None:
        commit, log, other = GroupCommit(enabled=True), FakeLog(), an_open_log()
        other.log_end_offset = 1
        log.error = error
        futures = [commit.submit(log, offset) for offset in (1, 2)]
        log.gate.release()
        results = await asyncio.gather(
            *(future for future in futures if future is not None), return_exceptions=True
        )
        await commit.wait(other, 1)
        codes = [result.code for result in results if isinstance(result, KafkaError)]
        assert codes == [ErrorCode.KAFKA_STORAGE_ERROR] * 2
        assert commit.waiting == 0
        commit.close()

    run(main())


def test_a_flush_that_does_not_help_is_not_repeated_for_ever() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), an_open_log()
        with pytest.raises(KafkaError, match="missing"):
            await commit.wait(log, 7)
        assert commit.flushes == 1
        commit.close()

    run(main())


@pytest.mark.parametrize("error", [OSError(2, "no such file"), None])
def test_waiting_for_a_deleted_topic_says_so(error: Exception | None) -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), an_open_log()
        log.is_closed = True
        log.error = error
        with pytest.raises(KafkaError) as caught:
            await commit.wait(log, 7)
        assert caught.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        commit.close()

    run(main())


def test_who_gives_up_is_forgotten() -> None:
    async def main() -> None:
        commit, log = GroupCommit(enabled=True), FakeLog()
        log.log_end_offset = 1
        task = asyncio.create_task(commit.wait(log, 1))
        await until(lambda: log.started == 1)
        late = commit.submit(log, 1)
        assert late is not None
        task.cancel()
        await turns()
        assert task.cancelled()
        log.gate.release()
        await late
        assert commit.waiting == 0
        commit.close()

    run(main())


def test_closing_fails_those_whose_flush_has_not_begun() -> None:
    async def main() -> None:
        commit = GroupCommit(enabled=True)
        logs = [FakeLog() for _ in range(FLUSH_THREADS_PER_DIRECTORY + 1)]
        for log in logs:
            log.log_end_offset = 1
        futures = [commit.submit(log, 1) for log in logs]
        await until(lambda: sum(log.started for log in logs) == FLUSH_THREADS_PER_DIRECTORY)
        for log in logs:
            log.gate.release()
        commit.close()
        results = await asyncio.gather(
            *(future for future in futures if future is not None), return_exceptions=True
        )
        assert sum(result is None for result in results) >= FLUSH_THREADS_PER_DIRECTORY
        assert all(result is None or isinstance(result, KafkaError) for result in results)
        assert commit.waiting == 0

    run(main())
