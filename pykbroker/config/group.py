"""What holds for one consumer group: its own settings, and the broker's where it has none."""

from collections.abc import Mapping
from dataclasses import dataclass

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.group_keys import GROUP_KEYS
from pykbroker.config.keys import parse_value

_KEYS = {key.name: key for key in GROUP_KEYS}


@dataclass(frozen=True, slots=True)
class ConsumerGroupConfig:
    """The times of one consumer group."""

    session_timeout_ms: int
    heartbeat_interval_ms: int
    assignment_interval_ms: int

    @classmethod
    def of(cls, overrides: Mapping[str, str], broker: BrokerConfig) -> "ConsumerGroupConfig":
        """Lay a group's own settings over the broker's.

        The broker's limits may have changed since the group was given a value: then the nearest
        one that they allow holds, as in Kafka.
        """
        return cls(
            _effective("consumer.session.timeout.ms", overrides, broker),
            _effective("consumer.heartbeat.interval.ms", overrides, broker),
            _effective("consumer.assignment.interval.ms", overrides, broker),
        )


def _effective(name: str, overrides: Mapping[str, str], broker: BrokerConfig) -> int:
    text = overrides.get(name)
    if text is None:
        return _number(broker.value(f"group.{name}"))
    kind, _, rest = name.partition(".")
    least, most = (_number(broker.value(f"group.{kind}.{word}.{rest}")) for word in ("min", "max"))
    return min(max(_number(parse_value(_KEYS[name], text)), least), most)


def _number(value: object) -> int:
    assert isinstance(value, int), "all settings here are numbers"
    return value
