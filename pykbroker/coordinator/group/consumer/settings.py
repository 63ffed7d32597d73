"""What holds for consumer groups: `group.consumer.*` of the broker, and what a group overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class MigrationPolicy(Enum):
    """`group.consumer.migration.policy`: which live groups may change their protocol."""

    DISABLED = "disabled"
    DOWNGRADE = "downgrade"
    UPGRADE = "upgrade"
    BIDIRECTIONAL = "bidirectional"

    @property
    def allows_upgrade(self) -> bool:
        """Whether a classic group may become a consumer group."""
        return self in (MigrationPolicy.UPGRADE, MigrationPolicy.BIDIRECTIONAL)

    @property
    def allows_downgrade(self) -> bool:
        """Whether a consumer group may become a classic group."""
        return self in (MigrationPolicy.DOWNGRADE, MigrationPolicy.BIDIRECTIONAL)


@dataclass(slots=True, frozen=True)
class ConsumerGroupTimes:
    """What each group may have its own value of; Kafka's defaults."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000
    assignment_interval_ms: int = 1_000


@dataclass(slots=True, frozen=True)
class ConsumerGroupSettings:
    """The broker's settings for consumer groups; Kafka's defaults.

    `assignors` names the assignors in use, the default one first; `overrides` has the groups with
    times of their own.
    """

    max_size: int = 2**31 - 1
    assignors: tuple[str, ...] = ("uniform", "range")
    migration_policy: MigrationPolicy = MigrationPolicy.BIDIRECTIONAL
    regex_refresh_interval_ms: int = 600_000
    times: ConsumerGroupTimes = field(default_factory=ConsumerGroupTimes)
    overrides: Mapping[str, ConsumerGroupTimes] = field(default_factory=dict)

    def times_of(self, group_id: str) -> ConsumerGroupTimes:
        """Return the times that hold for one group."""
        return self.overrides.get(group_id, self.times)
