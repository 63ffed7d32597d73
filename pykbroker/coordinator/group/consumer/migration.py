"""A group that changes its protocol while it lives (KIP-848).

A classic group becomes a consumer group when the first consumer of the new protocol joins: its
members stay with what they have, as classic members of the new group. A consumer group becomes
classic again when the last member of the new protocol goes: the others keep what they were meant
to have, and rejoin.

Both are records: all tombstones of the one group, then all records of the other.
`group.consumer.migration.policy` says what is allowed.

Source: Kafka's ConsumerGroup.fromClassicGroup and ClassicGroup.fromConsumerGroup.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.consumer import records
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.embedded_protocol import (
    read_assignment,
    read_subscription,
    write_assignment,
)
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.joining import join_error
from pykbroker.coordinator.group.metadata_hash import metadata_hash
from pykbroker.coordinator.group.records import group_metadata_record, group_tombstone
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step, downgrade_timer, session_timer
from pykbroker.coordinator.group.subscription import CONSUMER_PROTOCOL_TYPE
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
    ClassicProtocol,
)
from pykbroker.protocol.messages.sync_group import SyncGroupResponse


def upgrade(classic: ClassicGroup, step: Step) -> ConsumerGroup:
    """Write a classic group down as a consumer group; whoever waits in it is told to rejoin.

    When a rebalance was due, what the members have is no target to stay with. The group then has no
    metadata hash yet, and its first heartbeat bumps the epoch, whoever joins.

    Returns:
        The group as it will be when the records are replayed.

    Raises:
        KafkaError: GROUP_ID_NOT_FOUND, the group may not change or cannot be understood.
    """
    _check_upgrade(classic, step)
    group = ConsumerGroup(
        classic.group_id,
        group_epoch=classic.generation_id,
        assignment_epoch=classic.generation_id,
    )
    try:
        for member in classic.members.values():
            _take_over(group, step, classic, member)
    except ProtocolError as error:
        raise _refusal(classic, f"the embedded consumer protocol is malformed: {error}") from error
    if classic.state is GroupState.STABLE and not _leaves_any_out(group, step):
        names = group.topics_of_all(group.members.values())
        group.metadata_hash = metadata_hash(names, step.topics)
    step.records.append(group_tombstone(classic.group_id))
    step.records.extend(_records_of(group))
    for member in classic.members.values():
        _send_back(classic, step, member)
        step.set_timer(session_timer(classic.group_id, member.member_id), member.session_timeout_ms)
    step.log(f"group_upgraded group={classic.group_id} members={len(group.members)}")
    return group


def _check_upgrade(classic: ClassicGroup, step: Step) -> None:
    settings = step.settings.consumer
    if not settings.migration_policy.allows_upgrade:
        raise _refusal(classic, "online upgrade is disabled")
    if not classic.uses_consumer_protocol():
        raise _refusal(classic, "the group does not use the consumer embedded protocol")
    if len(classic.members) > settings.max_size:
        raise _refusal(classic, "the group size exceeds the consumer group maximum size")


def _refusal(classic: ClassicGroup, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"Cannot upgrade classic group {classic.group_id} to consumer group because {reason}.",
    )


def _take_over(group: ConsumerGroup, step: Step, classic: ClassicGroup, member: Member) -> None:
    protocol_name = classic.protocol_name
    if protocol_name not in member.protocols:
        # The first generation has not been reached, and nothing been chosen yet.
        protocol_name = next(iter(member.protocols))
    assert protocol_name is not None
    subscription = read_subscription(member.protocols[protocol_name])
    target = read_assignment(member.assignment, step.topics)
    group.target[member.member_id] = target
    group.put_member(
        ConsumerMember(
            member.member_id,
            instance_id=member.group_instance_id,
            rack_id=subscription.rack_id or None,
            client_id=member.client_id,
            client_host=member.client_host,
            subscribed_topic_names=frozenset(subscription.topics),
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            classic=ClassicMemberMetadata(
                member.session_timeout_ms,
                [ClassicProtocol(name, data) for name, data in member.protocols.items()],
            ),
            member_epoch=classic.generation_id,
            previous_member_epoch=classic.generation_id,
            assigned={
                topic_id: dict.fromkeys(sorted(indexes), classic.generation_id)
                for topic_id, indexes in target.items()
            },
        )
    )


def _leaves_any_out(group: ConsumerGroup, step: Step) -> bool:
    """Whether a partition is nobody's: the group has just become classic, and has not rejoined."""
    topics = step.topics.topics
    names = group.topics_of_all(group.members.values()) & topics.keys()
    partitions = sum(len(topics[name].partitions) for name in names)
    return sum(map(len, chain(*(t.values() for t in group.target.values())))) < partitions


def _records_of(group: ConsumerGroup) -> Iterator[CoordinatorRecord]:
    group_id = group.group_id
    for member in group.members.values():
        yield records.member_record(group_id, member)
    yield records.group_epoch_record(group_id, group.group_epoch, group.metadata_hash)
    for member_id, target in group.target.items():
        yield records.target_member_record(group_id, member_id, target)
    yield records.target_epoch_record(
        group_id, group.assignment_epoch, group.assignment_timestamp_ms
    )
    for member in group.members.values():
        yield records.current_assignment_record(group_id, member)


def _send_back(classic: ClassicGroup, step: Step, member: Member) -> None:
    token = classic.take_join(member)
    if token is not None:
        error = join_error(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id)
        step.answer(token, error)
    if member.awaiting_sync is not None:
        error_code = ErrorCode.REBALANCE_IN_PROGRESS
        step.answer(member.awaiting_sync, SyncGroupResponse(error_code=error_code))
        member.awaiting_sync = None


def may_downgrade(
    group: ConsumerGroup, step: Step, leaving: Sequence[str], joining: ConsumerMember | None = None
) -> bool:
    """Whether only classic members are left when some go, and the group may become classic."""
    left = _left(group, leaving, joining)
    return (
        bool(left)
        and all(member.uses_classic_protocol for member in left)
        and step.settings.consumer.migration_policy.allows_downgrade
        and len(left) <= step.settings.max_size
    )


def _left(
    group: ConsumerGroup, leaving: Sequence[str], joining: ConsumerMember | None
) -> list[ConsumerMember]:
    left = group.members_without(leaving)
    return left if joining is None else [*left, joining]


def downgrade(
    group: ConsumerGroup,
    step: Step,
    leaving: Sequence[str],
    joining: ConsumerMember | None = None,
    *,
    must_rebalance: bool = True,
) -> None:
    """Write a consumer group down as a classic group without the members that go.

    With `must_rebalance` those that are left are told to rejoin, by a step of its own. A static
    member that joins in the place of its elder self need not disturb the others.
    """
    left = {member.member_id: member for member in _left(group, leaving, joining)}
    classic = ClassicGroup(
        group.group_id,
        state_timestamp_ms=step.now_ms,
        state=GroupState.STABLE,
        generation_id=group.group_epoch,
        protocol_type=CONSUMER_PROTOCOL_TYPE,
    )
    for member in left.values():
        assert member.classic is not None
        classic.add(
            Member(
                member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=member.rebalance_timeout_ms,
                session_timeout_ms=member.classic.session_timeout_ms,
                protocols={p.name: p.metadata for p in member.classic.supported_protocols},
            )
        )
        timer = session_timer(group.group_id, member.member_id)
        step.set_timer(timer, member.classic.session_timeout_ms)
    protocol_name = classic.protocol_name = classic.select_protocol()

    def assignment_of(member_id: str) -> bytes:
        metadata = classic.members[member_id].protocols[protocol_name]
        return write_assignment(group.target_of(left[member_id]), step.topics, metadata)

    step.records.extend(records.group_tombstones(group))
    step.records.append(group_metadata_record(classic, assignment_of))
    if must_rebalance:
        step.set_timer(downgrade_timer(group.group_id), 0)
    step.log(f"group_downgraded group={group.group_id} members={len(classic.members)}")
