"""The kinds of groups that a shard holds, in one table.

A kind is a module of its own with the group's state and operations, and its rows here: what
offsets, administration, timers and loading ask of every kind alike, and its records.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.classic_kind import ClassicKind
from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.kind import ConsumerKind
from pykbroker.coordinator.group.consumer.replay import REPLAY as CONSUMER_REPLAY
from pykbroker.coordinator.group.offsets import CommittedOffset
from pykbroker.coordinator.group.step import Step
from pykbroker.coordinator.transition import CoordinatorRecord, TimerKey
from pykbroker.protocol.messages.consumer_group_metadata_record import ConsumerGroupMetadataKey
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup

AnyGroup: TypeAlias = ClassicGroup | ConsumerGroup
GroupT_contra = TypeVar("GroupT_contra", contravariant=True)


class GroupKind(Protocol[GroupT_contra]):
    """What is asked of every kind of group.

    Attributes:
        type_name: The kind as ListGroups filters by it.
    """

    type_name: str

    def protocol_type(self, group: GroupT_contra) -> str:
        """Return what the members are, such as `consumer`."""

    def state_name(self, group: GroupT_contra) -> str:
        """Return the state as clients see it."""

    def is_empty(self, group: GroupT_contra) -> bool:
        """Whether the group has no members, so that it may be deleted."""

    def check_commit(self, group: GroupT_contra, committer: Committer) -> None:
        """Raise KafkaError where somebody may not commit."""

    def has_committed(self, group: GroupT_contra, step: Step, member_id: str) -> None:
        """A commit of this member was accepted."""

    def check_fetch(self, group: GroupT_contra, request: OffsetFetchRequestGroup) -> None:
        """Raise KafkaError where the request may not read offsets."""

    def check_offset_delete(self, group: GroupT_contra) -> None:
        """Raise KafkaError where no offsets may be deleted."""

    def is_subscribed_to(self, group: GroupT_contra, topic: str) -> bool:
        """Whether a member consumes the topic, whose offsets must stay."""

    def offsets_may_expire(self, group: GroupT_contra) -> bool:
        """Whether offsets of topics that nobody consumes are too old one day."""

    def offset_age_begins_ms(self, group: GroupT_contra, committed: CommittedOffset) -> int:
        """Return when an offset's time began."""

    def may_go(self, group: GroupT_contra) -> bool:
        """Whether the group is deleted once it has no offsets."""

    def tombstones(self, group: GroupT_contra) -> Iterable[CoordinatorRecord]:
        """Return what says that the group is gone."""

    def loaded(self, group: GroupT_contra, step: Step) -> None:
        """Begin to serve a group whose records have all been replayed."""

    def expire(self, group: GroupT_contra, step: Step, key: TimerKey) -> None:
        """A timer of the group ran out."""

    def computed(self, group: GroupT_contra, step: Step, result: object | None) -> None:
        """A computation of the group has ended; without a result it failed."""

    def topics_changed(self, group: GroupT_contra, *, has_new: bool) -> None:
        """The cluster's topics are not what they were."""


_CLASSIC: Final[GroupKind[ClassicGroup]] = ClassicKind()
_CONSUMER: Final[GroupKind[ConsumerGroup]] = ConsumerKind()

# Each row is checked above; what a row's functions get is a group of its own kind.
KINDS: Final[dict[type, GroupKind[Any]]] = {
    ClassicGroup: _CLASSIC,
    ConsumerGroup: _CONSUMER,
}


@dataclass(slots=True, frozen=True)
class KindRecords:
    """The records of a kind of group: how each changes a group, and which one stands for it.

    A tombstone of `own_key` is the end of the group; it is written last.
    """

    group_type: type[Any]
    own_key: type
    replay: Mapping[type, Callable[[Any, Any, Any], None]]


_ALL_KIND_RECORDS: Final = (KindRecords(ConsumerGroup, ConsumerGroupMetadataKey, CONSUMER_REPLAY),)
RECORDS_OF_KIND: Final[Mapping[type, KindRecords]] = {
    key_type: records for records in _ALL_KIND_RECORDS for key_type in records.replay
}
"""By the type of a record's key. Offsets belong to all kinds, and classic groups are one record."""


def kind_of(group: AnyGroup) -> GroupKind[Any]:
    """Return the row of a group."""
    return KINDS[type(group)]
