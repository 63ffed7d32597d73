"""Heartbeat: what a member is told of its group."""

from compat.differential.cases import case
from compat.differential.group_members import Member, stable_group
from compat.differential.session import Session
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest

FIRST_WITH_INSTANCE_ID = 3


def all_kinds(member: Member, version: int) -> None:
    """A right heartbeat, and every wrong one."""
    member.heartbeat(version)
    for generation_id in (member.generation_id + 1, member.generation_id - 1, -1, 2**31 - 1):
        member.heartbeat(version, generation_id=generation_id)
    for member_id in ("stranger", ""):
        member.heartbeat(version, member_id=member_id)
        member.heartbeat(version, member_id=member_id, generation_id=99)
    member.heartbeat(version, group_id=f"{member.group_id}-missing")
    member.heartbeat(version, group_id="")
    if version >= FIRST_WITH_INSTANCE_ID:
        member.heartbeat(version, group_instance_id="unknown")
        member.heartbeat(version, group_instance_id="")


@case(HeartbeatRequest)
def test_stable_group(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    all_kinds(member, version)


@case(HeartbeatRequest)
def test_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.enter()
    all_kinds(member, version)


@case(HeartbeatRequest)
def test_while_members_are_awaited(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    again = leader.begin_join()
    leader.await_state("PreparingRebalance")
    all_kinds(follower, version)
    follower.join()
    leader.joined(again)


@case(HeartbeatRequest)
def test_of_a_member_that_waits_itself(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    again = leader.begin_join()
    leader.await_state("PreparingRebalance")
    session.send(leader.heartbeat_request(), version)
    follower.join()
    leader.joined(again)
    waiting = follower.begin_sync()
    waiting.is_silent()
    session.send(follower.heartbeat_request(), version)
    leader.assign(leader, follower)
    waiting.finish()


@case(HeartbeatRequest)
def test_empty_group(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.leave()
    all_kinds(member, version)


@case(HeartbeatRequest)
def test_promised_member_id(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    promised = Member(session, member.group_id, "b")
    promised.get_id()
    for generation_id in (-1, 0, member.generation_id):
        promised.heartbeat(version, generation_id=generation_id)
    newcomer = Member(session, session.name("new"))
    newcomer.get_id()
    newcomer.heartbeat(version)


@case(HeartbeatRequest, versions=range(FIRST_WITH_INSTANCE_ID, 5))
def test_fenced_instance(session: Session, version: int) -> None:
    elder = Member(session, session.name("group"), instance_id="i")
    elder.enter()
    elder.assign(elder)
    member = Member(session, elder.group_id, "b", instance_id="i")
    member.enter()
    all_kinds(elder, version)
    all_kinds(member, version)
    elder.heartbeat(version, group_instance_id=None)
