"""ConsumerGroupDescribe, and what other requests of administrators say of consumer groups."""

from dataclasses import replace

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import OF_A_GROUP, Consumer, a_topic, describe
from compat.differential.group_members import Member, stable_group
from compat.differential.session import Session
from pykbroker.protocol.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.list_groups import ListGroupsRequest
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


@case(ConsumerGroupDescribeRequest)
def test_groups_of_all_kinds(session: Session, version: int) -> None:
    topic = a_topic(session)
    member = Consumer(session, session.name("group"), topics=[topic])
    member.join(rack_id="r", server_assignor="range")
    stable_group(session, session.name("classic"))
    gone = Consumer(session, session.name("gone"), topics=[topic], instance_id="i")
    gone.join()
    gone.leave()
    groups = [member.group_id, gone.group_id, session.name("classic"), session.name("no"), ""]
    for group_id in groups:
        describe(session, group_id, version=version)
    describe(session, *groups, version=version)
    request = ConsumerGroupDescribeRequest(
        group_ids=groups[:2] + groups[3:], include_authorized_operations=True
    )
    session.send(request, version, sort=OF_A_GROUP)
    describe(session, version=version)
    describe(session, member.group_id, member.group_id, version=version)


@case(ConsumerGroupDescribeRequest)
def test_topic_that_is_gone(session: Session, version: int) -> None:
    topic = a_topic(session)
    member = Consumer(session, session.name("group"), topics=[topic, session.name("no")])
    member.join()
    describe(session, member.group_id, version=version)


@case(DescribeGroupsRequest)
def test_as_a_classic_group(session: Session, version: int) -> None:
    member = Consumer(session, session.name("group"), topics=[a_topic(session)])
    member.join()
    session.send(DescribeGroupsRequest(groups=[member.group_id]), version)


@case(ListGroupsRequest, versions=(4, 5))
def test_lists(session: Session, version: int) -> None:
    topic = a_topic(session)
    stable = Consumer(session, session.name("stable"), topics=[topic])
    stable.join()
    reconciling = Consumer(session, session.name("reconciling"), topics=[topic])
    reconciling.join()
    Consumer(session, reconciling.group_id, "b", topics=[topic]).join()
    assigning = Consumer(session, session.name("assigning"), topics=[topic])
    assigning.join()
    second = Consumer(session, assigning.group_id, "b", topics=[topic])
    second.join()
    second.leave()
    empty = Consumer(session, session.name("empty"), topics=[topic])
    empty.join()
    empty.leave()
    stable_group(session, session.name("classic"))
    types = ("consumer", "CONSUMER", " consumer", "classic", "share") if version >= 5 else ()
    requests = [ListGroupsRequest()]
    requests += [
        ListGroupsRequest(states_filter=[state])
        for state in ("Stable", "reconciling", "Assigning", "EMPTY", "Dead")
    ]
    requests += [ListGroupsRequest(types_filter=[kind]) for kind in types]
    for request in requests:
        answer = session.ask(request, version)
        own = [group for group in answer.groups if group.group_id.startswith(session.name(""))]
        own.sort(key=lambda group: str(group.group_id))
        session.note(f"ListGroups v{version} {request}", replace(answer, groups=own))


@case(DeleteGroupsRequest, versions=(0, 2))
def test_deletion(session: Session, version: int) -> None:
    member = Consumer(session, session.name("group"), topics=[a_topic(session)])
    member.join()
    for _ in range(2):
        session.send(DeleteGroupsRequest(groups_names=[member.group_id]), version)
        describe(session, member.group_id)
        member.leave()
    member.join()
    describe(session, member.group_id)


@case(OffsetDeleteRequest)
def test_offsets_of_subscribed_topics(session: Session, version: int) -> None:
    topic = a_topic(session)
    other = a_topic(session, "other")
    member = Consumer(session, session.name("group"), topics=[topic])
    member.join()
    for _ in range(2):
        topics = [
            OffsetDeleteRequestTopic(name=name, partitions=[OffsetDeleteRequestPartition(0)])
            for name in (topic, other)
        ]
        request = OffsetDeleteRequest(group_id=member.group_id, topics=topics)
        session.send(request, version, sort={"topics": "name"})
        member.leave()


@case(ConsumerGroupDescribeRequest, versions=(1,))
def test_kinds_that_give_way(session: Session, version: int) -> None:
    topic = a_topic(session)
    member = Consumer(session, session.name("group"), topics=[topic])
    member.join()
    member.leave()
    classic = Member(session, member.group_id)
    classic.enter()
    describe(session, member.group_id, version=version)
    session.send(DescribeGroupsRequest(groups=[member.group_id]), 6)
    classic.assign(classic)
    classic.leave()
    member.join()
    describe(session, member.group_id, version=version)
