"""OffsetForLeaderEpoch: where the records of a leader's epoch end."""

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)


def ask(session: Session, version: int, topic: str, *partitions: OffsetForLeaderPartition) -> None:
    topics = [OffsetForLeaderTopic(topic=topic, partitions=list(partitions))]
    session.send(OffsetForLeaderEpochRequest(replica_id=-1, topics=topics), version)


@case(OffsetForLeaderEpochRequest)
def test_empty_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for epoch in (-1, 0, 1, 5):
        ask(session, version, topic, OffsetForLeaderPartition(partition=0, leader_epoch=epoch))


@case(OffsetForLeaderEpochRequest)
def test_unknown_topic_and_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    ask(session, version, topic, OffsetForLeaderPartition(partition=7, leader_epoch=0))
    ask(session, version, session.name("unknown"), OffsetForLeaderPartition(leader_epoch=0))
