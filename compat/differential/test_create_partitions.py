"""CreatePartitions: topics that grow, and those that may not."""

from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

NODE_ID = 1


def to(
    name: str, count: int, assignments: Sequence[Sequence[int]] | None = None
) -> CreatePartitionsTopic:
    return CreatePartitionsTopic(
        name=name,
        count=count,
        assignments=(
            None
            if assignments is None
            else [CreatePartitionsAssignment(broker_ids=list(each)) for each in assignments]
        ),
    )


def grow(
    session: Session,
    version: int,
    *topics: CreatePartitionsTopic,
    timeout_ms: int = 30_000,
    validate_only: bool = False,
) -> None:
    request = CreatePartitionsRequest(
        topics=list(topics), timeout_ms=timeout_ms, validate_only=validate_only
    )
    session.send(request, version, sort={"results": "name"})


def show(session: Session, name: str, partitions: int) -> None:
    session.await_topic(name, partitions)
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False
    )
    session.send(request, 12, sort={"partitions": "partition_index"})


@case(CreatePartitionsRequest)
def test_more(session: Session, version: int) -> None:
    name = session.create_topic()
    grow(session, version, to(name, 4))
    show(session, name, 4)
    grow(session, version)


@case(CreatePartitionsRequest)
def test_no_more_than_there_are(session: Session, version: int) -> None:
    name = session.create_topic("t", 3)
    for count in (3, 2, 1, 0, -1, -2147483648):
        grow(session, version, to(name, count))
    show(session, name, 3)


@case(CreatePartitionsRequest)
def test_unknown(session: Session, version: int) -> None:
    for name in (session.name("unknown"), "", "a b", "__cluster_metadata"):
        grow(session, version, to(name, 3))


@case(CreatePartitionsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    twice, once = session.create_topic("twice"), session.create_topic("once")
    grow(session, version, to(twice, 2), to(once, 2), to(twice, 3))
    grow(session, version, to(session.name("unknown"), 2), to(session.name("unknown"), 2))
    show(session, once, 2)
    show(session, twice, 1)


@case(CreatePartitionsRequest)
def test_assignments(session: Session, version: int) -> None:
    name = session.create_topic()
    grow(session, version, to(name, 3, [[NODE_ID], [NODE_ID]]))
    show(session, name, 3)


@case(CreatePartitionsRequest)
def test_bad_assignments(session: Session, version: int) -> None:
    name = session.create_topic()
    for assignments in (
        [],
        [[NODE_ID]],
        [[NODE_ID], [NODE_ID], [NODE_ID]],
        [[NODE_ID], [5]],
        [[NODE_ID], [-1]],
        [[NODE_ID], []],
        [[NODE_ID], [NODE_ID, NODE_ID]],
        [[NODE_ID], [NODE_ID, 2]],
    ):
        grow(session, version, to(name, 3, assignments))
    grow(session, version, to(name, 1, [[NODE_ID]]))
    grow(session, version, to(session.name("unknown"), 2, [[NODE_ID]]))
    show(session, name, 1)


@case(CreatePartitionsRequest)
def test_validate_only(session: Session, version: int) -> None:
    name = session.create_topic()
    grow(session, version, to(name, 4), validate_only=True)
    grow(session, version, to(name, 1), to("a b", 3), validate_only=True)
    show(session, name, 1)


@case(CreatePartitionsRequest)
def test_timeouts(session: Session, version: int) -> None:
    name = session.create_topic()
    for timeout_ms in (0, -1):
        grow(session, version, to(name, 4), to("a b", 3), timeout_ms=timeout_ms)
    show(session, name, 1)


@case(CreatePartitionsRequest, versions=(0, 3))
def test_too_many(session: Session, version: int) -> None:
    name = session.create_topic()
    grow(session, version, to(name, 20_000), validate_only=True)
    grow(session, version, to(name, 9_000), validate_only=True)


@case(CreatePartitionsRequest, versions=(0, 3))
def test_good_and_bad_together(session: Session, version: int) -> None:
    first, second = session.create_topic("a"), session.create_topic("b", 2)
    grow(session, version, to(second, 1), to(first, 2), to(session.name("unknown"), 2))
    show(session, first, 2)


@case(CreatePartitionsRequest, versions=(0, 3))
def test_internal_topics(session: Session, version: int) -> None:
    grow(session, version, to("__consumer_offsets", 1), to("__consumer_offsets_", 2))
    grow(session, version, to("__consumer_offsets", 60), validate_only=True)
