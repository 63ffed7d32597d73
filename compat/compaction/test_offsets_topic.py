"""The topic of groups and offsets is compacted, and right after that."""

from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from compat.compaction.client import QUIET, admin_of, new_topic, reader
from compat.compaction.conftest import SETTINGS
from compat.processes import eventually
from compat.targets import Target

SEGMENT_BYTES = int(SETTINGS["offsets.topic.segment.bytes"])
PARTITIONS = 8
METADATA_BYTES = 4000
COMMITS = 150
STILL_LOADS = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def committer(broker: Target, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": broker.address, "group.id": group, **QUIET})


def commit(consumer: Consumer, topic: str, offset: int, metadata: str = "") -> None:
    """Commit the offset for all partitions."""
    offsets = [
        TopicPartition(topic, number, offset, metadata=metadata) for number in range(PARTITIONS)
    ]
    for answer in consumer.commit(offsets=offsets, asynchronous=False):
        assert answer.error is None, answer.error


def committed(broker: Target, group: str, topic: str) -> list[tuple[int, str | None]]:
    """The offset and the metadata of each partition."""
    asked = [TopicPartition(topic, number) for number in range(PARTITIONS)]

    def ask() -> list[TopicPartition] | None:
        try:
            return list(client.committed(asked, timeout=60))
        except KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() in STILL_LOADS:
                return None
            raise

    with reader(broker, group_id=group) as client:
        return [(each.offset, each.metadata) for each in eventually(ask, what="the offsets")]


def groups(broker: Target) -> set[str]:
    admin = admin_of(broker)
    return {each.group_id for each in admin.list_consumer_groups().result(timeout=60).valid}


def size_of(directory: Path) -> int:
    """Bytes of all segments."""
    total = 0
    for path in directory.glob("*.log"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it was replaced
            continue
    return total


def test_offsets_outlive_the_compaction_of_their_topic_and_a_kill(broker: Target) -> None:
    topic = "committed"
    new_topic(broker, topic, PARTITIONS)
    directory = broker.data_dir / "__consumer_offsets-0"
    for group in ("once", "deleted"):
        consumer = committer(broker, group)
        commit(consumer, topic, 7, f"of {group}")
        consumer.close()
    admin = admin_of(broker)
    admin.delete_consumer_groups(["deleted"])["deleted"].result(timeout=60)
    often = committer(broker, "often")
    for number in range(COMMITS):
        commit(often, topic, number, str(number % 10) * METADATA_BYTES)
    written = COMMITS * PARTITIONS * METADATA_BYTES
    assert written > 4 * SEGMENT_BYTES

    # The active segment, and the last values of the others, which become one.
    eventually(lambda: size_of(directory) < 1.5 * SEGMENT_BYTES, what="the compaction")
    expected = [(COMMITS - 1, str((COMMITS - 1) % 10) * METADATA_BYTES)] * PARTITIONS
    assert committed(broker, "often", topic) == expected
    broker.kill()
    broker.restart()
    assert committed(broker, "often", topic) == expected
    assert committed(broker, "once", topic) == [(7, "of once")] * PARTITIONS
    assert all(offset < 0 for offset, _ in committed(broker, "deleted", topic))
    assert {"once", "often"} <= groups(broker)
    assert "deleted" not in groups(broker)

    commit(often, topic, COMMITS)
    often.close()
    assert committed(broker, "often", topic) == [(COMMITS, "")] * PARTITIONS
