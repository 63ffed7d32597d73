"""A real broker inside tests: `with Broker() as broker: broker.bootstrap_servers`.

Nothing is imported before it is used: the pytest plugin lives in this package, and costs nothing
in sessions that do not use it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykbroker.testing.async_broker import AsyncBroker
    from pykbroker.testing.broker import Broker
    from pykbroker.testing.home import Snapshot
    from pykbroker.testing.running import StartError

_HOMES = {
    "AsyncBroker": "async_broker",
    "Broker": "broker",
    "Snapshot": "home",
    "StartError": "running",
}

__all__ = ["AsyncBroker", "Broker", "Snapshot", "StartError"]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
