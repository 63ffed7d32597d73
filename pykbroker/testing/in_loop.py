"""The ways in which a broker runs for an asyncio program: on its loop, or off it."""

import asyncio
from contextlib import ExitStack
from typing import Protocol

from pykbroker.config.broker import BrokerConfig
from pykbroker.server import Server
from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.in_thread import MakeServer, warm_up
from pykbroker.testing.running import Running, StartError


class AsyncRunning(Protocol):
    """As `Running`, to be awaited in one loop."""

    async def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted."""

    async def stop(self) -> None:
        """Answer what is in flight and stop."""

    async def kill(self) -> None:
        """End it at once, as a crash would."""


class ServerInLoop:
    """Runs a server on the running loop, with the tasks of the program.

    Args:
        log: Gets what the server logs.
        make_server: Makes a server of its settings.
    """

    def __init__(self, log: BrokerLog, make_server: MakeServer = Server) -> None:
        self._log = log
        self._make_server = make_server
        self._server: Server | None = None
        self._logging = ExitStack()
        self._stopping = asyncio.Event()
        self._warm_up: asyncio.Task[None] | None = None

    async def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted.

        Raises:
            StartError: It is not ready in time.
            ConfigError: A setting is unknown or malformed.
            ListenError, DataDirectoryError: As the server says.
        """
        config = BrokerConfig.from_settings(settings)
        self._logging.enter_context(self._log.collecting())
        try:
            with self._log.of_this_context():
                server = self._make_server(config)
                async with asyncio.timeout(timeout_s):
                    await server.start()
                self._stopping.clear()
                self._warm_up = asyncio.create_task(warm_up(server, self._stopping))
        except BaseException as error:
            self._logging.close()
            if isinstance(error, TimeoutError):
                raise StartError(f"the broker was not ready after {timeout_s} s") from error
            raise
        self._server = server
        return server.endpoints[0].port

    async def stop(self) -> None:
        """Answer what is in flight and stop."""
        server, self._server = self._server, None
        if server is None or self._warm_up is None:
            return
        self._stopping.set()
        try:
            with self._log.of_this_context():
                await asyncio.gather(self._warm_up, return_exceptions=True)
                await server.stop()
        finally:
            self._logging.close()

    async def kill(self) -> None:
        """Refuse: a loop cannot be killed."""
        raise RuntimeError("a broker in this process cannot be killed; use Broker(process=True)")


class OffLoop:
    """Runs what blocks, without blocking the loop."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted; raises as what it runs."""
        return await asyncio.to_thread(self._running.start, settings, timeout_s)

    async def stop(self) -> None:
        """Answer what is in flight and stop."""
        await asyncio.to_thread(self._running.stop)

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await asyncio.to_thread(self._running.kill)
