"""A server with a control interface beside its listeners."""

from __future__ import annotations

import asyncio
import socket
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pykbroker.config.broker import BrokerConfig
from pykbroker.control.addresses import is_loopback
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.server import Endpoint, ListenError
from pykbroker.tap.server import TappedServer
from pykbroker.tap.taps import Taps

if TYPE_CHECKING:
    from aiohttp import web

LIBRARY: Final = "aiohttp"
APPLICATION: Final = "pykbroker.control.application"


class ControlledServer(TappedServer):
    """A server to which things are done over HTTP.

    aiohttp serves it: it runs in an event loop that is there already, and leaves signals alone. Its
    import takes longer than a broker's start, so it waits for the first who connects.

    Args:
        config: The settings.
        host: Where the interface listens: a loopback address.
        port: Its port; 0 takes a free one.

    Attributes:
        control: Where the interface listens, once it does.

    Raises:
        ListenError: The address is no loopback address.
        ImportError: There is no aiohttp.
    """

    def __init__(self, config: BrokerConfig, host: str, port: int) -> None:
        if not is_loopback(host):
            raise ListenError(
                f"the control interface cannot listen on {host}: whoever reaches it may do "
                "anything to the broker; take a loopback address such as 127.0.0.1"
            )
        if find_spec(LIBRARY) is None:
            raise ModuleNotFoundError(f"No module named {LIBRARY!r}")
        self._rules_and_clock = Rules(), MovableClock()
        rules, clock = self._rules_and_clock
        super().__init__(config, rules, Taps(), clock)
        self.control: Endpoint | None = None
        self._address = host, port
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[web.AppRunner] | None = None

    async def start(self) -> None:
        """Open the data directories, the listeners, and the control interface.

        Raises:
            ListenError, DataDirectoryError: As `Server.start`; an address is taken.
        """
        await super().start()
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server(self._address, family=family)
        except OSError as error:
            await self.stop()
            raise ListenError(f"--control {host}:{port}: {error.strerror or error}") from error
        self._socket.setblocking(False)
        self.control = Endpoint("CONTROL", *self._socket.getsockname()[:2])
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._somebody_connects)

    async def stop(self) -> None:
        """Close the control interface, and stop."""
        if self._serving is not None:
            runner = await self._serving
            await runner.cleanup()
        elif self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._socket = self._serving = None
        await super().stop()

    def _somebody_connects(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        self._serving = loop.create_task(self._serve_control(self._socket))

    async def _serve_control(self, listening: socket.socket) -> web.AppRunner:
        module = await asyncio.to_thread(import_module, APPLICATION)
        rules, clock = self._rules_and_clock
        runner: web.AppRunner = await module.serve(self, rules, clock, self._taps, listening)
        return runner
