"""Groups, members and offsets when both brokers are stopped or killed, and started again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.group_members import Member, add_member, describe, stable_group
from compat.differential.group_offsets import (
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    delete_topic,
    fetch,
)
from compat.differential.pairs import RESTARTED_SETTINGS, await_coordinators, running_pair
from compat.differential.session import Session
from compat.targets import Target
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)

NEWEST = [JoinGroupRequest.MAX_VERSION]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers that the cases may end."""
    with running_pair(target_class, RESTARTED_SETTINGS) as running:
        yield running


def restart(session: Session, end: Callable[[Target], object]) -> None:
    """End the broker and start it again; connections of before are gone."""
    end(session.broker)
    session.broker.restart()
    await_coordinators(session.broker)
    session.reconnect()


@dataclass
class Groups:
    """One group of every kind."""

    stable: list[Member]
    static: Member
    assigning: list[Member]
    joining: list[Member]
    never_assigned: Member
    promised: Member
    left: Member
    connect: Member

    def all(self) -> list[Member]:
        alone = [self.static, self.never_assigned, self.promised, self.left, self.connect]
        return [*self.stable, *self.assigning, *self.joining, *alone]


def make_groups(session: Session) -> Groups:
    """Leave groups in every state, and members waiting."""
    stable = stable_group(session, session.name("stable"), ("a", "b"))

    static = Member(session, session.name("static"), instance_id="i")
    static.enter()
    static.assign(static)

    assigning = stable_group(session, session.name("assigning"))
    newcomer = Member(session, assigning[0].group_id, "b")
    entering = newcomer.begin_enter()
    assigning[0].join()
    newcomer.joined(entering)
    assigning.append(newcomer)
    newcomer.begin_sync()

    joining = stable_group(session, session.name("joining"), ("a", "b"))
    joining[0].begin_join()
    joining[0].await_state("PreparingRebalance")

    never_assigned = Member(session, session.name("never-assigned"))
    never_assigned.enter()

    promised = Member(session, session.name("promised"))
    promised.get_id()

    left, last = stable_group(session, session.name("left"), ("a", "b"))
    last.leave()
    left.leave()

    (connect,) = stable_group(
        session, session.name("connect"), protocol_type="connect", protocols={"eager": b"opaque"}
    )
    return Groups(stable, static, assigning, joining, never_assigned, promised, left, connect)


def look_at_groups(session: Session, groups: Groups) -> None:
    """Compare what is left of groups and members."""
    for member in groups.all():
        member.reconnect()
    describe(session, *sorted({member.group_id for member in groups.all()}))
    for member in groups.all():
        member.heartbeat()
        member.heartbeat(generation_id=member.generation_id + 1)
        member.heartbeat(generation_id=1)
    for member in (*groups.stable, groups.static, groups.connect):
        member.sync()


def use_groups(session: Session, groups: Groups) -> None:
    """Compare how the groups go on."""
    leader, follower = groups.stable
    follower.join()
    again = leader.begin_join()
    leader.await_state("PreparingRebalance")
    follower.heartbeat()
    follower.join()
    leader.joined(again)
    leader.assign(leader, follower)
    follower.sync()
    add_member(groups.stable, "c")

    back = Member(session, groups.static.group_id, "d", instance_id="i")
    back.join()
    back.sync()
    groups.static.heartbeat()
    back.heartbeat()

    for leader, follower in (groups.assigning, groups.joining):
        # Whoever is not in the generation that was written down is unknown.
        again = leader.begin_join()
        again.is_silent()
        follower.join()

    for member in (groups.never_assigned, groups.promised, groups.left):
        member.join()
        member.member_id = ""
        member.enter()
        member.assign(member)
    groups.connect.leave()
    describe(session, *sorted({member.group_id for member in groups.all()}))


def restarted(session: Session, end: Callable[[Target], object]) -> None:
    groups = make_groups(session)
    restart(session, end)
    look_at_groups(session, groups)
    use_groups(session, groups)
    restart(session, end)
    look_at_groups(session, groups)


@case(JoinGroupRequest, versions=NEWEST)
def test_groups_after_a_stop(session: Session, version: int) -> None:
    restarted(session, Target.stop)


@case(JoinGroupRequest, versions=NEWEST)
def test_groups_after_a_kill(session: Session, version: int) -> None:
    restarted(session, Target.kill)


@case(OffsetDeleteRequest)
def test_offsets_after_a_kill(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, gone = names.add("t", 3), names.add("u"), names.add("gone")
    simple, deleted, emptied = (session.name(each) for each in ("simple", "deleted", "emptied"))
    member = Member(session, session.name("group"))
    committed: list[Any] = [
        (topic, [at(7, committed_metadata="a word", committed_leader_epoch=4), at(8, 2)]),
        (other, [at(-1, committed_metadata=None)]),
        (gone, [0]),
    ]
    for group in (simple, deleted, emptied, ""):
        commit(session, names, NEWEST_BY_NAME, group, committed)
    commit(session, names, 4, simple, [(topic, [at(9, 1)])], retention_time_ms=DAY_MS)
    for version_by_id in (10, 9):
        commit(session, names, version_by_id, simple, [(topic, [at(version_by_id)])])
    session.send(DeleteGroupsRequest(groups_names=[deleted]), DeleteGroupsRequest.MAX_VERSION)
    partitions = [OffsetDeleteRequestPartition(index) for index in (0, 2)]
    topics = [OffsetDeleteRequestTopic(topic, partitions)]
    session.send(OffsetDeleteRequest(group_id=emptied, topics=topics), version)
    delete_topic(session, gone, simple, emptied)
    member.enter()
    member.assign(member)
    by_member: dict[str, Any] = {
        "member_id": member.member_id,
        "generation_id_or_member_epoch": member.generation_id,
    }
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [1])], **by_member)

    restart(session, Target.kill)

    for group in (simple, deleted, emptied, member.group_id):
        fetch(session, names, NEWEST_BY_NAME, group)
        fetch(session, names, 10, group, [(topic, [0, 1, 2]), (other, [0])])
    fetch(session, names, NEWEST_BY_NAME, "", [(topic, [0, 1, 2]), (other, [0])])
    describe(session, simple, deleted, emptied, "")
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [2])], **by_member)
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [2])])
    delete_topic(session, other, simple, emptied)
    fetch(session, names, NEWEST_BY_NAME, simple)
