"""A server with a control interface beside its listeners."""

from aiohttp import web

from pykbroker.config.broker import BrokerConfig
from pykbroker.control.application import Control, is_loopback
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.server import Endpoint, ListenError
from pykbroker.tap.server import TappedServer
from pykbroker.tap.taps import Taps


class ControlledServer(TappedServer):
    """A server to which things are done over HTTP.

    aiohttp serves it: it runs in an event loop that is there already, and leaves signals alone.

    Args:
        config: The settings.
        host: Where the interface listens: a loopback address.
        port: Its port; 0 takes a free one.

    Attributes:
        control: Where the interface listens, once it does.

    Raises:
        ListenError: The address is no loopback address.
    """

    def __init__(self, config: BrokerConfig, host: str, port: int) -> None:
        if not is_loopback(host):
            raise ListenError(
                f"the control interface cannot listen on {host}: whoever reaches it may do "
                "anything to the broker; take a loopback address such as 127.0.0.1"
            )
        rules, clock, taps = Rules(), MovableClock(), Taps()
        super().__init__(config, rules, taps, clock)
        self.control: Endpoint | None = None
        self._address = host, port
        application = Control(self, rules, clock, taps).application()
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self) -> None:
        """Open the data directories, the listeners, and the control interface.

        Raises:
            ListenError, DataDirectoryError: As `Server.start`; an address is taken.
        """
        await super().start()
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, *self._address).start()
        except OSError as error:
            await self.stop()
            host, port = self._address
            raise ListenError(f"--control {host}:{port}: {error.strerror or error}") from error
        host, port = self._runner.addresses[0][:2]
        self.control = Endpoint("CONTROL", host, port)

    async def stop(self) -> None:
        """Close the control interface, and stop."""
        await self._runner.cleanup()
        await super().stop()
