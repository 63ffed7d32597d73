"""SyncGroup: the leader's assignment, who waits for it, and who gets none."""

from compat.differential.cases import case
from compat.differential.group_members import (
    FIRST_SYNC_WITH_PROTOCOL,
    Member,
    describe,
    let_in,
    stable_group,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.sync_group import SyncGroupRequest

FIRST_WITH_INSTANCE_ID = 3


def two_joined(session: Session) -> tuple[Member, Member]:
    """A leader and a follower whose group waits for the assignment."""
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    return leader, follower


@case(SyncGroupRequest)
def test_missing_group(session: Session, version: int) -> None:
    member = Member(session, session.name("missing"))
    member.protocol_name = "range"
    member.sync(version, generation_id=0)
    member.sync(version, member_id="stranger", generation_id=1)
    member.sync(version, group_id="", member_id="stranger")


@case(SyncGroupRequest)
def test_errors_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    _errors(follower, version)
    leader.heartbeat()
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_errors_in_a_stable_group(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    _errors(member, version)
    member.heartbeat()


def _errors(member: Member, version: int) -> None:
    for generation_id in (member.generation_id + 1, member.generation_id - 1, -1):
        member.sync(version, generation_id=generation_id)
    for member_id in ("stranger", ""):
        member.sync(version, member_id=member_id)
    member.sync(version, member_id="stranger", generation_id=99)
    member.sync(version, group_id="")
    if version >= FIRST_WITH_INSTANCE_ID:
        member.sync(version, group_instance_id="unknown")
        member.sync(version, group_instance_id="")
    if version >= FIRST_SYNC_WITH_PROTOCOL:
        member.sync(version, protocol_name="unknown")
        member.sync(version, protocol_type="connect")
        member.sync(version, protocol_name="", protocol_type="")


@case(SyncGroupRequest, versions=[FIRST_SYNC_WITH_PROTOCOL])
def test_protocol_is_mandatory(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.sync(version, protocol_name=None)
    member.sync(version, protocol_type=None)
    member.sync(version, protocol_type=None, member_id="stranger")
    member.sync(version, protocol_type=None, group_id="")
    member.sync(version, protocol_type=None, group_id=session.name("missing"))


@case(SyncGroupRequest)
def test_lone_leader(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"))
    leader.enter()
    leader.assign(leader, version=version)
    describe(session, leader.group_id)
    leader.sync(version)
    # The assignment of a generation does not change any more.
    leader.sync(version, {leader.member_id: b"another"})
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_follower_waits_for_the_leader(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    waiting = follower.begin_sync(version)
    waiting.is_silent()
    describe(session, leader.group_id)
    leader.assign(leader, follower, version=version)
    waiting.finish()
    follower.heartbeat()
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_assignment_of_a_follower_is_not_taken(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    waiting = follower.begin_sync(version, {follower.member_id: b"everything"})
    waiting.is_silent()
    leader.assign(leader, follower, version=version)
    waiting.finish()


@case(SyncGroupRequest)
def test_incomplete_assignment(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    leader.sync(version, {leader.member_id: b"all", "stranger": b"nothing"})
    follower.sync(version)
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_empty_and_large_assignments(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    leader.sync(version, {leader.member_id: b"", follower.member_id: bytes(100_000)})
    follower.sync(version)
    again = leader.begin_join()
    leader.await_state("PreparingRebalance")
    follower.join()
    leader.joined(again)
    leader.sync(version)
    follower.sync(version)
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_assignments_larger_than_a_record_may_be(session: Session, version: int) -> None:
    """The offsets topic takes what any topic takes, so that the group cannot be written down."""
    leader, follower = two_joined(session)
    waiting = follower.begin_sync(version)
    waiting.is_silent()
    leader.sync(version, {leader.member_id: bytes(1_100_000)})
    waiting.finish()
    leader.heartbeat()
    describe(session, leader.group_id)
    again = leader.begin_join()
    follower.join()
    leader.joined(again)
    leader.assign(leader, follower)
    follower.sync()
    describe(session, leader.group_id)


@case(SyncGroupRequest)
def test_rebalance_while_a_follower_waits(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    waiting = follower.begin_sync(version)
    waiting.is_silent()
    third = Member(session, leader.group_id, "c")
    entering = third.begin_enter()
    waiting.finish()
    leader.sync(version)
    leader.heartbeat()
    rejoining = follower.begin_join()
    leader.join()
    follower.joined(rejoining)
    third.joined(entering)


@case(SyncGroupRequest)
def test_leader_leaves_before_it_has_assigned(session: Session, version: int) -> None:
    leader, follower = two_joined(session)
    waiting = follower.begin_sync(version)
    waiting.is_silent()
    leader.leave()
    waiting.finish()
    follower.heartbeat()
    follower.join()
    follower.assign(follower, version=version)
    describe(session, follower.group_id)


@case(SyncGroupRequest)
def test_after_the_last_one_left(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.leave()
    member.sync(version)
    member.sync(version, generation_id=member.generation_id + 1)
    describe(session, member.group_id)
