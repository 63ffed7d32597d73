"""A server whose requests go by rules."""

from collections.abc import Callable

from pykbroker.broker import FSYNC_ALWAYS
from pykbroker.clock import Clock
from pykbroker.config.broker import BrokerConfig
from pykbroker.faults.disk import FaultyDisk
from pykbroker.faults.enforcement import Enforcement
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
        self._enforcement = Enforcement(rules, self.broker)
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Open the data directories, then the listeners; see `Server.start`."""
        self._unsubscribe = self._rules.subscribe(self._obey)
        self._obey()
        await super().start()

    async def stop(self) -> None:
        """Close what rules hold up, and stop."""
        self._enforcement.release()
        if self._unsubscribe is not None:
            self._unsubscribe()
        await super().stop()

    def _obey(self) -> None:
        self.dispatcher.intercept(self._enforcement.wrap if len(self._rules) else None)
