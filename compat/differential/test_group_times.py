"""What time does to a group: sessions and rebalances that end, and what is told then.

Compared is what happens, and which of two things happens first, never how long it took.
"""

import time
from typing import Any

import pytest

from compat.differential.cases import case
from compat.differential.group_members import (
    LONG_MS,
    Member,
    describe,
    is_in_state,
    let_in,
    stable_group,
)
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit
from compat.differential.session import POLL_SECONDS, Session
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.sync_group import SyncGroupRequest

pytestmark = pytest.mark.waits

SHORT_MS = 1_000
OLDEST_AND_NEWEST_HEARTBEAT = (0, 4)
OLDEST_AND_NEWEST_JOIN = (1, 9)
OLDEST_AND_NEWEST_SYNC = (0, 5)
STATIC_JOINS = (5, 9)


def two_joined(session: Session, **times: Any) -> tuple[Member, Member]:
    """A leader and a follower whose group waits for the assignment."""
    (leader,) = stable_group(session, session.name("group"), **times)
    follower = Member(session, leader.group_id, "b", **times)
    let_in(follower, leader)
    return leader, follower


# --- sessions ------------------------------------------------------------------------------------


@case(HeartbeatRequest, versions=OLDEST_AND_NEWEST_HEARTBEAT)
def test_session_of_the_only_member_ends(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"), session_timeout_ms=SHORT_MS)
    member.await_state("Empty")
    describe(session, member.group_id)
    member.heartbeat(version)
    member.sync()
    member.join()
    member.member_id = ""
    member.enter()


@case(HeartbeatRequest, versions=OLDEST_AND_NEWEST_HEARTBEAT)
def test_session_of_a_follower_ends(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b", session_timeout_ms=SHORT_MS)
    let_in(follower, leader)
    leader.assign(leader, follower)
    follower.sync()
    leader.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    describe(session, leader.group_id)
    follower.heartbeat(version)
    leader.join()
    leader.assign(leader)
    describe(session, leader.group_id)


@case(HeartbeatRequest, versions=OLDEST_AND_NEWEST_HEARTBEAT)
def test_session_of_the_leader_ends(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"), session_timeout_ms=SHORT_MS)
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    leader.assign(leader, follower)
    follower.sync()
    follower.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    leader.heartbeat(version)
    follower.join()
    follower.assign(follower)
    describe(session, follower.group_id)


@case(HeartbeatRequest, versions=OLDEST_AND_NEWEST_HEARTBEAT)
def test_heartbeats_keep_a_member(session: Session, version: int) -> None:
    """One who beats outlives one who does not, though its session is the shorter one."""
    (beating,) = stable_group(session, session.name("beating"), session_timeout_ms=SHORT_MS)
    (silent,) = stable_group(session, session.name("silent"), session_timeout_ms=2 * SHORT_MS)
    while not is_in_state(session, silent.group_id, "Empty"):
        session.ask(beating.heartbeat_request(), version, on=beating.connection)
        time.sleep(POLL_SECONDS)
    beating.heartbeat(version)
    describe(session, beating.group_id)


@case(HeartbeatRequest, versions=[HeartbeatRequest.MAX_VERSION])
def test_commits_keep_a_member(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    (busy,) = stable_group(session, session.name("busy"), session_timeout_ms=3 * SHORT_MS)
    for number in range(4):
        (silent,) = stable_group(
            session, session.name(f"silent-{number}"), session_timeout_ms=SHORT_MS
        )
        silent.await_state("Empty")
        commit(
            session,
            names,
            NEWEST_BY_NAME,
            busy.group_id,
            [(topic, [at(number)])],
            member_id=busy.member_id,
            generation_id_or_member_epoch=busy.generation_id,
        )
    busy.heartbeat(version)


@case(JoinGroupRequest, versions=OLDEST_AND_NEWEST_JOIN)
def test_session_does_not_end_while_one_waits_to_join(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"), session_timeout_ms=SHORT_MS)
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    leader.assign(leader, follower)
    follower.sync()
    again = leader.begin_join(version)
    (silent,) = stable_group(session, session.name("silent"), session_timeout_ms=2 * SHORT_MS)
    silent.await_state("Empty")
    follower.join(version)
    leader.joined(again)
    describe(session, leader.group_id)


@case(SyncGroupRequest, versions=OLDEST_AND_NEWEST_SYNC)
def test_session_does_not_end_while_one_waits_to_sync(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b", session_timeout_ms=SHORT_MS)
    let_in(follower, leader)
    waiting = follower.begin_sync(version)
    (silent,) = stable_group(session, session.name("silent"), session_timeout_ms=2 * SHORT_MS)
    silent.await_state("Empty")
    leader.assign(leader, follower)
    waiting.finish()
    follower.heartbeat()


@case(JoinGroupRequest, versions=(4, 9))
def test_promised_member_id_ends(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    promised = Member(session, leader.group_id, "b", session_timeout_ms=SHORT_MS)
    promised.get_id(version)
    again = leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    leader.joined(again)
    promised.join(version)


# --- rebalances ----------------------------------------------------------------------------------


@case(JoinGroupRequest, versions=OLDEST_AND_NEWEST_JOIN)
def test_who_does_not_join_again_is_out(session: Session, version: int) -> None:
    """Though it goes on beating."""
    times: dict[str, Any] = {"rebalance_timeout_ms": 2 * SHORT_MS}
    leader, follower = stable_group(session, session.name("group"), ("a", "b"), **times)
    again = leader.begin_join(version)
    follower.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    follower.await_error(ErrorCode.UNKNOWN_MEMBER_ID)
    leader.joined(again)
    leader.assign(leader)
    describe(session, leader.group_id)
    follower.join(version)
    follower.sync()
    follower.heartbeat()


@case(JoinGroupRequest, versions=OLDEST_AND_NEWEST_JOIN)
def test_longest_rebalance_timeout_counts(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"), rebalance_timeout_ms=SHORT_MS)
    follower = Member(session, leader.group_id, "b", rebalance_timeout_ms=LONG_MS)
    let_in(follower, leader, version)
    leader.assign(leader, follower)
    follower.sync()
    again = leader.begin_join(version)
    (silent,) = stable_group(session, session.name("silent"), session_timeout_ms=2 * SHORT_MS)
    silent.await_state("Empty")
    describe(session, leader.group_id)
    follower.join(version)
    leader.joined(again)


@case(JoinGroupRequest, versions=[0])
def test_session_timeout_is_the_first_rebalance_timeout(session: Session, version: int) -> None:
    """Version 0 knows one timeout for both."""
    leader = Member(session, session.name("group"), session_timeout_ms=2 * SHORT_MS)
    follower = Member(session, leader.group_id, "b", session_timeout_ms=2 * SHORT_MS)
    leader.enter(version)
    leader.assign(leader)
    let_in(follower, leader, version)
    leader.assign(leader, follower)
    follower.sync()
    again = leader.begin_join(version)
    follower.await_error(ErrorCode.UNKNOWN_MEMBER_ID)
    leader.joined(again)


@case(SyncGroupRequest, versions=OLDEST_AND_NEWEST_SYNC)
def test_follower_that_does_not_sync_is_out(session: Session, version: int) -> None:
    leader, follower = two_joined(session, rebalance_timeout_ms=SHORT_MS)
    leader.assign(leader, follower, version=version)
    leader.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    describe(session, leader.group_id)
    follower.sync(version)
    follower.heartbeat()
    leader.join()
    leader.assign(leader)
    describe(session, leader.group_id)


@case(SyncGroupRequest, versions=OLDEST_AND_NEWEST_SYNC)
def test_leader_that_does_not_sync_is_out(session: Session, version: int) -> None:
    leader, follower = two_joined(session, rebalance_timeout_ms=SHORT_MS)
    waiting = follower.begin_sync(version)
    waiting.finish()
    describe(session, follower.group_id)
    leader.heartbeat()
    follower.heartbeat()
    follower.join()
    leader.sync(version)
    follower.assign(follower)
    describe(session, follower.group_id)


@case(SyncGroupRequest, versions=OLDEST_AND_NEWEST_SYNC)
def test_nobody_syncs(session: Session, version: int) -> None:
    leader, follower = two_joined(session, rebalance_timeout_ms=SHORT_MS)
    leader.await_state("Empty")
    describe(session, leader.group_id)
    for member in (leader, follower):
        member.sync(version)
        member.heartbeat()
        member.join()


# --- static members ------------------------------------------------------------------------------


@case(JoinGroupRequest, versions=STATIC_JOINS)
def test_absent_static_member_is_kept_until_its_session_ends(
    session: Session, version: int
) -> None:
    leader = Member(session, session.name("group"), instance_id="i1", rebalance_timeout_ms=SHORT_MS)
    absent = Member(
        session,
        leader.group_id,
        "b",
        instance_id="i2",
        rebalance_timeout_ms=SHORT_MS,
        session_timeout_ms=4 * SHORT_MS,
    )
    leader.enter(version)
    leader.assign(leader)
    let_in(absent, leader, version)
    leader.assign(leader, absent)
    absent.sync()
    leader.join(version)
    leader.assign(leader, absent)
    describe(session, leader.group_id)
    leader.await_error(ErrorCode.REBALANCE_IN_PROGRESS)
    describe(session, leader.group_id)
    leader.join(version)


@case(JoinGroupRequest, versions=STATIC_JOINS)
def test_absent_static_member_comes_back(session: Session, version: int) -> None:
    times: dict[str, Any] = {"rebalance_timeout_ms": SHORT_MS}
    leader = Member(session, session.name("group"), instance_id="i1", **times)
    absent = Member(session, leader.group_id, "b", instance_id="i2", **times)
    leader.enter(version)
    leader.assign(leader)
    let_in(absent, leader, version)
    leader.assign(leader, absent)
    absent.sync()
    leader.join(version)
    leader.assign(leader, absent)
    absent.heartbeat()
    back = Member(session, leader.group_id, "c", instance_id="i2", **times)
    back.join(version)
    back.sync()
    back.heartbeat()
    leader.heartbeat()
    describe(session, leader.group_id)
