"""A consumer group: its members, epochs and target assignment.

The group epoch counts what changed: members, subscriptions, topics. The target assignment is made
for one group epoch, the assignment epoch, and each member moves to it on its own (`reconcile`).

All of it is hard state, changed in `replay` only, but for the two fields of the metadata check.
Invariants: a partition has at most one owner, the member that has it assigned or has yet to let it
go; `static_members` names the member of each instance id; `regex_counts` counts the members that
subscribe by each regular expression.

Source: KIP-848; Kafka's ModernGroup and ConsumerGroup.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pykbroker.coordinator.group.assignors.spec import TopicPartitions
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.protocol.errors import ErrorCode, KafkaError

FIRST_EPOCH: Final = 1
NEVER_RESOLVED_MS: Final = -(2**63)


class ConsumerGroupState(Enum):
    """State of a consumer group; the value is the name that clients see."""

    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    STABLE = "Stable"


@dataclass(slots=True, frozen=True)
class ResolvedRegex:
    """The topics that a regular expression was last found to match."""

    topics: frozenset[str] = frozenset()
    version: int = 0
    timestamp_ms: int = NEVER_RESOLVED_MS


@dataclass(slots=True)
class ConsumerGroup:
    """One consumer group.

    `metadata_deadline_ms` and `metadata_deadline_epoch` are soft: until when, and for which group
    epoch, the metadata hash is known to be current. `regexes_are_stale`, there are new topics since
    the regular expressions were resolved, and `resolves_regexes`, it is under way, are soft too.
    """

    group_id: str
    group_epoch: int = FIRST_EPOCH
    metadata_hash: int = 0
    assignment_epoch: int = FIRST_EPOCH
    assignment_timestamp_ms: int = 0
    members: dict[str, ConsumerMember] = field(default_factory=dict)
    static_members: dict[str, str] = field(default_factory=dict)
    target: dict[str, TopicPartitions] = field(default_factory=dict)
    owners: dict[tuple[bytes, int], str] = field(default_factory=dict)
    regex_counts: Counter[str] = field(default_factory=Counter)
    resolved_regexes: dict[str, ResolvedRegex] = field(default_factory=dict)
    metadata_deadline_ms: int = 0
    metadata_deadline_epoch: int = 0
    regexes_are_stale: bool = True
    resolves_regexes: bool = False

    @property
    def state(self) -> ConsumerGroupState:
        """How far the group is on the way to its newest target."""
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.group_epoch > self.assignment_epoch:
            return ConsumerGroupState.ASSIGNING
        if all(m.is_reconciled_to(self.assignment_epoch) for m in self.members.values()):
            return ConsumerGroupState.STABLE
        return ConsumerGroupState.RECONCILING

    # Members

    def member(self, member_id: str) -> ConsumerMember:
        """Return a member.

        Raises:
            KafkaError: UNKNOWN_MEMBER_ID.
        """
        member = self.members.get(member_id)
        if member is None:
            raise KafkaError(
                ErrorCode.UNKNOWN_MEMBER_ID,
                f"Member {member_id} is not a member of group {self.group_id}.",
            )
        return member

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        """Return the member that has an instance id."""
        member_id = self.static_members.get(instance_id) if instance_id is not None else None
        return None if member_id is None else self.members[member_id]

    def put_member(self, member: ConsumerMember) -> None:
        """Take over a member's new value."""
        known = self.members.get(member.member_id)
        if known is not None and _differ_in_themselves_only(known, member):
            self.members[member.member_id] = member
            return
        self._take_out(member.member_id)
        self.members[member.member_id] = member
        if member.subscribed_topic_regex:
            self.regex_counts[member.subscribed_topic_regex] += 1
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id
        for partition in _partitions_of(member):
            self.owners[partition] = member.member_id

    def remove_member(self, member_id: str) -> None:
        """Forget a member."""
        self._take_out(member_id)
        member = self.members.pop(member_id, None)
        if member is None or member.instance_id is None:
            return
        if self.static_members.get(member.instance_id) == member_id:
            del self.static_members[member.instance_id]

    def _take_out(self, member_id: str) -> None:
        member = self.members.get(member_id)
        if member is None:
            return
        for partition in _partitions_of(member):
            if self.owners.get(partition) == member_id:
                del self.owners[partition]
        regex = member.subscribed_topic_regex
        if regex:
            self.regex_counts[regex] -= 1
            if not self.regex_counts[regex]:
                del self.regex_counts[regex]

    def target_of(self, member: ConsumerMember) -> TopicPartitions:
        """Return what a member is meant to have; a static one inherits from its elder self."""
        if member.instance_id is not None:
            elder_id = self.static_members.get(member.instance_id, member.member_id)
            return self.target.get(elder_id, {})
        return self.target.get(member.member_id, {})

    def members_with(self, updated: ConsumerMember) -> list[ConsumerMember]:
        """List the members as they are once a member is updated or takes its elder's place."""
        elder_id = None
        if updated.instance_id is not None:
            elder_id = self.static_members.get(updated.instance_id)
        others = (
            member
            for member_id, member in self.members.items()
            if member_id not in (updated.member_id, elder_id)
        )
        return [*others, updated]

    def members_without(self, member_ids: Collection[str]) -> list[ConsumerMember]:
        """List the members that are left when some go."""
        return [m for member_id, m in self.members.items() if member_id not in member_ids]

    # Subscriptions

    def topics_of(self, member: ConsumerMember) -> frozenset[str]:
        """Return the names that a member subscribes to, those of its regular expression too."""
        resolved = self.resolved_regexes.get(member.subscribed_topic_regex)
        if resolved is None:
            return member.subscribed_topic_names
        return member.subscribed_topic_names | resolved.topics

    def topics_of_all(self, members: Iterable[ConsumerMember]) -> set[str]:
        """Return all names that these members subscribe to."""
        names: set[str] = set()
        for member in members:
            names |= self.topics_of(member)
        return names

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether any member consumes a topic."""
        return any(topic in self.topics_of(member) for member in self.members.values())

    def last_resolved_ms(self) -> int:
        """Return when the regular expressions were resolved last; they are all at once."""
        resolved = self.resolved_regexes.values()
        return max((regex.timestamp_ms for regex in resolved), default=NEVER_RESOLVED_MS)

    def preferred_assignor(self, members: Iterable[ConsumerMember]) -> str | None:
        """Return the assignor that most of these members ask for."""
        votes = Counter(m.server_assignor for m in members if m.server_assignor is not None)
        return max(votes, key=votes.__getitem__) if votes else None

    # The metadata check

    def has_metadata_expired(self, now_ms: int) -> bool:
        """Whether the metadata hash must be computed again."""
        return now_ms >= self.metadata_deadline_ms or (
            self.group_epoch < self.metadata_deadline_epoch
        )

    def request_metadata_check(self) -> None:
        """Let the next heartbeat compute the metadata hash again: topics have changed."""
        self.metadata_deadline_ms = 0
        self.metadata_deadline_epoch = 0


def _differ_in_themselves_only(old: ConsumerMember, new: ConsumerMember) -> bool:
    """Whether the group knows the same of both: who owns what, instance ids, expressions."""
    return (
        old.assigned == new.assigned
        and old.pending_revocation == new.pending_revocation
        and old.instance_id == new.instance_id
        and old.subscribed_topic_regex == new.subscribed_topic_regex
    )


def _partitions_of(member: ConsumerMember) -> Iterator[tuple[bytes, int]]:
    for partitions_by_topic in (member.assigned, member.pending_revocation):
        for topic_id, partitions in partitions_by_topic.items():
            for partition in partitions:
                yield topic_id, partition
