"""Topics and frames at brokers that have other settings than the default ones in their files."""

import pytest

from compat.differential.cases import Pair, case
from compat.differential.config_requests import BROKER, NODE, TOPIC, describe
from compat.differential.data_plane import batch, fetch, fill, produce
from compat.differential.malformed import Outcomes, header
from compat.differential.pairs import MAX_FRAME_BYTES, OTHER_SETTINGS
from compat.differential.session import Session
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from pykbroker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.describe_cluster import DescribeClusterRequest
from pykbroker.protocol.messages.describe_configs import DescribeConfigsRequest
from pykbroker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.messages.produce import ProduceRequest


@pytest.fixture
def pair(other_pair: Pair) -> Pair:
    """Brokers that neither make topics by themselves nor delete any."""
    return other_pair


@case(MetadataRequest)
def test_no_topic_is_made(session: Session, version: int) -> None:
    topics = [MetadataRequestTopic(name=session.name()), MetadataRequestTopic(name="a b")]
    for _ in range(2):
        session.send(MetadataRequest(topics=topics), version, sort={"topics": "name"})


@case(MetadataRequest)
def test_rack(session: Session, version: int) -> None:
    name = session.create_topic("t", 2)
    session.send(MetadataRequest(topics=[MetadataRequestTopic(name=name)]), version)


@case(DescribeClusterRequest)
def test_rack_of_the_cluster(session: Session, version: int) -> None:
    session.send(DescribeClusterRequest(), version)


@case(DeleteTopicsRequest)
def test_no_topic_is_deleted(session: Session, version: int) -> None:
    """Before v3 there is no error of its own for it."""
    name, unknown = session.create_topic(), session.name("unknown")
    for names in ([name], [unknown], [name, name], []):
        topics = [DeleteTopicState(name=each) for each in names]
        request = DeleteTopicsRequest(topics=topics, topic_names=names, timeout_ms=30_000)
        session.send(request, version, sort={"responses": "name"})
    if version >= 6:
        topics = [DeleteTopicState(name=None, topic_id=session.topic_id(name))]
        session.send(DeleteTopicsRequest(topics=topics, timeout_ms=30_000), version)
        request = DeleteTopicsRequest(topics=[DeleteTopicState()], timeout_ms=30_000)
        session.send(request, version)
    session.await_topic(name)


@case(CreateTopicsRequest)
def test_defaults_of_topics(session: Session, version: int) -> None:
    name = session.name()
    topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1)
    session.send(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), version)
    session.await_topic(name, 3)
    describe(session, (TOPIC, name, None))


@case(DescribeConfigsRequest)
def test_settings(session: Session, version: int) -> None:
    keys = [*OTHER_SETTINGS, "log.retention.ms", "log.retention.hours", "log.roll.ms"]
    describe(session, (BROKER, NODE, keys), version=version)
    topic = session.create_topic(configs={"compression.type": "producer"})
    describe(session, (TOPIC, topic, None), version=version)


@case(DescribeTopicPartitionsRequest)
def test_pages_of_two(session: Session, version: int) -> None:
    names = [session.create_topic(label, 3) for label in "ab"]
    topics = [TopicRequest(name=name) for name in names]
    cursor: Cursor | None = None
    for _ in range(4):
        request = DescribeTopicPartitionsRequest(topics=topics, cursor=cursor)
        cursor = session.send(request, version).next_cursor


@case(CreatePartitionsRequest)
def test_more_partitions(session: Session, version: int) -> None:
    name = session.create_topic()
    wanted = CreatePartitionsTopic(name=name, count=3, assignments=None)
    session.send(CreatePartitionsRequest(topics=[wanted], timeout_ms=30_000), version)
    session.await_topic(name, 3)


@case(ProduceRequest, versions=(3, 9, 13))
def test_producing(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, batch(session))
    produce(session, version, topic, batch(session, [b"x" * 2000]))
    fill(session, topic, batch(session, key=b"k"))
    fetch(session, 12, topic)


@case(MetadataRequest, versions=(9,))
def test_frames_that_are_too_large(session: Session, version: int) -> None:
    outcomes = Outcomes(session)
    request = header(ApiKey.METADATA, version) + b"\x01\x00\x00\x00\x00"
    for size in (MAX_FRAME_BYTES - 1, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1):
        outcomes.attempt(str(size), request + bytes(size - len(request)))
    outcomes.note("sizes")
