"""Static members (KIP-345): JoinGroup by instance id, and what becomes of the elder incarnation."""

from compat.differential.cases import case
from compat.differential.group_members import (
    FIRST_JOIN_WITH_INSTANCE_ID,
    Member,
    describe,
    let_in,
    subscription,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity

VERSIONS = range(FIRST_JOIN_WITH_INSTANCE_ID, 10)
NEWEST_LEAVE = LeaveGroupRequest.MAX_VERSION


def two_static_members(session: Session, version: int) -> tuple[Member, Member]:
    """A stable group of the instances `i1`, which leads, and `i2`."""
    leader = Member(session, session.name("group"), "a", instance_id="i1")
    follower = Member(session, leader.group_id, "b", instance_id="i2")
    leader.enter(version)
    leader.assign(leader)
    let_in(follower, leader, version)
    leader.assign(leader, follower)
    follower.sync()
    return leader, follower


def again(member: Member, client_id: str) -> Member:
    """The same instance, started anew."""
    return Member(
        member.session,
        member.group_id,
        client_id,
        instance_id=member.instance_id,
        protocols=member.protocols,
    )


@case(JoinGroupRequest, versions=VERSIONS)
def test_first_member(session: Session, version: int) -> None:
    member = Member(session, session.name("group"), instance_id="an instance")
    member.enter(version)
    session.note("what goes before the uuid", member.member_id[:-36])
    member.assign(member)
    member.heartbeat()
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_odd_instance_ids(session: Session, version: int) -> None:
    for number, instance_id in enumerate(("", " ", "é", "x" * 300)):
        member = Member(session, session.name(f"group-{number}"), instance_id=instance_id)
        member.join(version)
        member.heartbeat()
        describe(session, member.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_unknown_instance_with_a_member_id(session: Session, version: int) -> None:
    leader, _ = two_static_members(session, version)
    stranger = Member(session, leader.group_id, "c", instance_id="i3")
    stranger.join(version, member_id="stranger")
    stranger.join(version, member_id=leader.member_id)
    leader.heartbeat()


@case(JoinGroupRequest, versions=VERSIONS)
def test_follower_comes_back(session: Session, version: int) -> None:
    leader, elder = two_static_members(session, version)
    follower = again(elder, "c")
    follower.join(version)
    describe(session, leader.group_id)
    leader.heartbeat()
    elder.heartbeat()
    elder.sync()
    elder.join(version)
    elder.leave()
    follower.heartbeat()
    follower.sync()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_leader_comes_back(session: Session, version: int) -> None:
    elder, follower = two_static_members(session, version)
    leader = again(elder, "c")
    leader.join(version)
    elder.heartbeat()
    follower.heartbeat()
    leader.assign(leader)
    leader.heartbeat()
    describe(session, leader.group_id)
    # By its id it may ask for a rebalance.
    joining = leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    follower.join(version)
    leader.joined(joining)


@case(JoinGroupRequest, versions=VERSIONS)
def test_comes_back_with_another_subscription(session: Session, version: int) -> None:
    leader, elder = two_static_members(session, version)
    follower = again(elder, "c")
    follower.protocols = {"range": subscription("u")}
    follower.join(version)
    leader.heartbeat()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_comes_back_with_other_protocols(session: Session, version: int) -> None:
    leader, elder = two_static_members(session, version)
    follower = again(elder, "c")
    follower.protocols = {"sticky": subscription("t")}
    follower.join(version)
    follower.join(version, protocol_type="connect")
    elder.heartbeat()
    follower.protocols = {"sticky": subscription("t"), "range": subscription("t")}
    follower.join(version)
    leader.heartbeat()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_protocol_of_the_group_changes(session: Session, version: int) -> None:
    """A lone member that comes back with another protocol needs a new generation."""
    elder = Member(
        session, session.name("group"), instance_id="i", protocols={"range": b"", "sticky": b""}
    )
    elder.enter(version)
    elder.assign(elder)
    member = again(elder, "b")
    member.protocols = {"sticky": b""}
    member.join(version)
    elder.heartbeat()
    member.assign(member)
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_comes_back_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"), "a", instance_id="i1")
    first = Member(session, leader.group_id, "b", instance_id="i2")
    leader.enter(version)
    let_in(first, leader, version)

    second = again(first, "c")
    joining = second.begin_enter(version)
    leader.heartbeat()
    describe(session, leader.group_id)
    leader.join(version)
    second.joined(joining)

    # The elder waits in SyncGroup.
    waiting = second.begin_sync()
    waiting.is_silent()
    third = again(first, "d")
    joining = third.begin_enter(version)
    waiting.finish()
    second.heartbeat()

    # The elder waits in JoinGroup.
    fourth = again(first, "e")
    newest = fourth.begin_join(version)
    third.joined(joining)
    leader.join(version)
    fourth.joined(newest)
    leader.assign(leader, fourth)
    fourth.sync()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_requests_that_leave_the_instance_id_out(session: Session, version: int) -> None:
    leader, follower = two_static_members(session, version)
    follower.heartbeat(group_instance_id=None)
    follower.sync(group_instance_id=None)
    follower.join(version, group_instance_id=None)
    leader.heartbeat()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_removed_by_an_administrator(session: Session, version: int) -> None:
    leader, follower = two_static_members(session, version)
    removed = [
        MemberIdentity("", "i2"),
        MemberIdentity("", "i2"),
        MemberIdentity("", "unknown"),
        MemberIdentity("stranger", "i1"),
    ]
    session.send(LeaveGroupRequest(group_id=leader.group_id, members=removed), NEWEST_LEAVE)
    follower.heartbeat()
    leader.heartbeat()
    # Its instance id is free again, and is a new member's.
    newcomer = again(follower, "c")
    entering = newcomer.begin_join(version)
    leader.await_state("PreparingRebalance", members=2)
    leader.join(version)
    newcomer.joined(entering)
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_removed_while_it_waits(session: Session, version: int) -> None:
    leader, follower = two_static_members(session, version)
    joining = leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    removal = LeaveGroupRequest(group_id=leader.group_id, members=[MemberIdentity("", "i1")])
    session.send(removal, NEWEST_LEAVE)
    leader.joined(joining)
    follower.heartbeat()
    follower.join(version)
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=VERSIONS)
def test_static_and_dynamic_members(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"), "a", instance_id="i")
    leader.enter(version)
    leader.assign(leader)
    dynamic = Member(session, leader.group_id, "z")
    let_in(dynamic, leader, version)
    leader.assign(leader, dynamic)
    dynamic.sync()
    describe(session, leader.group_id)
    dynamic.leave()
    leader.heartbeat()
