"""OffsetForLeaderEpoch: where the records of a leader's epoch end."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, fill
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

EPOCHS = (-2, -1, 0, 1, 5, 2**31 - 1)


def ask(
    session: Session,
    version: int,
    topic: str,
    *partitions: OffsetForLeaderPartition,
    replica_id: int = -1,
) -> None:
    topics = [OffsetForLeaderTopic(topic=topic, partitions=list(partitions))]
    session.send(
        OffsetForLeaderEpochRequest(replica_id=replica_id, topics=topics),
        version,
        sort={"partitions": "partition"},
    )


def wanted(leader_epoch: int, **fields: int) -> OffsetForLeaderPartition:
    return OffsetForLeaderPartition(leader_epoch=leader_epoch, **fields)


@case(OffsetForLeaderEpochRequest)
def test_empty_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for epoch in EPOCHS:
        ask(session, version, topic, wanted(epoch))


@case(OffsetForLeaderEpochRequest)
def test_partition_with_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session), batch(session))
    for epoch in EPOCHS:
        ask(session, version, topic, wanted(epoch))


@case(OffsetForLeaderEpochRequest)
def test_current_leader_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    for current in EPOCHS:
        ask(session, version, topic, wanted(0, current_leader_epoch=current))


@case(OffsetForLeaderEpochRequest)
def test_unknown_topic_and_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for partition in (7, -1):
        ask(session, version, topic, wanted(0, partition=partition))
    for name in (session.name("unknown"), "", "ü"):
        ask(session, version, name, wanted(0), wanted(0, partition=3))


@case(OffsetForLeaderEpochRequest)
def test_several_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    fill(session, topic, batch(session), partition=1)
    ask(session, version, topic, wanted(0, partition=1), wanted(0), wanted(0, partition=2))
    ask(session, version, topic)
    session.send(OffsetForLeaderEpochRequest(replica_id=-1), version)


@case(OffsetForLeaderEpochRequest)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = session.create_topic()
    ask(session, version, topic, wanted(0), wanted(5))
    topics = [OffsetForLeaderTopic(topic=topic, partitions=[wanted(0)]) for _ in range(2)]
    session.send(OffsetForLeaderEpochRequest(replica_id=-1, topics=topics), version)


@case(OffsetForLeaderEpochRequest, versions=(3, 4))
def test_replica_ids(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    for replica in (-3, -2, -1, 1, 2):
        ask(session, version, topic, wanted(0), replica_id=replica)


@case(OffsetForLeaderEpochRequest)
def test_after_everything_was_deleted(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session), batch(session))
    session.delete_records(topic, 3)
    ask(session, version, topic, wanted(0))
    session.delete_records(topic, -1)
    for epoch in EPOCHS:
        ask(session, version, topic, wanted(epoch))
