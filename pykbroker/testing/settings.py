"""The settings of a broker for tests, where they are not those of a broker in production."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

SettingValue = str | int | float | bool
Settings = Mapping[str, SettingValue]

HOST: Final = "127.0.0.1"

TEST_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Nobody reads a test's records after a power cut.
        "pykbroker.fsync": "never",
        # Polling would take the interpreter from the test that runs beside the broker.
        "pykbroker.busy.poll.us": "0",
        # Topics as they are in production, on one broker.
        "pykbroker.replication.factor.cap": "true",
        # A group is stable as soon as its members are there.
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.assignment.interval.ms": "0",
        "group.consumer.min.assignment.interval.ms": "0",
        # By heartbeats members of the consumer protocol (KIP-848) learn what they are to read.
        "group.consumer.heartbeat.interval.ms": "100",
        "group.consumer.min.heartbeat.interval.ms": "100",
        # A group's first member makes the internal topic: one partition instead of fifty.
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
    }
)

# Where the data is and where clients connect is the test broker's own affair.
_RESERVED: Final = ("listeners", "advertised.listeners", "log.dir", "log.dirs")


def broker_settings(chosen: Settings, directory: Path, port: int) -> dict[str, str]:
    """Put together the settings of one start.

    Args:
        chosen: What the test asks for, by Kafka's names.
        directory: Where the data is.
        port: The port to listen on; 0 takes a free one.

    Raises:
        ValueError: A setting is not the test's to choose.
    """
    for name in _RESERVED:
        if name in chosen:
            raise ValueError(f"{name} cannot be set: a test broker has an address and a place")
    return {
        **TEST_DEFAULTS,
        **{name: setting_text(value) for name, value in chosen.items()},
        "listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(directory),
    }


def setting_text(value: SettingValue) -> str:
    """Write a value as a server.properties file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
