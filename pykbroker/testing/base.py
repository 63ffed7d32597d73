"""What a broker for tests is, whether one waits for it or awaits it."""

from typing import Final

from pykbroker.testing.broker_log import BrokerLog, Lines, LogFile
from pykbroker.testing.home import Home
from pykbroker.testing.settings import HOST, Settings, broker_settings

START_TIMEOUT_S: Final = 30.0


class BaseBroker:
    """Settings, place and log of a broker; how it runs is for its subclasses."""

    def __init__(self, settings: Settings | None, *, port: int, process: bool) -> None:
        self._settings = dict(settings or {})
        self._home = Home(port)
        self._broker_log = BrokerLog()
        self._log_file = LogFile(lambda: self._home.log_file)
        self._lines: Lines = self._log_file if process else self._broker_log
        self._is_running = False

    def __repr__(self) -> str:
        state = self.bootstrap_servers if self._is_running else "not running"
        return f"<{type(self).__name__} {state}>"

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
        """What the broker has logged; of one in this process the last 10,000 lines."""
        return "\n".join(self._lines.since(0))

    def _settings_of_start(self) -> dict[str, str]:
        return broker_settings(self._settings, self._home.data, self._home.port)
