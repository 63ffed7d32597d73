"""DescribeLogDirs: directories, and the partitions in them with their sizes."""

from collections.abc import Sequence
from typing import Any

from compat.differential.cases import case
from compat.differential.session import Session
from compat.single_requests import a_batch
from pykbroker.protocol.messages.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)

ORDER = {"topics": "name", "partitions": "partition_index"}


def ask(session: Session, version: int, *topics: tuple[str, Sequence[int]]) -> Any:
    asked = [DescribableLogDirTopic(topic=name, partitions=list(each)) for name, each in topics]
    return _compare(session, version, session.ask(DescribeLogDirsRequest(topics=asked), version))


def _compare(session: Session, version: int, answer: Any) -> None:
    """The sizes of the disk change all the time: compared is that they are there."""
    for directory in answer.results:
        for size in ("total_bytes", "usable_bytes"):
            setattr(directory, size, min(getattr(directory, size), 1))
        directory.topics.sort(key=lambda topic: topic.name)
        for topic in directory.topics:
            topic.partitions.sort(key=lambda partition: partition.partition_index)
    session.note(f"log dirs v{version}", answer)


def fill(session: Session, topic: str) -> None:
    data = PartitionProduceData(index=0, records=a_batch([b"x" * 100]))
    request = ProduceRequest(
        acks=-1,
        timeout_ms=10_000,
        topic_data=[TopicProduceData(name=topic, partition_data=[data])],
    )
    answer = session.ask(request, 9)
    assert answer.responses[0].partition_responses[0].error_code == 0, answer


@case(DescribeLogDirsRequest)
def test_some_partitions(session: Session, version: int) -> None:
    first, second = session.create_topic("a", 3), session.create_topic("b", 2)
    fill(session, first)
    ask(session, version, (first, [0, 1]), (second, [1]))
    ask(session, version, (second, [1, 0]), (first, [2]))


@case(DescribeLogDirsRequest)
def test_none(session: Session, version: int) -> None:
    ask(session, version)


@case(DescribeLogDirsRequest)
def test_all(session: Session, version: int) -> None:
    """Only those of this case: the others come and go."""
    name = session.create_topic("t", 2)
    answer = session.ask(DescribeLogDirsRequest(topics=None), version)
    for directory in answer.results:
        directory.topics = [topic for topic in directory.topics if topic.name == name]
    _compare(session, version, answer)


@case(DescribeLogDirsRequest)
def test_unknown(session: Session, version: int) -> None:
    name = session.create_topic()
    ask(session, version, (session.name("unknown"), [0]))
    ask(session, version, (name, [9, 0, -1]))
    ask(session, version, (name, []))
    ask(session, version, ("a b", [0]), ("", [0]))
    ask(session, version, ("__cluster_metadata", [0]))


@case(DescribeLogDirsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    name = session.create_topic("t", 3)
    ask(session, version, (name, [0, 0]))
    ask(session, version, (name, [0]), (name, [1, 0]))
