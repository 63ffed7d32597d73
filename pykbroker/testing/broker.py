"""`Broker`: a real broker for as long as a block lasts."""

from types import TracebackType
from typing import Final, Self

from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.home import Home, Snapshot
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.running import Running
from pykbroker.testing.settings import HOST, Settings, broker_settings

START_TIMEOUT_S: Final = 30.0


class Broker:
    """A broker in a thread of this process, with its data in a temporary directory.

    It does not fsync: what it holds survives `restart`, not the machine. `TEST_DEFAULTS` in
    `pykbroker.testing.settings` has the other settings that differ from a broker's in production.

    Args:
        settings: Broker settings by Kafka's names.
        port: Where it listens; 0 is any free port, which it then keeps until it is closed.
    """

    def __init__(self, settings: Settings | None = None, *, port: int = 0) -> None:
        self._settings = dict(settings or {})
        self._home = Home(port)
        self._log = BrokerLog()
        self._running: Running = ServerThread(self._log)
        self._is_running = False

    def __repr__(self) -> str:
        state = self.bootstrap_servers if self._is_running else "not running"
        return f"<{type(self).__name__} {state}>"

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

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT, for clients."""
        return f"{HOST}:{self.port}"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if not self._home.is_open:
            raise RuntimeError("the broker has not been started")
        return self._home.port

    @property
    def log(self) -> str:
        """What the broker has logged, the last 10,000 lines of it."""
        return "\n".join(self._log.since(0))

    def start(self) -> None:
        """Return when connections are accepted; does nothing when it runs.

        Raises:
            ConfigError: A setting is unknown or malformed.
            StartError: It is not ready in time.
        """
        if self._is_running:
            return
        is_first = not self._home.is_open
        self._home.open()
        try:
            settings = broker_settings(self._settings, self._home.data, self._home.port)
            self._home.port = self._running.start(settings, START_TIMEOUT_S)
        except BaseException:
            if is_first:
                self._home.close()
            raise
        self._is_running = True

    def stop(self) -> None:
        """Stop it; the data and the port are kept for the next `start`."""
        self._is_running = False
        self._running.stop()

    def close(self) -> None:
        """Stop it and remove its data; a `start` then begins anew."""
        try:
            self.stop()
        finally:
            self._home.close()

    def restart(self) -> None:
        """Stop it, and start it on the same data and port; also after `kill`."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End its process with SIGKILL; for `Broker(process=True)` only."""
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
