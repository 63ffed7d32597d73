"""What shows only with other settings of the brokers: limits, and what is switched off."""

import pytest

from compat.differential.cases import Pair, case
from compat.differential.data_plane import batch, fetch, fetch_request, fetch_topic, produce, wanted
from compat.differential.group_members import Member, describe, stable_group
from compat.differential.session import Session
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.fetch import FetchRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FIRST_BY_ID = 6


@pytest.fixture
def pair(other_pair: Pair) -> Pair:
    return other_pair


@case(JoinGroupRequest)
def test_a_group_that_is_full(session: Session, version: int) -> None:
    (first,) = stable_group(session, session.name("group"))
    second = Member(session, first.group_id, "b")
    second.join(version)
    second.join(version)
    first.heartbeat()
    describe(session, first.group_id)


@case(DeleteTopicsRequest)
def test_topics_are_not_to_be_deleted(session: Session, version: int) -> None:
    topic = session.create_topic()
    for name in (topic, session.name("unknown")):
        request = DeleteTopicsRequest(timeout_ms=30_000)
        if version >= FIRST_BY_ID:
            request.topics = [DeleteTopicState(name=name)]
        else:
            request.topic_names = [name]
        session.send(request, version)
    fetch(session, 12, topic)


@case(MetadataRequest, versions=(0, 3, 4, 12))
def test_topics_are_not_made_on_demand(session: Session, version: int) -> None:
    name = session.name("unknown")
    for _ in range(2):
        request = MetadataRequest(topics=[MetadataRequestTopic(name=name)])
        request.allow_auto_topic_creation = True
        session.send(request, version)


@case(ProduceRequest, versions=(3, 13))
def test_limits_of_the_broker(session: Session, version: int) -> None:
    topic = session.create_topic()
    for size in (1_900, 1_990, 3_000):
        produce(session, version, topic, batch(session, [b"x" * size]))
    late = Record(0, session.now_ms + 60_000, None, b"v")
    produce(session, version, topic, bytes(build_batch([late])))
    fetch(session, 12, topic)


@case(FetchRequest, versions=(7, 13, 18))
def test_no_room_for_sessions(session: Session, version: int) -> None:
    topic = session.create_topic()
    topics = [fetch_topic(session, version, topic, wanted())]
    session.send(fetch_request(topics, session_epoch=0), version)
    session.send(fetch_request(topics, session_id=5, session_epoch=1), version)


@case(FetchRequest, versions=(4, 13, 18))
def test_the_largest_answer(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"compression.type": "uncompressed"}, partitions=2)
    for partition in (0, 0, 1):
        produce(session, 9, topic, batch(session, [b"x" * 700]), partition=partition)
    fetch(session, version, topic, wanted(), wanted(partition=1))
    fetch(session, version, topic, wanted(partition=1), wanted())
