"""What a broker for tests is, whether one waits for it or awaits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from pykbroker.client import CLIENT_NAME
from pykbroker.config.broker import BrokerConfig
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.server import Server
from pykbroker.tap.server import TappedServer
from pykbroker.tap.taps import Taps
from pykbroker.testing.broker_log import BrokerLog, Lines, LogFile
from pykbroker.testing.home import Home
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.incidents import AsyncIncidents
from pykbroker.testing.request_log import RequestLog
from pykbroker.testing.settings import HOST, Settings, broker_settings

if TYPE_CHECKING:
    from pykbroker.testing.remote import Remote

START_TIMEOUT_S: Final = 30.0

BROKERS: Final[WeakSet[BaseBroker]] = WeakSet()
"""All that there are, for those who report what went on when a test failed."""


class BaseBroker:
    """Settings, place and log of a broker; how it runs is for its subclasses.

    Attributes:
        log_lines: What it has logged.
        request_log: What it was asked, and has answered.
    """

    def __init__(self, settings: Settings | None, *, port: int, process: bool) -> None:
        self._settings = dict(settings or {})
        self._home = Home(port)
        self._broker_log = BrokerLog()
        self._log_file = LogFile(lambda: self._home.log_file if self._home.is_open else None)
        self.log_lines: Lines = self._log_file if process else self._broker_log
        self.request_log = RequestLog()
        self._process = ServerProcess(self._log_file) if process else None
        self._remote: Remote | None = None
        self._rules, self._taps = Rules(spared_client=CLIENT_NAME), Taps(spared_client=CLIENT_NAME)
        if self._process is not None:
            from pykbroker.testing.remote import Remote  # takes a while

            self._remote = Remote(self._process)
            self._rules, self._taps = self._remote.rules, self._remote.taps
        self._movable_clock = MovableClock()
        self._server: TappedServer | None = None
        self._incidents = AsyncIncidents(self._running_server, self._rules)
        self._is_running = False
        BROKERS.add(self)

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
        return "\n".join(self.log_lines.since(0))

    @property
    def requests(self) -> str:
        """The last requests and their answers, a line each; none of a broker in a process."""
        return "\n".join(self.request_log.since(0))

    @property
    def rules(self) -> Rules:
        """What requests get instead of their answers.

        They stay in force over a restart, save for a broker in a process of its own.
        """
        return self._rules

    @property
    def taps(self) -> Taps:
        """What clients and the broker say to each other.

        They stay open over a restart, save for a broker in a process of its own.
        """
        return self._taps

    def _running_server(self) -> TappedServer:
        if self._server is None or not self._is_running:
            raise RuntimeError("the broker does not run")
        return self._server

    def _open_home(self) -> None:
        self._home.open()
        self._log_file.follow()

    def _close_home(self) -> None:
        self._log_file.keep()  # for whoever asks why
        self._home.close()

    def _make_server(self, config: BrokerConfig) -> Server:
        server = TappedServer(
            config, self._rules, self._taps, self._movable_clock, self.request_log.watch
        )
        self._server = server
        return server

    def _settings_of_start(self) -> dict[str, str]:
        return broker_settings(self._settings, self._home.data, self._home.port)
