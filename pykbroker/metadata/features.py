"""The features of the cluster: which levels there can be, and how the levels change (KIP-584).

A level says how a part of the broker works, for all clients alike: `transaction.version` by which
version transactions work (KIP-890), `group.version` whether there are consumer groups (KIP-848).
`metadata.version` is there because tools tell by it what release they talk to; the metadata here
has one form, so its level never changes. The other features of Kafka are not served.

A feature at level 0 is off, and is not among the finalized ones.

Source: Kafka's FeatureControlManager, GroupVersion, TransactionVersion and MetadataVersion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from pykbroker.protocol.errors import ErrorCode, KafkaError

GROUP_VERSION: Final = "group.version"
METADATA_VERSION: Final = "metadata.version"
TRANSACTION_VERSION: Final = "transaction.version"

# The levels that there can be, from the first to the last one; the last one is what a cluster
# begins with. Those of metadata.version are 3.3-IV3 to 4.3-IV0.
SUPPORTED_LEVELS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {GROUP_VERSION: (0, 1), METADATA_VERSION: (7, 30), TRANSACTION_VERSION: (0, 2)}
)
FIRST_LEVEL_WITH_CONSUMER_GROUPS: Final = 1
_OFF: Final = 0


class UpgradeType(IntEnum):
    """In which direction a level may change; Kafka's numbers (`FeatureUpdate.UpgradeType`)."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


@dataclass(frozen=True, slots=True)
class FeatureUpdate:
    """A level that a feature shall have; an `upgrade_type` of no meaning is refused."""

    name: str
    level: int
    upgrade_type: int = UpgradeType.UPGRADE


def _newest_levels() -> Mapping[str, int]:
    return MappingProxyType({name: last for name, (_, last) in SUPPORTED_LEVELS.items()})


@dataclass(frozen=True, slots=True)
class Features:
    """The level of every feature, and the epoch of all of them together.

    The epoch grows with each change: clients take over what they see with a higher one.
    """

    levels: Mapping[str, int] = field(default_factory=_newest_levels)
    epoch: int = 0

    @property
    def transaction_version(self) -> int:
        """The version by which transactions work."""
        return self.levels[TRANSACTION_VERSION]

    @property
    def has_consumer_groups(self) -> bool:
        """Whether there are groups of the consumer protocol."""
        return self.levels[GROUP_VERSION] >= FIRST_LEVEL_WITH_CONSUMER_GROUPS

    @property
    def finalized(self) -> Mapping[str, int]:
        """The levels of the features that are not off."""
        return {name: level for name, level in self.levels.items() if level != _OFF}

    def updated(self, updates: Sequence[FeatureUpdate], node_id: int) -> Self:
        """Change all levels, or none; of a feature that is named twice the last update counts.

        Raises:
            KafkaError: INVALID_UPDATE_VERSION
        """
        by_name = {update.name: update for update in updates}
        for update in by_name.values():
            self._check(update, node_id)
        levels = {**self.levels, **{name: update.level for name, update in by_name.items()}}
        if levels == self.levels:
            return self
        return replace(self, levels=MappingProxyType(levels), epoch=self.epoch + 1)

    def _check(self, update: FeatureUpdate, node_id: int) -> None:
        name, level = update.name, update.level
        if update.upgrade_type not in set(UpgradeType):
            raise _invalid(update, "The controller does not support the given upgrade type.")
        if level < 0:
            raise _invalid(update, "A feature version cannot be less than 0.")
        supported = SUPPORTED_LEVELS.get(name)
        if supported is None:
            if level == _OFF:
                raise _invalid(update, f"Feature {name} not found.")
            raise _invalid(update, f"Local controller {node_id} does not support this feature.")
        first, last = supported
        if not first <= level <= last:
            raise _invalid(
                update, f"Local controller {node_id} only supports versions {first}-{last}"
            )
        current = self.levels[name]
        is_upgrade = update.upgrade_type == UpgradeType.UPGRADE
        if level < current and is_upgrade:
            raise _invalid(
                update,
                "Can't downgrade the version of this feature without setting the upgrade type to "
                "either safe or unsafe downgrade.",
            )
        if level > current and not is_upgrade:
            raise _invalid(update, "Can't downgrade to a newer version.")
        if name == METADATA_VERSION and level < current:
            raise _metadata_downgrade(update, current)


def _invalid(update: FeatureUpdate, reason: str) -> KafkaError:
    return _refused(f"Invalid update version {update.level} for feature {update.name}. {reason}")


def _metadata_downgrade(update: FeatureUpdate, current: int) -> KafkaError:
    is_unsafe = update.upgrade_type == UpgradeType.UNSAFE_DOWNGRADE
    reason = (
        "Unsafe metadata downgrade is not supported in this version."
        if is_unsafe
        else "Refusing to perform the requested downgrade because it might delete metadata "
        "information."
    )
    return _refused(
        f"Unsupported metadata.version downgrade from {current} to {update.level}. {reason}"
    )


def _refused(reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_UPDATE_VERSION,
        f"The update failed for all features since the following feature had an error: {reason}",
    )
