"""Many groups, members, topics and partitions at once."""

from compat.differential.cases import case
from compat.differential.group_members import (
    BY_GROUP_AND_CLIENT,
    Member,
    describe,
    stable_group,
    subscription,
)
from compat.differential.group_offsets import (
    BY_NAME,
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    fetch,
    fetch_request,
)
from compat.differential.session import Pending, Session
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequest

MANY_GROUPS = 40
MANY_MEMBERS = 12
MANY_PARTITIONS = 25


def client_ids() -> list[str]:
    return [f"client-{number:02}" for number in range(MANY_MEMBERS)]


@case(JoinGroupRequest, versions=(0, 5, 9))
def test_many_members(session: Session, version: int) -> None:
    """All come while the first one is told to join again, and all go in one request."""
    names = client_ids()
    (leader,) = stable_group(session, session.name("group"), names[:1])
    others = [Member(session, leader.group_id, client_id) for client_id in names[1:]]
    entering: list[Pending] = []
    for member in others:
        member.get_id(version)
    for number, member in enumerate(others):
        entering.append(member.begin_join(version))
        leader.await_state("PreparingRebalance", members=number + 2)
    leader.join(version)
    for member, pending in zip(others, entering, strict=True):
        member.joined(pending)
    waiting = [member.begin_sync() for member in others]
    leader.assign(leader, *others)
    for pending in waiting:
        pending.finish()
    describe(session, leader.group_id)

    for member in others[::2]:
        member.protocols = {"range": subscription("t", "another")}
    again = [member.begin_join(version) for member in others[::2]]
    leader.await_state("PreparingRebalance")
    for member in others[1::2]:
        member.heartbeat()
    staying = [member.begin_join(version) for member in others[1::2]]
    leader.join(version)
    for member, pending in zip(others[::2] + others[1::2], again + staying, strict=True):
        member.joined(pending)
    leader.assign(leader, *others)

    identities = [MemberIdentity(member.member_id) for member in (leader, *others)]
    leaving = LeaveGroupRequest(group_id=leader.group_id, members=identities)
    session.send(leaving, LeaveGroupRequest.MAX_VERSION)
    describe(session, leader.group_id)


@case(JoinGroupRequest, versions=(0, 9))
def test_groups_beside_each_other(session: Session, version: int) -> None:
    """The groups of one client share nothing but its connection."""
    members = []
    for number in range(MANY_GROUPS):
        member = Member(session, session.name(f"group-{number:02}"))
        member.connection = session.connection
        members.append(member)
        member.enter(version)
    for member in members:
        member.assign(member)
    for member in members[::3]:
        member.leave()
    for member in members:
        member.heartbeat()
    describe(session, *(member.group_id for member in members))


@case(DeleteGroupsRequest)
def test_many_groups_in_a_request(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    groups = [session.name(f"group-{number:02}") for number in range(MANY_GROUPS)]
    for number, group in enumerate(groups):
        commit(session, names, NEWEST_BY_NAME, group, [(topic, [at(number)])])
    find = FindCoordinatorRequest(coordinator_keys=groups)
    session.send(find, FindCoordinatorRequest.MAX_VERSION)
    asked = fetch_request(names, OffsetFetchRequest.MAX_VERSION, groups, [(topic, [0])])
    session.send(asked, OffsetFetchRequest.MAX_VERSION, sort={"groups": "group_id"})
    doomed = [*groups[::2], session.name("missing")]
    session.send(DeleteGroupsRequest(groups_names=doomed), version, sort={"results": "group_id"})
    session.send(
        DescribeGroupsRequest(groups=groups),
        DescribeGroupsRequest.MAX_VERSION,
        sort=BY_GROUP_AND_CLIENT,
    )
    asked = fetch_request(names, NEWEST_BY_NAME, groups, None)
    session.send(asked, NEWEST_BY_NAME, sort={"groups": "group_id", **BY_NAME})


@case(OffsetCommitRequest, versions=(2, 10))
def test_many_partitions(session: Session, version: int) -> None:
    names = TopicNames(session)
    group = session.name("group")
    topics = [names.add(label, MANY_PARTITIONS) for label in ("t", "u", "v")]
    everything = [(topic, range(MANY_PARTITIONS)) for topic in topics]
    commit(session, names, version, group, everything)
    fetch(session, names, NEWEST_BY_NAME, group)
    beyond = [(topic, range(MANY_PARTITIONS - 2, MANY_PARTITIONS + 2)) for topic in topics]
    commit(session, names, version, group, beyond)
    fetch(session, names, NEWEST_BY_NAME, group, beyond)
