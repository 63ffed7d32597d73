"""`AsyncBroker`: a broker for asyncio programs."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from pykbroker.testing.base import START_TIMEOUT_S, BaseBroker
from pykbroker.testing.broker_clock import AsyncBrokerClock
from pykbroker.testing.home import Snapshot
from pykbroker.testing.in_loop import AsyncRunning, OffLoop, ServerInLoop
from pykbroker.testing.incidents import AsyncIncidents
from pykbroker.testing.operations import Operations
from pykbroker.testing.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class _OperationsAt(Operations):
    """The operations on a broker that somebody else runs."""

    def __init__(self, broker: BaseBroker) -> None:
        self._broker = broker

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT, for clients."""
        return self._broker.bootstrap_servers


def _off_loop(
    operation: Callable[Concatenate[Operations, P], T],
) -> "Callable[Concatenate[AsyncBroker, P], Coroutine[Any, Any, T]]":
    """Make a coroutine of what blocks; the broker may be on the very loop that awaits it."""

    @wraps(operation)
    async def call(broker: "AsyncBroker", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(operation, _OperationsAt(broker), *args, **kwargs)

    return call


class AsyncBroker(BaseBroker):
    """What `async with Broker()` gives: the broker runs on the program's loop.

    It is that loop's: everything is to be awaited there. The methods are those of `Broker`.
    """

    def __init__(
        self, settings: Settings | None = None, *, port: int = 0, process: bool = False
    ) -> None:
        super().__init__(settings, port=port, process=process)
        self._running: AsyncRunning = (
            ServerInLoop(self._broker_log, self._make_server)
            if self._process is None
            else OffLoop(self._process)
        )

    @property
    def clock(self) -> AsyncBrokerClock:
        """The broker's time, to be moved on; see `Broker.clock`."""
        if self._remote is not None:
            from pykbroker.testing.async_remote import AsyncRemoteClock

            return AsyncRemoteClock(self._remote.clock)
        return AsyncBrokerClock(self._movable_clock)

    @property
    def incidents(self) -> AsyncIncidents:
        """What may happen to the broker; see `Broker.incidents`."""
        if self._remote is not None:
            from pykbroker.testing.async_remote import AsyncRemoteIncidents

            return AsyncRemoteIncidents(self._remote.incidents)
        return self._incidents

    async def start(self) -> None:
        """Return when connections are accepted; does nothing when it runs."""
        if self._is_running:
            return
        is_first = not self._home.is_open
        self._open_home()
        try:
            settings = self._settings_of_start()
            self._home.port = await self._running.start(settings, START_TIMEOUT_S)
        except BaseException:
            if is_first:
                self._close_home()
            raise
        self._is_running = True

    async def stop(self) -> None:
        """Stop it; the data and the port are kept for the next `start`."""
        self._is_running = False
        if self._remote is not None:
            await asyncio.to_thread(self._remote.forget)
        await self._running.stop()

    async def close(self) -> None:
        """Stop it and remove its data; a `start` then begins anew."""
        try:
            await self.stop()
        finally:
            await asyncio.to_thread(self._close_home)

    async def restart(self) -> None:
        """Stop it, and start it on the same data and port; also after `kill`."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """End its process with SIGKILL; for `Broker(process=True)` only."""
        if self._remote is not None:
            await asyncio.to_thread(self._remote.forget)
        await self._running.kill()
        self._is_running = False

    async def snapshot(self) -> Snapshot:
        """Keep the whole state; see `Broker.snapshot`."""
        await self.stop()
        try:
            return await asyncio.to_thread(self._home.save)
        finally:
            await self.start()

    async def restore(self, snapshot: Snapshot) -> None:
        """Go back to a state; see `Broker.restore`."""
        await self.stop()
        try:
            await asyncio.to_thread(self._home.restore, snapshot)
        finally:
            await self.start()

    create_topic = _off_loop(Operations.create_topic)
    create_topics = _off_loop(Operations.create_topics)
    delete_topic = _off_loop(Operations.delete_topic)
    produce = _off_loop(Operations.produce)
    produce_many = _off_loop(Operations.produce_many)
    records = _off_loop(Operations.records)
    end_offsets = _off_loop(Operations.end_offsets)
    committed = _off_loop(Operations.committed)
    wait_for_group = _off_loop(Operations.wait_for_group)
    wait_for_committed = _off_loop(Operations.wait_for_committed)
