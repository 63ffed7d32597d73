"""A server whose requests go by rules."""

from collections.abc import Callable

from pykbroker.broker import FSYNC_ALWAYS
from pykbroker.clock import Clock
from pykbroker.config.broker import BrokerConfig
from pykbroker.faults.disk import FaultyDisk
from pykbroker.faults.enforcement import Enforcement
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.server import Server


class FaultyServer(Server):
    """A server that obeys rules while there are any; else it is like any other.

    Args:
        config: The settings.
        rules: What requests get; they may come and go while it runs, and outlive it.
        clock: The broker's.

    Attributes:
        disk: Where the logs are.
    """

    def __init__(self, config: BrokerConfig, rules: Rules, clock: Clock | None = None) -> None:
        self.disk = FaultyDisk(fsync_enabled=config.pykbroker_fsync == FSYNC_ALWAYS)
        super().__init__(config, clock, self.disk)
        self._rules = rules
        self._clock = clock if isinstance(clock, MovableClock) else None
        self._enforcement = Enforcement(rules, self.broker, self._clock)
        self._unsubscribe: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Open the data directories, then the listeners; see `Server.start`."""
        self._unsubscribe.append(self._rules.subscribe(self._obey))
        if self._clock is not None:
            self._unsubscribe.append(self._clock.subscribe(self._obey))
        self._obey()
        await super().start()

    async def stop(self) -> None:
        """Close what rules hold up, and stop."""
        self._enforcement.release()
        while self._unsubscribe:
            self._unsubscribe.pop()()
        await super().stop()

    def _obey(self) -> None:
        is_advancing = self._clock is not None and self._clock.is_advancing
        has_rules = len(self._rules) > 0
        self.dispatcher.intercept(self._enforcement.wrap if has_rules or is_advancing else None)
