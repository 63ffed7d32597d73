"""A real broker inside tests: `with Broker() as broker: broker.bootstrap_servers`.

Nothing is imported before it is used: the pytest plugin lives in this package, and costs nothing
in sessions that do not use it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykbroker.commands.group_views import GroupView
    from pykbroker.testing.async_broker import AsyncBroker
    from pykbroker.testing.broker import Broker
    from pykbroker.testing.home import Snapshot
    from pykbroker.testing.records import ConsumerRecord, RecordMetadata
    from pykbroker.testing.running import StartError

_HOMES = {
    "AsyncBroker": "pykbroker.testing.async_broker",
    "Broker": "pykbroker.testing.broker",
    "ConsumerRecord": "pykbroker.testing.records",
    "GroupView": "pykbroker.commands.group_views",
    "RecordMetadata": "pykbroker.testing.records",
    "Snapshot": "pykbroker.testing.home",
    "StartError": "pykbroker.testing.running",
}

__all__ = [
    "AsyncBroker",
    "Broker",
    "ConsumerRecord",
    "GroupView",
    "RecordMetadata",
    "Snapshot",
    "StartError",
]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
