"""`Broker`: a real broker for as long as a block lasts."""

from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from pykbroker.testing.async_broker import AsyncBroker
from pykbroker.testing.base import START_TIMEOUT_S, BaseBroker
from pykbroker.testing.broker_clock import BrokerClock
from pykbroker.testing.home import Snapshot
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.incidents import Incidents
from pykbroker.testing.operations import Operations
from pykbroker.testing.running import Running
from pykbroker.testing.settings import Settings


class Broker(BaseBroker, Operations):
    """A broker in a thread of this process, with its data in a temporary directory.

    It does not fsync: what it holds survives `restart` and `kill`, not the machine. `TEST_DEFAULTS`
    in `pykbroker.testing.settings` has all settings that differ from a broker's in production.

    `with Broker() as broker` starts it and removes it in the end; so does `async with`, and
    `await Broker()` starts it, but these give an `AsyncBroker` on the running loop.

    Args:
        settings: Broker settings by Kafka's names.
        port: Where it listens; 0 is any free port, which it then keeps until it is closed.
        process: Whether it gets a process of its own, which can be killed.
    """

    def __init__(
        self, settings: Settings | None = None, *, port: int = 0, process: bool = False
    ) -> None:
        super().__init__(settings, port=port, process=process)
        thread = ServerThread(self._broker_log, self._make_server)
        self._running: Running = self._process or thread
        self._loop = lambda: thread.loop
        self._clock = BrokerClock(self._movable_clock, self._loop)
        self._arguments = settings, port, process
        self._async: AsyncBroker | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it and remove its data."""
        self.close()

    async def __aenter__(self) -> AsyncBroker:
        """Start it on the running loop."""
        settings, port, process = self._arguments
        self._async = AsyncBroker(settings, port=port, process=process)
        await self._async.start()
        return self._async

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it and remove its data."""
        if self._async is not None:
            await self._async.close()

    def __await__(self) -> Generator[Any, None, AsyncBroker]:
        """Start it on the running loop; to be closed by the caller."""
        return self.__aenter__().__await__()

    @property
    def clock(self) -> BrokerClock:
        """The broker's time, to be moved on.

        It goes on from there over a restart, save for a broker in a process of its own.
        """
        return self._clock if self._remote is None else self._remote.clock

    @property
    def incidents(self) -> Incidents:
        """What may happen to the broker: no connections, a full disk, a leader that changes."""
        if self._remote is not None:
            return self._remote.incidents
        return Incidents(self._incidents, self._loop)

    def start(self) -> None:
        """Return when connections are accepted; does nothing when it runs.

        Raises:
            ConfigError: A setting is unknown or malformed.
            StartError: It is not ready in time.
        """
        if self._is_running:
            return
        is_first = not self._home.is_open
        self._open_home()
        try:
            settings = self._settings_of_start()
            self._home.port = self._running.start(settings, START_TIMEOUT_S)
        except BaseException:
            if is_first:
                self._close_home()
            raise
        self._is_running = True

    def stop(self) -> None:
        """Stop it; the data and the port are kept for the next `start`."""
        self._is_running = False
        if self._remote is not None:
            self._remote.forget()
        self._running.stop()

    def close(self) -> None:
        """Stop it and remove its data; a `start` then begins anew."""
        try:
            self.stop()
        finally:
            self._close_home()

    def restart(self) -> None:
        """Stop it, and start it on the same data and port; also after `kill`."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End its process with SIGKILL; for `Broker(process=True)` only."""
        if self._remote is not None:
            self._remote.forget()
        self._running.kill()
        self._is_running = False

    def snapshot(self) -> Snapshot:
        """Keep the whole state: topics, records, groups, settings.

        Clients are disconnected for some milliseconds; they come back by themselves.
        """
        self.stop()
        try:
            return self._home.save()
        finally:
            self.start()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a state; clients are disconnected, and what they have written since is gone.

        Raises:
            FileNotFoundError: The snapshot was discarded; the state is as it was.
        """
        self.stop()
        try:
            self._home.restore(snapshot)
        finally:
            self.start()
