"""DeleteRecords: moving the start of a log."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, fetch, fill, list_offsets, produce, wanted
from compat.differential.session import Session
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)

TIMEOUT_MS = 30_000
SORT = {"topics": "name", "partitions": "partition_index"}


def ask(
    session: Session,
    version: int,
    topic: str,
    *offsets: tuple[int, int],
    timeout_ms: int = TIMEOUT_MS,
) -> None:
    """Ask to delete up to offsets of partitions."""
    partitions = [DeleteRecordsPartition(partition_index=n, offset=each) for n, each in offsets]
    topics = [DeleteRecordsTopic(name=topic, partitions=partitions)]
    session.send(DeleteRecordsRequest(topics=topics, timeout_ms=timeout_ms), version, sort=SORT)


def with_records(session: Session, **configs: str) -> str:
    topic = session.create_topic(configs={key.replace("_", "."): configs[key] for key in configs})
    fill(session, topic, batch(session, key=b"k"), batch(session, [b"c"], key=b"k"))
    return topic


@case(DeleteRecordsRequest)
def test_up_to_an_offset(session: Session, version: int) -> None:
    topic = with_records(session)
    for offset in (0, 1, 2, 1, 0, 3, 3):
        ask(session, version, topic, (0, offset))
        list_offsets(session, 7, topic, -1, -2)
        fetch(session, 12, topic, wanted(offset))


@case(DeleteRecordsRequest)
def test_everything(session: Session, version: int) -> None:
    topic = with_records(session)
    ask(session, version, topic, (0, -1))
    ask(session, version, topic, (0, -1))
    list_offsets(session, 7, topic, -1, -2, -3, session.past_ms)
    produce(session, 9, topic, batch(session))
    fetch(session, 12, topic, wanted(3))


@case(DeleteRecordsRequest)
def test_offsets_out_of_range(session: Session, version: int) -> None:
    topic = with_records(session)
    for offset in (4, 1000, -2, 2**63 - 1, -(2**63)):
        ask(session, version, topic, (0, offset))
    list_offsets(session, 7, topic, -1, -2)


@case(DeleteRecordsRequest)
def test_empty_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for offset in (0, -1, 1):
        ask(session, version, topic, (0, offset))


@case(DeleteRecordsRequest)
def test_unknown_topic_and_partition(session: Session, version: int) -> None:
    topic = with_records(session)
    for partition in (1, -1):
        ask(session, version, topic, (partition, 1))
    for name in (session.name("unknown"), "", "ü", "."):
        ask(session, version, name, (0, 1), (3, 1))


@case(DeleteRecordsRequest)
def test_internal_topic(session: Session, version: int) -> None:
    ask(session, version, "__consumer_offsets", (0, 0), (1, -1), (1000, 0))


@case(DeleteRecordsRequest)
def test_policies(session: Session, version: int) -> None:
    for policy in ("compact", "compact,delete", "delete", ""):
        topic = session.create_topic(f"p-{policy}", configs={"cleanup.policy": policy})
        fill(session, topic, batch(session, key=b"k"))
        ask(session, version, topic, (0, 1))
        ask(session, version, topic, (0, 9))
        ask(session, version, topic, (0, -1))


@case(DeleteRecordsRequest)
def test_several_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    for partition in range(3):
        fill(session, topic, batch(session), partition=partition)
    ask(session, version, topic, (2, 1), (0, 5), (1, -1), (7, 0))
    ask(session, version, topic)
    session.send(DeleteRecordsRequest(timeout_ms=TIMEOUT_MS), version)


@case(DeleteRecordsRequest)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = with_records(session)
    ask(session, version, topic, (0, 1), (0, 2))
    ask(session, version, topic, (0, 3), (0, 1))
    list_offsets(session, 7, topic, -2)


@case(DeleteRecordsRequest)
def test_timeouts(session: Session, version: int) -> None:
    topic = with_records(session)
    for timeout_ms, offset in ((0, 1), (-1, 2), (1, 3)):
        ask(session, version, topic, (0, offset), timeout_ms=timeout_ms)
