"""AlterPartitionReassignments and ListPartitionReassignments on a cluster of one broker."""

from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from pykbroker.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

NODE_ID = 1
ORDER = {"responses": "name", "partitions": "partition_index"}


def move(
    session: Session,
    version: int,
    *topics: tuple[str, Sequence[tuple[int, Sequence[int] | None]]],
    timeout_ms: int = 30_000,
    allow_replication_factor_change: bool = True,
) -> None:
    request = AlterPartitionReassignmentsRequest(
        timeout_ms=timeout_ms,
        allow_replication_factor_change=allow_replication_factor_change,
        topics=[
            ReassignableTopic(
                name=name,
                partitions=[
                    ReassignablePartition(
                        partition_index=index, replicas=None if each is None else list(each)
                    )
                    for index, each in partitions
                ],
            )
            for name, partitions in topics
        ],
    )
    session.send(request, version, sort=ORDER)


def show(session: Session, name: str) -> None:
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False
    )
    session.send(request, 12, sort={"partitions": "partition_index"})


@case(AlterPartitionReassignmentsRequest)
def test_where_they_are(session: Session, version: int) -> None:
    first, second = session.create_topic("a", 2), session.create_topic("b")
    move(session, version, (first, [(1, [NODE_ID]), (0, [NODE_ID])]), (second, [(0, [NODE_ID])]))
    move(session, version)
    move(session, version, (first, []))
    show(session, first)


@case(AlterPartitionReassignmentsRequest)
def test_bad_replicas(session: Session, version: int) -> None:
    name = session.create_topic()
    bad: Sequence[Sequence[int]] = ([], [5], [-1], [NODE_ID, 5], [NODE_ID, NODE_ID], [5, NODE_ID])
    for replicas in bad:
        move(session, version, (name, [(0, replicas)]))
    show(session, name)


@case(AlterPartitionReassignmentsRequest)
def test_cancelling(session: Session, version: int) -> None:
    name = session.create_topic("t", 2)
    move(session, version, (name, [(0, None), (1, [NODE_ID])]))
    move(session, version, (session.name("unknown"), [(0, None)]))


@case(AlterPartitionReassignmentsRequest)
def test_unknown(session: Session, version: int) -> None:
    name = session.create_topic()
    move(session, version, (session.name("unknown"), [(0, [NODE_ID])]), (name, [(9, [NODE_ID])]))
    move(session, version, ("a b", [(0, [NODE_ID])]), ("", [(0, [5])]))
    move(session, version, (name, [(-1, [NODE_ID])]))


@case(AlterPartitionReassignmentsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    name = session.create_topic()
    move(session, version, (name, [(0, [NODE_ID]), (0, [NODE_ID])]))
    move(session, version, (name, [(0, [NODE_ID])]), (name, [(0, [NODE_ID])]))


@case(AlterPartitionReassignmentsRequest, versions=(1,))
def test_the_same_number_of_replicas(session: Session, version: int) -> None:
    name = session.create_topic()
    for replicas in ([NODE_ID], [NODE_ID, NODE_ID], []):
        move(session, version, (name, [(0, replicas)]), allow_replication_factor_change=False)


@case(AlterPartitionReassignmentsRequest)
def test_timeouts(session: Session, version: int) -> None:
    name = session.create_topic()
    for timeout_ms in (0, -1):
        move(session, version, (name, [(0, [NODE_ID])]), ("a b", []), timeout_ms=timeout_ms)


@case(ListPartitionReassignmentsRequest)
def test_list(session: Session, version: int) -> None:
    name = session.create_topic("t", 2)

    def listed(*topics: tuple[str, Sequence[int]], timeout_ms: int = 30_000) -> None:
        asked = [
            ListPartitionReassignmentsTopics(name=topic, partition_indexes=list(partitions))
            for topic, partitions in topics
        ]
        request = ListPartitionReassignmentsRequest(timeout_ms=timeout_ms, topics=asked)
        session.send(request, version)

    session.send(ListPartitionReassignmentsRequest(topics=None), version)
    listed()
    listed((name, [0, 1]))
    listed((name, []))
    listed((session.name("unknown"), [0]), (name, [9, -1]))
    listed(("a b", [0]), ("", [0]))
    listed((name, [0]), timeout_ms=0)
    listed((name, [0]), timeout_ms=-1)
