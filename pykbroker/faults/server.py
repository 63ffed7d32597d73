"""A server whose requests go by rules."""

from collections.abc import Callable

from pykbroker.clock import Clock
from pykbroker.config.broker import BrokerConfig
from pykbroker.faults.enforcement import Enforcement
from pykbroker.faults.rules import Rules
from pykbroker.server import Server


class FaultyServer(Server):
    """A server that obeys rules while there are any; else it is like any other.

    Args:
        config: The settings.
        rules: What requests get; they may come and go while it runs, and outlive it.
        clock: The broker's.
    """

    def __init__(self, config: BrokerConfig, rules: Rules, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
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
