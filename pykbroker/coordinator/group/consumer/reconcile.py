"""One step of one member towards its target: first let go, then get what others have let go.

    STABLE --------------- new target, something to give up ------> UNREVOKED_PARTITIONS
    UNREVOKED_PARTITIONS - the member no longer reports it as owned -> as if from STABLE
    any ------------------ part of the target has another owner ---> UNRELEASED_PARTITIONS
    any ------------------ nothing left to give up or to get ------> STABLE

A member keeps its epoch until it has let go, and takes on the target's epoch then. What it gives
up stays its own until then, so no partition is ever with two members.

Source: KIP-848; Kafka's CurrentAssignmentBuilder.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pykbroker.coordinator.group.assignors.spec import TopicPartitions
from pykbroker.coordinator.group.consumer.member import (
    NO_PARTITIONS,
    ConsumerMember,
    MemberState,
    PartitionEpochs,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages import consumer_group_heartbeat

Owned = Sequence[consumer_group_heartbeat.TopicPartitions]
"""The partitions that a member says it has."""


class Goal(NamedTuple):
    """Where a member is to go, and what it must heed on the way.

    `has_owner` says whether any member has a partition; `owned` is what the member reports, None
    when it has not said; `subscribed_topic_ids` are the existing topics of its subscription.
    """

    epoch: int
    target: TopicPartitions
    subscribed_topic_ids: frozenset[bytes]
    has_owner: Callable[[bytes, int], bool]
    owned: Owned | None
    has_subscription_changed: bool = False


def reconcile(member: ConsumerMember, goal: Goal) -> ConsumerMember:
    """Return the member one step further, or as it is when it must wait.

    Raises:
        KafkaError: FENCED_MEMBER_EPOCH for a member in a state that a newer broker wrote, unless
            it comes without partitions.
    """
    if member.state is MemberState.STABLE:
        if member.member_epoch != goal.epoch:
            return _move(member, goal, member.member_epoch)
        return _drop_unsubscribed(member, goal) if goal.has_subscription_changed else member
    if member.state is MemberState.UNREVOKED_PARTITIONS:
        if not _owns_any(goal.owned, member.pending_revocation):
            return _move(member, goal, member.member_epoch)
        return _drop_unsubscribed(member, goal) if goal.has_subscription_changed else member
    if member.state is MemberState.UNKNOWN:
        if goal.owned is None or goal.owned:
            raise KafkaError(
                ErrorCode.FENCED_MEMBER_EPOCH,
                "The consumer group member is in a unknown state. "
                "The member must abandon all its partitions and rejoin.",
            )
        return _move(member, goal, goal.epoch)
    return _move(member, goal, member.member_epoch)


def _owns_any(owned: Owned | None, partitions: PartitionEpochs) -> bool:
    """Whether the member still has any of these; one that does not say is taken to."""
    if owned is None:
        return True
    return any(
        index in partitions.get(topic.topic_id, {}) for topic in owned for index in topic.partitions
    )


def _drop_unsubscribed(member: ConsumerMember, goal: Goal) -> ConsumerMember:
    """Take away topics that the member has just unsubscribed from, without waiting for a target."""
    dropped = member.assigned.keys() - goal.subscribed_topic_ids
    if not dropped:
        return member
    assigned = {t: p for t, p in member.assigned.items() if t not in dropped}
    pending = {topic_id: dict(p) for topic_id, p in member.pending_revocation.items()}
    for topic_id in dropped:
        pending.setdefault(topic_id, {}).update(member.assigned[topic_id])
    if _owns_any(goal.owned, pending):
        state = MemberState.UNREVOKED_PARTITIONS
        return member.at_epoch(member.member_epoch, state, assigned, pending)
    return member.at_epoch(member.member_epoch, member.state, assigned, member.pending_revocation)


def _has_all_of_target(member: ConsumerMember, goal: Goal) -> bool:
    """Whether the member has what it is to have and nothing else: so it is for most of a group."""
    target, assigned = goal.target, member.assigned
    return (
        target.keys() == assigned.keys()
        and target.keys() <= goal.subscribed_topic_ids
        and all(assigned[topic_id].keys() == wanted for topic_id, wanted in target.items())
    )


def _move(member: ConsumerMember, goal: Goal, member_epoch: int) -> ConsumerMember:
    if _has_all_of_target(member, goal):
        return member.at_epoch(goal.epoch, MemberState.STABLE, member.assigned, NO_PARTITIONS)
    assigned: dict[bytes, dict[int, int]] = {}
    to_revoke: dict[bytes, dict[int, int]] = {}
    to_assign: dict[bytes, set[int]] = {}
    has_unreleased = False
    for topic_id in goal.target.keys() | member.assigned.keys():
        wanted = goal.target.get(topic_id, frozenset())
        if topic_id not in goal.subscribed_topic_ids:
            wanted = frozenset()
        current = member.assigned.get(topic_id, {})
        kept = {index: epoch for index, epoch in current.items() if index in wanted}
        given_up = {index: epoch for index, epoch in current.items() if index not in wanted}
        missing = set(wanted - kept.keys())
        own_pending = member.pending_revocation.get(topic_id, {})
        unreleased = {
            index
            for index in missing
            # What it has yet to let go is its own and may stay.
            if index not in own_pending and goal.has_owner(topic_id, index)
        }
        has_unreleased |= bool(unreleased)
        missing -= unreleased
        if kept:
            assigned[topic_id] = kept
        if given_up:
            to_revoke[topic_id] = given_up
        if missing:
            to_assign[topic_id] = missing

    if to_revoke and _owns_any(goal.owned, to_revoke):
        state = MemberState.UNREVOKED_PARTITIONS
        return member.at_epoch(member_epoch, state, assigned, to_revoke)
    for topic_id, partitions in to_assign.items():
        epochs = assigned.setdefault(topic_id, {})
        epochs.update(dict.fromkeys(sorted(partitions), goal.epoch))
    state = MemberState.UNRELEASED_PARTITIONS if has_unreleased else MemberState.STABLE
    return member.at_epoch(goal.epoch, state, assigned, {})
