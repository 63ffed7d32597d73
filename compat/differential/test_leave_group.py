"""LeaveGroup: one or many members, by member id or instance id, from every state of a group."""

from compat.differential.cases import case
from compat.differential.group_members import (
    FIRST_LEAVE_WITH_MEMBERS,
    Member,
    add_member,
    describe,
    let_in,
    stable_group,
    subscription,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity

FIRST_WITH_REASONS = 5
BATCHED = range(FIRST_LEAVE_WITH_MEMBERS, 6)


def leave(session: Session, version: int, group_id: str, *member_ids: str) -> None:
    """Name members in one request, or in one after the other where a request names one."""
    if version >= FIRST_LEAVE_WITH_MEMBERS:
        identities = [MemberIdentity(each) for each in member_ids]
        session.send(LeaveGroupRequest(group_id=group_id, members=identities), version)
        return
    for member_id in member_ids:
        session.send(LeaveGroupRequest(group_id=group_id, member_id=member_id), version)


@case(LeaveGroupRequest)
def test_missing_group(session: Session, version: int) -> None:
    leave(session, version, session.name("missing"), "stranger", "")
    leave(session, version, "", "stranger")
    describe(session, session.name("missing"))


@case(LeaveGroupRequest)
def test_strangers(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    leave(session, version, member.group_id, "stranger", "", "stranger")
    member.heartbeat()


@case(LeaveGroupRequest)
def test_lone_member(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.leave(version)
    describe(session, member.group_id)
    member.leave(version)
    member.heartbeat()
    member.member_id = ""
    member.enter()
    describe(session, member.group_id)


@case(LeaveGroupRequest)
def test_follower(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    follower.leave(version)
    describe(session, leader.group_id)
    follower.heartbeat()
    follower.sync()
    leader.heartbeat()
    leader.join()
    leader.assign(leader)


@case(LeaveGroupRequest)
def test_leader(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    leader.leave(version)
    follower.heartbeat()
    follower.join()
    follower.assign(follower)
    describe(session, follower.group_id)


@case(LeaveGroupRequest)
def test_promised_member_id(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    promised = Member(session, member.group_id, "b")
    promised.get_id()
    promised.leave(version)
    promised.leave(version)
    promised.join()
    member.heartbeat()


@case(LeaveGroupRequest)
def test_while_it_waits_to_join(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    second = Member(session, leader.group_id, "b")
    entering = second.begin_enter()
    second.leave(version)
    second.joined(entering)
    describe(session, leader.group_id)
    leader.heartbeat()
    leader.join()


@case(LeaveGroupRequest)
def test_last_one_who_was_awaited(session: Session, version: int) -> None:
    members = stable_group(session, session.name("group"), ("a", "b"))
    leader, follower = members
    follower.protocols = {"range": subscription("u")}
    again = follower.begin_join()
    leader.await_state("PreparingRebalance")
    leader.leave(version)
    follower.joined(again)
    describe(session, follower.group_id)


@case(LeaveGroupRequest)
def test_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    follower.leave(version)
    describe(session, leader.group_id)
    leader.sync()
    leader.heartbeat()
    leader.join()
    leader.assign(leader)


@case(LeaveGroupRequest, versions=BATCHED)
def test_nobody(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    leave(session, version, member.group_id)
    leave(session, version, session.name("missing"))
    leave(session, version, "")
    member.heartbeat()


@case(LeaveGroupRequest, versions=BATCHED)
def test_many(session: Session, version: int) -> None:
    members = stable_group(session, session.name("group"), ("a", "b"))
    third = add_member(members, "c")
    ids = [member.member_id for member in members]
    leave(session, version, third.group_id, "stranger", ids[2], "", ids[1], ids[2])
    members[0].heartbeat()
    members[1].heartbeat()
    describe(session, third.group_id)
    members[0].join()
    leave(session, version, third.group_id, ids[0], ids[0])
    describe(session, third.group_id)


@case(LeaveGroupRequest, versions=BATCHED)
def test_instance_ids(session: Session, version: int) -> None:
    member = Member(session, session.name("group"), instance_id="i")
    member.enter()
    member.assign(member)
    identities = [
        MemberIdentity("", "unknown"),
        MemberIdentity(member.member_id, "unknown"),
        MemberIdentity("stranger", "i"),
        MemberIdentity("stranger", "unknown"),
        MemberIdentity("", ""),
        MemberIdentity(member.member_id, ""),
    ]
    session.send(LeaveGroupRequest(group_id=member.group_id, members=identities), version)
    member.heartbeat()
    missing = LeaveGroupRequest(group_id=session.name("missing"), members=identities)
    session.send(missing, version)
    # By the member id alone a static member may be named too.
    leave(session, version, member.group_id, member.member_id)
    describe(session, member.group_id)


@case(LeaveGroupRequest, versions=BATCHED)
def test_instance_id_alone_and_with_its_member_id(session: Session, version: int) -> None:
    for label in ("alone", "both"):
        member = Member(session, session.name(label), instance_id="i")
        member.enter()
        member.assign(member)
        identity = MemberIdentity("" if label == "alone" else member.member_id, "i")
        session.send(LeaveGroupRequest(group_id=member.group_id, members=[identity]), version)
        member.heartbeat()
        describe(session, member.group_id)


@case(LeaveGroupRequest, versions=[FIRST_WITH_REASONS])
def test_reasons(session: Session, version: int) -> None:
    for number, reason in enumerate(("", "a reason", "é" * 1_000, None)):
        (member,) = stable_group(session, session.name(f"group-{number}"))
        identities = [MemberIdentity(member.member_id, None, reason)]
        session.send(LeaveGroupRequest(group_id=member.group_id, members=identities), version)
        describe(session, member.group_id)
