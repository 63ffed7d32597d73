"""What happens to brokers, as single commands: for as long as a block lasts, or for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from pykbroker.faults import moves
from pykbroker.faults.rules import Rules
from pykbroker.faults.server import FaultyServer

MOVE_S: Final = 1.0
NO_FSYNC: Final = 'a broker for tests does not fsync: Broker({"pykbroker.fsync": "always"}) does'


class AsyncIncidents:
    """What may happen to a broker on the running loop.

    Args:
        server: Returns the broker's server; raises RuntimeError while it does not run.
        rules: Those of the broker.
    """

    def __init__(self, server: Callable[[], FaultyServer], rules: Rules) -> None:
        self._server = server
        self._rules = rules

    @asynccontextmanager
    async def unavailable(self) -> AsyncIterator[None]:
        """See `Incidents.unavailable`."""
        self._server().suspend()
        try:
            yield
        finally:
            await self._server().resume()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """See `Incidents.full_disk`."""
        disk = self._server().disk
        disk.is_full = True
        try:
            yield
        finally:
            disk.is_full = False

    def fail_fsync(self, times: int = 1) -> None:
        """See `Incidents.fail_fsync`."""
        disk = self._server().disk
        if not disk.fsync_enabled:
            raise RuntimeError(NO_FSYNC)
        disk.failing_syncs = times

    def move_coordinator(
        self,
        group: str | None = None,
        *,
        transactional_id: str | None = None,
        for_s: float = MOVE_S,
    ) -> None:
        """See `Incidents.move_coordinator`."""
        moves.move_coordinator(
            self._rules, group=group, transactional_id=transactional_id, for_s=for_s
        )

    async def change_leader(self, topic: str, partition: int = 0, *, for_s: float = MOVE_S) -> None:
        """See `Incidents.change_leader`."""
        metadata = self._server().broker.metadata
        await moves.change_leader(self._rules, metadata, topic, partition, for_s=for_s)


class Incidents:
    """What may happen to a broker in a thread.

    Args:
        incidents: The same, in the broker's loop.
        loop: Returns the broker's loop; None while it does not run.
    """

    def __init__(
        self, incidents: AsyncIncidents, loop: Callable[[], asyncio.AbstractEventLoop | None]
    ) -> None:
        self._incidents = incidents
        self._loop = loop

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        """Have the broker refuse connections, and drop those that there are; its time passes."""
        incident = self._incidents.unavailable()
        self._run(incident.__aenter__())
        try:
            yield
        finally:
            self._run(incident.__aexit__(None, None, None))

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no room for records; producers get KAFKA_STORAGE_ERROR."""
        with self._incidents.full_disk():
            yield

    def fail_fsync(self, times: int = 1) -> None:
        """Let the next fsync fail; the broker then serves reads only, until `restart`.

        Raises:
            RuntimeError: The broker does not fsync at all.
        """
        self._incidents.fail_fsync(times)

    def move_coordinator(
        self,
        group: str | None = None,
        *,
        transactional_id: str | None = None,
        for_s: float = MOVE_S,
    ) -> None:
        """Have a group or a transactional id without a coordinator for some seconds.

        Raises:
            RuleError: Neither is given, or both.
        """
        self._incidents.move_coordinator(group, transactional_id=transactional_id, for_s=for_s)

    def change_leader(self, topic: str, partition: int = 0, *, for_s: float = MOVE_S) -> None:
        """Have a partition without a leader for some seconds, then with one of the next epoch.

        Raises:
            RuleError: There is no such partition.
        """
        self._run(self._incidents.change_leader(topic, partition, for_s=for_s))

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        loop = self._loop()
        if loop is None:
            coroutine.close()
            raise RuntimeError("the broker does not run")
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()
