"""Groups of brokers with settings of their own: small groups, an initial delay, soon forgotten.

The first rebalance of a group waits for more members, so that every new group takes a while.
"""

from collections.abc import Iterator

import pytest

from compat.differential.cases import Pair, case
from compat.differential.group_members import (
    Member,
    describe,
    is_in_state,
    let_in,
    stable_group,
)
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit, fetch
from compat.differential.pairs import running_pair
from compat.differential.session import Session
from compat.processes import eventually
from compat.targets import Target
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest

pytestmark = pytest.mark.waits

MAX_SIZE = 2
JOINS = (0, 3, 5, 9)
STATIC_JOINS = (5, 9)
WITH_RETENTION = range(2, 5)
WITHOUT_PROMISE = 3
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers in which what these cases are about comes soon."""
    settings = {
        "group.max.size": str(MAX_SIZE),
        "group.initial.rebalance.delay.ms": "700",
        "offsets.retention.check.interval.ms": "300",
        "offset.metadata.max.bytes": "10",
        # One partition, of which the check has been at everything when it has been at anything.
        "offsets.topic.num.partitions": "1",
    }
    with running_pair(target_class, settings) as running:
        yield running


def kept_group(session: Session, label: str = "group") -> str:
    """A group that is not forgotten between a promise and its keeping, since it has offsets."""
    names = TopicNames(session)
    group = session.name(label)
    commit(session, names, NEWEST_BY_NAME, group, [(names.add(f"{label}-t"), [0])])
    return group


# --- the initial delay ---------------------------------------------------------------------------


@case(JoinGroupRequest, versions=JOINS)
def test_first_rebalance_waits(session: Session, version: int) -> None:
    member = Member(session, kept_group(session))
    member.get_id(version)
    entering = member.begin_join(version)
    entering.is_silent()
    describe(session, member.group_id)
    member.joined(entering)
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_two_in_the_first_generation(session: Session, version: int) -> None:
    first = Member(session, kept_group(session))
    second = Member(session, first.group_id, "b")
    first.get_id(version)
    second.get_id(version)
    entering = [first.begin_join(version)]
    first.await_state("PreparingRebalance")
    entering.append(second.begin_join(version))
    first.await_state("PreparingRebalance", members=2)
    first.joined(entering[0])
    second.joined(entering[1])
    first.assign(first, second)
    second.sync()
    describe(session, first.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_the_only_one_leaves_again(session: Session, version: int) -> None:
    member = Member(session, kept_group(session))
    member.get_id()
    entering = member.begin_join()
    member.await_state("PreparingRebalance")
    member.leave()
    member.joined(entering)
    member.await_state("Empty")
    describe(session, member.group_id)
    other = Member(session, member.group_id, "b")
    other.enter(version)
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_delay_after_all_have_left(session: Session, version: int) -> None:
    first, second = stable_group(session, kept_group(session), ("a", "b"))
    second.leave()
    first.leave()
    newcomer = Member(session, first.group_id, "c")
    newcomer.get_id(version)
    entering = newcomer.begin_join(version)
    entering.is_silent()
    newcomer.joined(entering)


# --- group.max.size ------------------------------------------------------------------------------


@case(JoinGroupRequest, versions=JOINS)
def test_full_group(session: Session, version: int) -> None:
    leader, follower = stable_group(session, kept_group(session), ("a", "b"))
    third = Member(session, leader.group_id, "c")
    third.join(version)
    third.join(version, member_id="stranger")
    leader.heartbeat()
    follower.heartbeat()
    describe(session, leader.group_id)
    follower.leave()
    leader.heartbeat()


@case(JoinGroupRequest, versions=(4, 9))
def test_promise_does_not_hold_in_a_full_group(session: Session, version: int) -> None:
    (leader,) = stable_group(session, kept_group(session))
    second, third = (Member(session, leader.group_id, client_id) for client_id in ("b", "c"))
    third.get_id(version)
    second.get_id(version)
    second.begin_join(version)
    leader.await_state("PreparingRebalance", members=2)
    again = leader.begin_join(version)
    again.is_silent()
    third.join(version)
    again.is_silent()


@case(JoinGroupRequest, versions=STATIC_JOINS)
def test_static_members_of_a_full_group(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"), instance_id="i1")
    leader.enter(version)
    leader.assign(leader)
    follower = Member(session, leader.group_id, "b", instance_id="i2")
    let_in(follower, leader, version)
    leader.assign(leader, follower)
    follower.sync()
    Member(session, leader.group_id, "c", instance_id="i3").join(version)
    Member(session, leader.group_id, "d", instance_id="i2").join(version)
    follower.heartbeat()
    leader.heartbeat()
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=JOINS)
def test_newcomer_takes_the_last_place(session: Session, version: int) -> None:
    """In a rebalance the first to join have the places, whoever had them before."""
    leader, follower = stable_group(session, kept_group(session), ("a", "b"))
    leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    newcomer = Member(session, leader.group_id, "c")
    newcomer.get_id(version)
    entering = newcomer.begin_join(version)
    leader.await_state("PreparingRebalance", members=3)
    follower.join(version)
    entering.is_silent()


# --- the end of offsets and groups ---------------------------------------------------------------


def await_end(session: Session, group_id: str) -> None:
    """Return when a group is gone."""
    eventually(lambda: is_in_state(session, group_id, "Dead"), what=f"the end of {group_id}")


@case(OffsetCommitRequest, versions=WITH_RETENTION)
def test_offsets_end_when_the_client_said(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 3), session.name("group")
    commit(session, names, version, group, [(topic, [0])], retention_time_ms=DAY_MS)
    commit(session, names, version, group, [(topic, [1])])
    commit(session, names, version, group, [(topic, [2])], retention_time_ms=1)
    short = session.name("short")
    commit(session, names, version, short, [(topic, [0])], retention_time_ms=1)
    await_end(session, short)
    fetch(session, names, NEWEST_BY_NAME, group)
    fetch(session, names, NEWEST_BY_NAME, short)
    describe(session, group, short)


@case(OffsetCommitRequest, versions=WITH_RETENTION)
def test_offsets_of_members_do_not_end(session: Session, version: int) -> None:
    """Nor do those of a topic that no member consumes, unless their own time is over."""
    names = TopicNames(session)
    topic = names.add("t", 2)
    (member,) = stable_group(session, session.name("group"), version=WITHOUT_PROMISE)
    commit(
        session,
        names,
        version,
        member.group_id,
        [(topic, [0])],
        member_id=member.member_id,
        generation_id_or_member_epoch=member.generation_id,
    )
    commit(
        session,
        names,
        version,
        member.group_id,
        [(topic, [1])],
        retention_time_ms=1,
        member_id=member.member_id,
        generation_id_or_member_epoch=member.generation_id,
    )
    marker = session.name("marker")
    commit(session, names, version, marker, [(topic, [0])], retention_time_ms=1)
    await_end(session, marker)
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
    describe(session, member.group_id)


@case(OffsetCommitRequest, versions=WITH_RETENTION)
def test_group_that_all_left_ends_with_its_offsets(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    (member,) = stable_group(session, session.name("group"), version=WITHOUT_PROMISE)
    member.leave()
    await_end(session, member.group_id)
    commit(session, names, version, member.group_id, [(topic, [0])])
    marker = session.name("marker")
    commit(session, names, version, marker, [(topic, [0])], retention_time_ms=1)
    await_end(session, marker)
    describe(session, member.group_id)
    member.join()
    commit(session, names, version, member.group_id, [(topic, [0])], retention_time_ms=1)
    await_end(session, member.group_id)


@case(OffsetCommitRequest, versions=(2, 4))
def test_promised_member_of_a_forgotten_group(session: Session, version: int) -> None:
    """Somebody is just coming: its group does not end before it has come."""
    names = TopicNames(session)
    topic = names.add("t")
    member = Member(session, session.name("group"))
    member.get_id()
    member.await_state("Empty")
    for label in ("marker-1", "marker-2"):
        marker = session.name(label)
        commit(session, names, version, marker, [(topic, [0])], retention_time_ms=1)
        await_end(session, marker)
    member.join()


@case(OffsetCommitRequest)
def test_small_metadata(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    for metadata in ("x" * 10, "é" * 10, "x" * 11, ""):
        commit(session, names, version, group, [(topic, [at(1, committed_metadata=metadata)])])
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
