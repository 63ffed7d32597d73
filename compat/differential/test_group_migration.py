"""Groups that change their protocol while they live, and classic members in consumer groups."""

import struct
from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import STATIC_LEAVE, Consumer, a_topic, describe
from compat.differential.group_members import BY_MEMBER, Member
from compat.differential.session import Session
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.sync_group import SyncGroupRequest

NEWEST_JOIN = JoinGroupRequest.MAX_VERSION


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


def named(topic: str) -> bytes:
    return struct.pack(">h", len(topic)) + topic.encode()


def indexes(*partitions: int) -> bytes:
    return struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)


def wanting(topic: str, *owned: int) -> bytes:
    """A consumer's metadata: version 1, one topic, no user data, and what it has."""
    metadata = struct.pack(">hi", 1, 1) + named(topic) + struct.pack(">i", -1)
    if not owned:
        return metadata + struct.pack(">i", 0)
    return metadata + struct.pack(">i", 1) + named(topic) + indexes(*owned)


def assignment(topic: str, *partitions: int) -> bytes:
    """A leader's assignment: version 1, one topic, no user data."""
    return struct.pack(">hi", 1, 1) + named(topic) + indexes(*partitions) + struct.pack(">i", -1)


class Classic(Member):
    """A classic member that consumes one topic."""

    def __init__(
        self, session: Session, group_id: str, name: str, topic: str, **fields: Any
    ) -> None:
        super().__init__(session, group_id, name, protocols={"range": wanting(topic)}, **fields)
        self.topic = topic

    def owns(self, *partitions: int) -> None:
        self.protocols = {"range": wanting(self.topic, *partitions)}

    def take_all(self, partitions: int = 4) -> None:
        """Join as the only member and assign everything to oneself."""
        self.enter()
        self.sync(assignments={self.member_id: assignment(self.topic, *range(partitions))})


def a_classic_group(session: Session, **fields: Any) -> Classic:
    topic = a_topic(session)
    member = Classic(session, session.name("group"), "a", topic, **fields)
    member.take_all()
    member.owns(0, 1, 2, 3)
    return member


def a_mixed_group(session: Session, **fields: Any) -> tuple[Classic, Consumer]:
    """A classic member that shares with a consumer; both have let go and got what they should."""
    classic = a_classic_group(session, **fields)
    consumer = Consumer(session, classic.group_id, "b", topics=[classic.topic])
    consumer.join()
    classic.heartbeat()
    classic.join()
    classic.sync()
    classic.owns(0, 1)
    classic.heartbeat()
    classic.join()
    classic.sync()
    consumer.beat()
    consumer.confirm()
    classic.heartbeat()
    return classic, consumer


def described(session: Session, group_id: str) -> None:
    describe(session, group_id)
    session.send(DescribeGroupsRequest(groups=[group_id]), 6, sort={"members": "member_id"})


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_upgrade(session: Session, version: int) -> None:
    classic, consumer = a_mixed_group(session)
    described(session, classic.group_id)
    classic.leave()
    consumer.beat()
    described(session, classic.group_id)


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_upgrade_while_members_are_awaited(session: Session, version: int) -> None:
    classic = a_classic_group(session)
    follower = Classic(session, classic.group_id, "f", classic.topic)
    entering = follower.begin_enter()
    consumer = Consumer(session, classic.group_id, "b", topics=[classic.topic])
    consumer.join()
    follower.joined(entering)
    session.send(DescribeGroupsRequest(groups=[classic.group_id]), 6)
    classic.heartbeat()
    consumer.confirm()


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_groups_that_are_not_upgraded(session: Session, version: int) -> None:
    topic = a_topic(session)
    worker = Member(
        session, session.name("connect"), protocol_type="connect", protocols={"eager": b""}
    )
    worker.enter()
    worker.assign(worker)
    Consumer(session, worker.group_id, topics=[topic]).join()
    opaque = Classic(session, session.name("opaque"), "a", topic)
    opaque.enter()
    data = assignment(topic, 0)[:-4] + struct.pack(">i", 1) + b"x"
    opaque.sync(assignments={opaque.member_id: data})
    Consumer(session, opaque.group_id, topics=[topic]).join()
    described(session, worker.group_id)
    described(session, opaque.group_id)


@case(JoinGroupRequest)
def test_classic_member_joins_a_consumer_group(session: Session, version: int) -> None:
    topic = a_topic(session)
    consumer = Consumer(session, session.name("group"), topics=[topic])
    consumer.join()
    classic = Classic(session, consumer.group_id, "c", topic)
    if version >= 4:
        classic.join(version)
    classic.join(version)
    classic.sync()
    described(session, consumer.group_id)
    consumer.beat()
    consumer.confirm()
    classic.heartbeat()
    classic.join(version)
    classic.sync()
    described(session, consumer.group_id)
    classic.join(version)
    other = Classic(session, consumer.group_id, "o", topic)
    changes_of: list[dict[str, Any]] = [
        {"protocol_type": "connect"},
        {"protocols": []},
        {"member_id": "stranger"},
    ]
    for changes in changes_of:
        session.send(other.join_request(**changes), version, sort=BY_MEMBER)
    other.protocols = {"other": wanting(topic)}
    session.send(other.join_request(), version, sort=BY_MEMBER)


@case(SyncGroupRequest, versions=(0, 3, 5))
def test_sync_of_a_classic_member(session: Session, version: int) -> None:
    classic, consumer = a_mixed_group(session)
    classic.sync(version)
    changes_of: list[dict[str, Any]] = [
        {"generation_id": classic.generation_id + 1},
        {"generation_id": classic.generation_id - 1},
        {"member_id": "stranger"},
        {"member_id": ""},
        {"member_id": consumer.member_id},
    ]
    if version >= 5:
        changes_of += [{"protocol_type": "connect"}, {"protocol_name": "other"}]
    if version >= 3:
        changes_of += [{"group_instance_id": "i"}]
    for changes in changes_of:
        classic.sync(version, **changes)
    third = Consumer(session, classic.group_id, "t", topics=[classic.topic])
    third.join()
    classic.sync(version)


@case(HeartbeatRequest, versions=(0, 4))
def test_heartbeat_of_a_classic_member(session: Session, version: int) -> None:
    classic, consumer = a_mixed_group(session)
    classic.heartbeat(version)
    changes_of: list[dict[str, Any]] = [
        {"generation_id": classic.generation_id + 1},
        {"generation_id": classic.generation_id - 1},
        {"member_id": "stranger"},
        {"member_id": consumer.member_id},
    ]
    if version >= 3:
        changes_of += [{"group_instance_id": "i"}]
    for changes in changes_of:
        classic.heartbeat(version, **changes)
    consumer.beat(subscribed_topic_names=[])
    classic.heartbeat(version)


@case(LeaveGroupRequest, versions=(3, 5))
def test_classic_member_leaves(session: Session, version: int) -> None:
    classic, consumer = a_mixed_group(session)
    who = [
        (member_id, None)
        for member_id in ("stranger", consumer.member_id, "", classic.member_id, classic.member_id)
    ]
    for member_id, instance_id in [*who, ("", "i"), (classic.member_id, "i")]:
        request = LeaveGroupRequest(
            group_id=classic.group_id, members=[MemberIdentity(member_id, instance_id)]
        )
        session.send(request, version)
    described(session, classic.group_id)


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_downgrade(session: Session, version: int) -> None:
    classic, consumer = a_mixed_group(session)
    consumer.leave()
    classic.await_state("PreparingRebalance")
    described(session, classic.group_id)
    classic.heartbeat()
    classic.join()
    classic.sync(assignments={classic.member_id: assignment(classic.topic, 0, 1, 2, 3)})
    described(session, classic.group_id)
    consumer.join()
    classic.heartbeat()


@case(JoinGroupRequest, versions=(5, NEWEST_JOIN))
def test_static_member_comes_back_with_the_other_protocol(session: Session, version: int) -> None:
    elder = a_classic_group(session, instance_id="i")
    consumer = Consumer(session, elder.group_id, "b", topics=[elder.topic], instance_id="i")
    consumer.join()
    described(session, elder.group_id)
    elder.heartbeat()
    consumer.leave(STATIC_LEAVE)
    again = Classic(session, elder.group_id, "c", elder.topic, instance_id="i")
    again.join(version)
    described(session, elder.group_id)
    again.sync()
