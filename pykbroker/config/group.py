"""What holds for one consumer group: its own settings, and the broker's where it has none."""

from collections.abc import Mapping
from dataclasses import dataclass

from pykbroker.config.broker import BrokerConfig


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

        def effective(name: str, default: int, least: int, most: int) -> int:
            text = overrides.get(name)
            return default if text is None else min(max(int(text), least), most)

        return cls(
            effective(
                "consumer.session.timeout.ms",
                broker.group_consumer_session_timeout_ms,
                broker.group_consumer_min_session_timeout_ms,
                broker.group_consumer_max_session_timeout_ms,
            ),
            effective(
                "consumer.heartbeat.interval.ms",
                broker.group_consumer_heartbeat_interval_ms,
                broker.group_consumer_min_heartbeat_interval_ms,
                broker.group_consumer_max_heartbeat_interval_ms,
            ),
            effective(
                "consumer.assignment.interval.ms",
                broker.group_consumer_assignment_interval_ms,
                broker.group_consumer_min_assignment_interval_ms,
                broker.group_consumer_max_assignment_interval_ms,
            ),
        )
