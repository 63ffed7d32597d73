"""DescribeGroups: every state of a group, groups that are not there, and what one may do."""

from compat.differential.cases import case
from compat.differential.group_members import (
    BY_GROUP_AND_CLIENT,
    Member,
    add_member,
    describe,
    stable_group,
    subscription,
)
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, commit
from compat.differential.session import Session
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest

FIRST_WITH_OPERATIONS = 3


@case(DescribeGroupsRequest)
def test_missing_groups(session: Session, version: int) -> None:
    for group in (session.name("missing"), "", " ", "é", "x" * 300):
        describe(session, group, version=version)


@case(DescribeGroupsRequest)
def test_every_state(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"))
    leader.get_id()
    leader.await_state("Empty")
    describe(session, leader.group_id, version=version)
    leader.join()
    describe(session, leader.group_id, version=version)
    leader.assign(leader)
    describe(session, leader.group_id, version=version)
    follower = Member(session, leader.group_id, "b", protocols={"range": subscription("u")})
    entering = follower.begin_enter()
    describe(session, leader.group_id, version=version)
    leader.join()
    follower.joined(entering)
    describe(session, leader.group_id, version=version)
    leader.assign(leader, follower)
    describe(session, leader.group_id, version=version)
    follower.leave()
    describe(session, leader.group_id, version=version)
    leader.leave()
    describe(session, leader.group_id, version=version)


@case(DescribeGroupsRequest)
def test_group_of_offsets_alone(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
    describe(session, group, version=version)


@case(DescribeGroupsRequest)
def test_group_of_another_protocol_type(session: Session, version: int) -> None:
    worker = Member(
        session,
        session.name("group"),
        protocol_type="connect",
        protocols={"sessioned": b"opaque", "eager": b""},
    )
    worker.enter()
    describe(session, worker.group_id, version=version)
    worker.assign(worker)
    describe(session, worker.group_id, version=version)
    worker.leave()
    describe(session, worker.group_id, version=version)


@case(DescribeGroupsRequest)
def test_static_members(session: Session, version: int) -> None:
    member = Member(session, session.name("group"), instance_id="an instance")
    member.enter()
    member.assign(member)
    describe(session, member.group_id, version=version)


@case(DescribeGroupsRequest)
def test_three_members(session: Session, version: int) -> None:
    members = stable_group(session, session.name("group"))
    add_member(members, "b")
    add_member(members, "c")
    describe(session, members[0].group_id, version=version)


@case(DescribeGroupsRequest)
def test_many_groups(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    missing = session.name("missing")
    describe(session, version=version)
    describe(session, missing, member.group_id, "", version=version)
    describe(session, member.group_id, missing, member.group_id, missing, version=version)


@case(DescribeGroupsRequest, versions=range(FIRST_WITH_OPERATIONS, 7))
def test_authorized_operations(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    groups = [member.group_id, session.name("missing"), ""]
    request = DescribeGroupsRequest(groups=groups, include_authorized_operations=True)
    session.send(request, version, sort=BY_GROUP_AND_CLIENT)


@case(DescribeGroupsRequest)
def test_clients(session: Session, version: int) -> None:
    for number, client_id in enumerate((None, "", "é client")):
        member = Member(session, session.name(f"group-{number}"))
        member.connection = session.connect(client_id)
        member.enter()
        describe(session, member.group_id, version=version)
