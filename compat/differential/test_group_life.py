"""Groups from their first member to their end, as clients live in them."""

from typing import Any

from compat.differential.cases import case
from compat.differential.group_members import (
    Member,
    add_member,
    await_state,
    describe,
    let_in,
    rejoin,
    stable_group,
    subscription,
)
from compat.differential.group_offsets import (
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    delete_topic,
    fetch,
)
from compat.differential.session import Session
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest

# Versions of which each is the newest that some client sends: see also the cases of each API.
JOINS = (0, 2, 5, 7, 9)


def commit_as(member: Member, names: TopicNames, topic: str, offset: int) -> None:
    commit(
        member.session,
        names,
        NEWEST_BY_NAME,
        member.group_id,
        [(topic, [at(offset)])],
        on=member.connection,
        member_id=member.member_id,
        generation_id_or_member_epoch=member.generation_id,
        group_instance_id=member.instance_id,
    )


@case(JoinGroupRequest, versions=JOINS)
def test_one_consumer(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    member = Member(session, session.name("group"), protocols={"range": subscription(topic)})
    fetch(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
    member.enter(version)
    member.assign(member)
    for offset in (5, 10):
        member.heartbeat()
        commit_as(member, names, topic, offset)
    member.leave()
    fetch(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])

    second = Member(session, member.group_id, "b", protocols=member.protocols)
    second.enter(version)
    second.assign(second)
    fetch(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
    commit_as(second, names, topic, 20)
    commit_as(member, names, topic, 15)
    second.leave()
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_two_consumers(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t", 2)
    protocols = {"range": subscription(topic)}
    first = Member(session, session.name("group"), protocols=protocols)
    first.enter(version)
    first.assign(first)
    commit_as(first, names, topic, 3)

    second = Member(session, first.group_id, "b", protocols=protocols)
    entering = second.begin_enter(version)
    first.heartbeat()
    commit_as(first, names, topic, 4)
    first.join(version)
    second.joined(entering)
    commit_as(second, names, topic, 5)
    waiting = second.begin_sync()
    first.assign(first, second)
    waiting.finish()
    commit_as(second, names, topic, 6)
    fetch(session, names, NEWEST_BY_NAME, first.group_id)

    first.leave()
    second.heartbeat()
    commit_as(second, names, topic, 7)
    second.join(version)
    second.assign(second)
    describe(session, first.group_id)
    commit_as(second, names, topic, 8)
    second.leave()
    fetch(session, names, NEWEST_BY_NAME, first.group_id)
    describe(session, first.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_three_consumers_come_and_go(session: Session, version: int) -> None:
    members = stable_group(session, session.name("group"))
    for client_id in ("b", "c"):
        add_member(members, client_id)
        describe(session, members[0].group_id)
    first, second, third = members
    second.leave()
    first.heartbeat()
    third.heartbeat()
    again = first.begin_join(version)
    third.join(version)
    first.joined(again)
    first.assign(first, third)
    third.sync()
    describe(session, first.group_id)
    second.heartbeat()
    second.join(version)

    second.member_id = ""
    members = [first, third]
    entering = second.begin_enter(version)
    rejoin(members)
    second.joined(entering)
    first.assign(first, second, third)
    second.sync()
    third.sync()
    for member in (first, second, third):
        member.heartbeat()
    describe(session, first.group_id)
    for member in (second, third, first):
        member.leave()
    describe(session, first.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_two_who_join_at_once(session: Session, version: int) -> None:
    """Both come while the third is told to join again; one generation takes them all in."""
    (leader,) = stable_group(session, session.name("group"))
    others = [Member(session, leader.group_id, client_id) for client_id in ("b", "c")]
    entering = [others[0].begin_enter(version)]
    others[1].get_id(version)
    entering.append(others[1].begin_join(version))
    await_state(session, leader.group_id, "PreparingRebalance", members=3)
    describe(session, leader.group_id)
    leader.join(version)
    for member, pending in zip(others, entering, strict=True):
        member.joined(pending)
    waiting = [member.begin_sync() for member in others]
    leader.assign(leader, *others)
    for pending in waiting:
        pending.finish()


@case(JoinGroupRequest, versions=JOINS)
def test_one_more_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"))
    leader.enter(version)
    second = Member(session, leader.group_id, "b")
    entering = second.begin_enter(version)
    leader.heartbeat()
    leader.assign(leader)
    leader.join(version)
    second.joined(entering)
    third = Member(session, leader.group_id, "c")
    entering = third.begin_enter(version)
    leader.assign(leader, second)
    second.sync()
    rejoin([leader, second])
    third.joined(entering)
    leader.assign(leader, second, third)
    second.sync()
    third.sync()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_cooperative_consumers(session: Session, version: int) -> None:
    """The first generation with a newcomer takes partitions away, the next one gives them."""
    protocols = {"cooperative-sticky": subscription("t"), "range": subscription("t")}
    members = stable_group(session, session.name("group"), protocols=protocols)
    add_member(members, "b", protocols=protocols)
    first, second = members
    again = second.begin_join(version, protocols=first.join_request().protocols[:1])
    first.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    first.join(version)
    second.joined(again)
    first.assign(first, second)
    second.sync()
    describe(session, first.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_connect_workers(session: Session, version: int) -> None:
    protocols = {"sessioned": b"\x00\x02 one", "compatible": b"\x00\x01 one", "eager": b"\x00\x00"}
    leader = Member(session, session.name("connect"), protocol_type="connect", protocols=protocols)
    leader.enter(version)
    leader.assign(leader)
    worker = Member(
        session,
        leader.group_id,
        "b",
        protocol_type="connect",
        protocols={name: metadata + b" two" for name, metadata in protocols.items()},
    )
    let_in(worker, leader, version)
    leader.assign(leader, worker)
    worker.sync()
    describe(session, leader.group_id)
    # The leader asks for a rebalance when the connectors change.
    again = leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    worker.heartbeat()
    worker.join(version)
    leader.joined(again)
    worker.leave()
    leader.leave()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_connection_is_lost_while_it_waits(session: Session, version: int) -> None:
    """The member comes back on another connection, with the id that it has."""
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    leader.connection.close()
    leader.reconnect()
    again = leader.begin_join(version)
    again.is_silent()
    follower.join(version)
    leader.joined(again)
    leader.assign(leader, follower)
    follower.begin_sync().finish()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_requests_of_one_connection(session: Session, version: int) -> None:
    """Members that share a connection wait for each other's requests: answers keep the order."""
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    follower.protocols = {"range": subscription("t", "u")}
    again = follower.begin_join(version)
    leader.await_state("PreparingRebalance")
    beat = session.begin(follower.heartbeat_request(), 4, on=follower.connection)
    leader.join(version)
    follower.joined(again)
    beat.finish()


@case(HeartbeatRequest, versions=range(5))
def test_requests_in_a_row(session: Session, version: int) -> None:
    """Many requests before the first answer is read."""
    (member,) = stable_group(session, session.name("group"))
    beats = [
        session.begin(member.heartbeat_request(), version, on=member.connection) for _ in range(50)
    ]
    for beat in beats:
        beat.finish()


@case(OffsetCommitRequest, versions=(2, 5, 9, 10))
def test_consumed_topic_is_deleted(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other = names.add("t"), names.add("u")
    protocols = {"range": subscription(topic, other)}
    (member,) = stable_group(session, session.name("group"), protocols=protocols)
    by_member: dict[str, Any] = {
        "member_id": member.member_id,
        "generation_id_or_member_epoch": member.generation_id,
    }
    both = [(topic, [0]), (other, [0])]
    commit(session, names, version, member.group_id, both, **by_member)
    delete_topic(session, topic, member.group_id)
    member.heartbeat()
    commit(session, names, version, member.group_id, both, **by_member)
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
    member.leave()
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
    describe(session, member.group_id)


@case(DeleteGroupsRequest)
def test_after_everything_is_gone(session: Session, version: int) -> None:
    """Group, topic and offsets are deleted and made anew."""
    names = TopicNames(session)
    topic = names.add("t")
    (member,) = stable_group(session, session.name("group"))
    commit_as(member, names, topic, 4)
    member.leave()
    delete_topic(session, topic, member.group_id)
    describe(session, member.group_id)
    session.send(DeleteGroupsRequest(groups_names=[member.group_id]), version)
    describe(session, member.group_id)
    member.heartbeat()
    names.add("t")
    fetch(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
    member.member_id = ""
    member.enter()
    member.assign(member)
    commit_as(member, names, topic, 1)
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
