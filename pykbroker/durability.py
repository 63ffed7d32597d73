"""Group commit: an answer that promises durability waits for an fsync that many answers share.

acks=all says "it is on the disk", for one node has no replica to lean on. Each log has at most one
flush under way, in a thread; it begins when the loop has handled what else has come. Whoever starts
to wait meanwhile is served by that flush if it happens to cover his records, else by the next one;
so under load one fsync answers everything that was appended while the fsync before it ran. Logs are
flushed independently of each other, and each log directory has threads of its own: a slow disk
delays nobody but its own producers, and the event loop never waits for a disk.

A failed flush is never retried and acknowledged: the kernel may have dropped the dirty pages. All
who wait for that log get KAFKA_STORAGE_ERROR; taking the log offline is the log's own affair.
"""

import asyncio
import logging
from collections.abc import Hashable
from typing import Final, Protocol

from pykbroker.flush_threads import FlushThreads
from pykbroker.protocol.errors import ErrorCode, KafkaError

logger = logging.getLogger(__name__)

# One journal commit of the file system serves all fsyncs that wait for it: on ext4, ten logs are
# flushed by one thread in 7.5 ms, by four in 2.5 ms, by ten in 1.7 ms. A thread that waits for the
# disk costs nothing else; it is started when all others are busy.
FLUSH_THREADS_PER_DIRECTORY: Final = 12

Waiter = tuple[int, asyncio.Future[None]]


class FlushableLog(Hashable, Protocol):
    """What group commit needs of a `PartitionLog`."""

    @property
    def recovery_point(self) -> int:
        """Everything below this offset is on the disk."""

    @property
    def directory(self) -> Hashable:
        """The entry of `log.dirs` that the log lives in."""

    @property
    def is_closed(self) -> bool:
        """Whether the log has gone away: its topic was deleted."""

    def flush(self) -> None:
        """Make everything appended so far durable and advance the recovery point; blocks."""


class GroupCommit:
    """Lets requests wait until what they appended is durable.

    Attributes:
        flushes: How many flushes were started, for the metrics.
    """

    def __init__(self, enabled: bool) -> None:
        """Create it.

        Args:
            enabled: False (`pykbroker.fsync=never`) makes every wait return at once: records are
                then as durable as the page cache.
        """
        self.flushes = 0
        self._enabled = enabled
        # A log is in here exactly while a flush of it is queued or running.
        self._waiters: dict[FlushableLog, list[Waiter]] = {}
        # How many of them waited before its flush was started.
        self._covered: dict[FlushableLog, int] = {}
        self._threads: dict[Hashable, FlushThreads[FlushableLog]] = {}

    @property
    def is_flushing(self) -> bool:
        """Whether a flush is queued or running."""
        return bool(self._waiters)

    @property
    def waiting(self) -> int:
        """How many waits have not been answered yet."""
        return sum(map(len, self._waiters.values()))

    def submit(self, log: FlushableLog, offset: int) -> asyncio.Future[None] | None:
        """Ask for durability of all records of a log below `offset`.

        Returns:
            A future that is done when they are durable, or holds a KafkaError (see `wait`); or None
            when there is nothing to wait for. A caller that gives up cancels it.
        """
        if not self._enabled or log.recovery_point >= offset:
            return None
        future = asyncio.get_running_loop().create_future()
        waiters = self._waiters.get(log)
        if waiters is not None:
            waiters.append((offset, future))
        else:
            self._waiters[log] = [(offset, future)]
            # Not yet: the requests that have come together with this one can share its flush, and
            # so can those that have come while it was worked on. The loop reads them next.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._start_flush, log)
        return future

    async def wait(self, log: FlushableLog, offset: int) -> None:
        """Return when all records of a log below `offset` are durable.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR, the disk refused; UNKNOWN_TOPIC_OR_PARTITION, the
                topic was deleted meanwhile.
        """
        future = self.submit(log, offset)
        if future is not None:
            await future

    def close(self) -> None:
        """Wait for the flushes that run, and drop those that have not begun."""
        for threads in self._threads.values():
            for log in threads.close():
                del self._covered[log]
                waiters = self._waiters.pop(log)
                _fail(waiters, ErrorCode.KAFKA_STORAGE_ERROR, "the broker is stopping")
        self._threads.clear()

    def _start_flush(self, log: FlushableLog) -> None:
        directory = log.directory
        threads = self._threads.get(directory)
        if threads is None:
            threads = FlushThreads(FLUSH_THREADS_PER_DIRECTORY, self._finish_flush)
            self._threads[directory] = threads
        self.flushes += 1
        self._covered[log] = len(self._waiters[log])
        threads.submit(log)

    def _finish_flush(self, log: FlushableLog, error: BaseException | None) -> None:
        """Answer those whom the flush served."""
        waiters = self._waiters.pop(log)
        covered = self._covered.pop(log)
        if log.is_closed and (error is not None or log.recovery_point < waiters[0][0]):
            _fail(waiters, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the log has gone away")
            return
        if error is not None:
            logger.error("flush failed log=%s error=%r", log, error)
            _fail(waiters, ErrorCode.KAFKA_STORAGE_ERROR, "the disk refused to flush")
            return

        recovery_point = log.recovery_point
        late: list[Waiter] = []
        for number, (offset, future) in enumerate(waiters):
            if future.done():
                continue
            if offset <= recovery_point:
                future.set_result(None)
            elif number >= covered:
                late.append((offset, future))
            else:
                # A flush that does not cover what was there before it would go on for ever.
                _fail([(offset, future)], ErrorCode.KAFKA_STORAGE_ERROR, "records are missing")
        if late:
            self._waiters[log] = late
            self._start_flush(log)


def _fail(waiters: list[Waiter], code: ErrorCode, reason: str) -> None:
    for _, future in waiters:
        if not future.done():
            future.set_exception(KafkaError(code, reason))
