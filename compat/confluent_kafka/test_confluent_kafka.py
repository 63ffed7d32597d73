"""confluent-kafka: librdkafka, the client below most languages."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from compat.ledger import ConfirmedRecord, Ledger
from compat.members import check_rebalances, member
from compat.processes import eventually
from compat.targets import Target

confluent_kafka = pytest.importorskip("confluent_kafka")

from confluent_kafka import (  # noqa: E402 - after importorskip
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    OffsetSpec,
    ResourceType,
)

from compat.confluent_kafka.client import (  # noqa: E402
    consume,
    consumer,
    new_topic,
    produce,
    result,
    setting_of,
)

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

Names = Callable[[str], str]


@pytest.fixture
def admin(broker: Target) -> Any:
    return AdminClient({"bootstrap.servers": broker.address})


@pytest.fixture
def topic(admin: Any, name: Names) -> str:
    """A topic of two partitions."""
    return new_topic(admin, name("topic"))


def test_topics_are_created_described_listed_and_deleted(admin: Any, name: Names) -> None:
    topic = new_topic(admin, name("topic"), 3, retention_ms="1000")

    described = result(admin.describe_topics(TopicCollection([topic])))
    assert [partition.id for partition in described.partitions] == [0, 1, 2]
    assert str(described.topic_id) not in ("", "AAAAAAAAAAAAAAAAAAAAAA")
    assert topic in admin.list_topics(timeout=60).topics
    assert setting_of(admin, topic, "retention.ms") == "1000"
    with pytest.raises(KafkaException) as refused:
        new_topic(admin, topic)
    assert refused.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    with pytest.raises(KafkaException) as refused:
        new_topic(admin, name("other"), retention_ms="soon")
    assert refused.value.args[0].code() == KafkaError.INVALID_CONFIG

    result(admin.delete_topics([topic]))
    eventually(lambda: topic not in admin.list_topics(timeout=60).topics, what="the deletion")


def test_topic_settings_are_altered_and_reset(admin: Any, topic: str) -> None:
    def alter(key: str, operation: Any, value: str | None) -> None:
        entry = ConfigEntry(key, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        result(admin.incremental_alter_configs([resource]))

    alter("max.message.bytes", AlterConfigOpType.SET, "2000")
    alter("cleanup.policy", AlterConfigOpType.APPEND, "compact")
    eventually(lambda: setting_of(admin, topic, "max.message.bytes") == "2000", what="the change")
    eventually(
        lambda: setting_of(admin, topic, "cleanup.policy") == "delete,compact", what="the change"
    )
    alter("max.message.bytes", AlterConfigOpType.DELETE, None)
    alter("cleanup.policy", AlterConfigOpType.SUBTRACT, "compact")
    eventually(
        lambda: setting_of(admin, topic, "max.message.bytes") == "1048588", what="the default"
    )
    eventually(lambda: setting_of(admin, topic, "cleanup.policy") == "delete", what="the default")


def test_partitions_are_added(admin: Any, broker: Target, topic: str) -> None:
    result(admin.create_partitions([NewPartitions(topic, 4)]))

    def count() -> bool:
        return len(admin.list_topics(topic, timeout=60).topics[topic].partitions) == 4

    eventually(count, what="four partitions")
    assert produce(broker, topic, [(b"k", b"v")], partition=3) == [0]


def test_records_are_deleted_up_to_an_offset(admin: Any, broker: Target, topic: str) -> None:
    produce(broker, topic, [(None, b"%d" % number) for number in range(10)])

    deleted = result(admin.delete_records([TopicPartition(topic, 0, 6)]))

    assert deleted.low_watermark == 6
    assert [message.value() for message in consume(broker, topic, 4)] == [b"6", b"7", b"8", b"9"]


def test_the_cluster_is_described(admin: Any, broker: Target) -> None:
    cluster = admin.describe_cluster().result(timeout=60)

    assert cluster.cluster_id
    (node,) = cluster.nodes
    assert (node.host, node.port) == (broker.host, broker.port)
    assert cluster.controller.id == node.id


def test_offsets_are_listed_by_every_spec(admin: Any, broker: Target, topic: str) -> None:
    with Producer({"bootstrap.servers": broker.address}) as producer:
        for timestamp in (1_700_000_000_000, 1_700_000_000_020, 1_700_000_000_010):
            producer.produce(topic, b"v", partition=0, timestamp=timestamp)
            assert producer.flush(20) == 0

    def offset(spec: Any) -> tuple[int, int]:
        found = result(admin.list_offsets({TopicPartition(topic, 0): spec}))
        return found.offset, found.timestamp

    assert offset(OffsetSpec.earliest())[0] == 0
    assert offset(OffsetSpec.latest())[0] == 3
    assert offset(OffsetSpec.max_timestamp()) == (1, 1_700_000_000_020)
    assert offset(OffsetSpec.for_timestamp(1_700_000_000_005)) == (1, 1_700_000_000_020)
    assert offset(OffsetSpec.for_timestamp(1_700_000_000_021))[0] == -1


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_produced_with_codec(
    broker: Target, topic: str, ledger: Ledger, codec: str
) -> None:
    records = [(b"key-%d" % number, b"%d " % number + b"x" * 200) for number in range(1000)]

    confirmed = produce(broker, topic, records, compression_type=codec, linger_ms=20)

    assert confirmed == list(range(1000))
    found = consume(broker, topic, 1000)
    assert [(message.key(), message.value()) for message in found] == records
    assert [message.offset() for message in found] == confirmed
    for (key, value), offset in zip(records, confirmed, strict=True):
        ledger.records.append(ConfirmedRecord(topic, 0, offset, key, value))


def test_headers_nulls_and_timestamps_come_back(broker: Target, topic: str) -> None:
    headers = [("colour", b"blue"), ("empty", b""), ("nothing", None), ("colour", b"red")]
    with Producer({"bootstrap.servers": broker.address}) as producer:
        producer.produce(
            topic, b"v", b"k", partition=0, headers=headers, timestamp=1_700_000_000_123
        )
        producer.produce(topic, None, b"gone", partition=0)
        assert producer.flush(20) == 0

    first, second = consume(broker, topic, 2)

    assert first.headers() == headers
    assert first.timestamp() == (TIMESTAMP_CREATE_TIME, 1_700_000_000_123)
    assert (second.key(), second.value(), second.headers()) == (b"gone", None, None)


def test_offsets_are_found_by_timestamp(broker: Target, topic: str) -> None:
    with Producer({"bootstrap.servers": broker.address}) as producer:
        for number in range(5):
            timestamp = 1_700_000_000_000 + 10 * number
            producer.produce(topic, b"%d" % number, partition=0, timestamp=timestamp)
        assert producer.flush(20) == 0

    with consumer(broker) as client:
        (between,) = client.offsets_for_times([TopicPartition(topic, 0, 1_700_000_000_015)])
        (later,) = client.offsets_for_times([TopicPartition(topic, 0, 1_700_000_001_000)])
        watermarks = client.get_watermark_offsets(TopicPartition(topic, 0), timeout=60)

    assert between.offset == 2
    assert later.offset == -1
    assert watermarks == (0, 5)


def test_broker_time_replaces_the_producers(admin: Any, broker: Target, name: Names) -> None:
    topic = new_topic(admin, name("topic"), 1, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    produce(broker, topic, [(None, b"v")])

    (message,) = consume(broker, topic, 1)

    kind, timestamp = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert timestamp >= before


def test_an_idempotent_producer_writes_each_record_once_in_order(
    broker: Target, topic: str, ledger: Ledger
) -> None:
    records = [(None, b"%d" % number) for number in range(2000)]

    confirmed = produce(
        broker, topic, records, partition=1, enable_idempotence=True, batch_num_messages=50
    )

    assert confirmed == list(range(2000))
    found = consume(broker, topic, 2000, partition=1)
    assert [message.value() for message in found] == [value for _, value in records]
    for (key, value), offset in zip(records, confirmed, strict=True):
        ledger.records.append(ConfirmedRecord(topic, 1, offset, key, value))


def test_a_record_above_the_topics_limit_is_refused(
    admin: Any, broker: Target, name: Names
) -> None:
    topic = new_topic(admin, name("topic"), 1, max_message_bytes="1000")

    with pytest.raises(KafkaException) as refused:
        produce(broker, topic, [(None, b"x" * 2000)])

    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert produce(broker, topic, [(None, b"x" * 500)]) == [0]


@pytest.mark.parametrize("ending", ["leave", "kill"])
def test_a_group_rebalances_when_a_member_joins_and_when_it_ends_by(
    broker: Target, topic: str, name: Names, ending: str
) -> None:
    check_rebalances("confluent_kafka", broker, name("group"), topic, ending)


def committed(admin: Any, group: str) -> dict[tuple[str, int], int]:
    found = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    return {(part.topic, part.partition): part.offset for part in found.topic_partitions}


def test_a_group_resumes_where_it_has_committed(
    admin: Any, broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group = name("group")
    produce(broker, topic, [(None, b"%d" % number) for number in range(5)])
    with member("confluent_kafka", broker, group, topic) as first:
        assert [value for _, _, value in first.records(5)] == ["0", "1", "2", "3", "4"]
        assert first.stop() == 0
    assert committed(admin, group) == {(topic, 0): 5}

    produce(broker, topic, [(None, b"5")])
    with member("confluent_kafka", broker, group, topic) as second:
        assert second.records(1) == [(0, 5, "5")]
        assert second.stop() == 0
    ledger.commits[group, topic, 0] = 6


def test_groups_are_listed_described_altered_and_deleted(
    admin: Any, broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    produce(broker, topic, [(None, b"v")])

    def described() -> Any:
        return result(admin.describe_consumer_groups([group]))

    def listed() -> set[str]:
        found = admin.list_consumer_groups().result(timeout=60)
        return {listing.group_id for listing in found.valid}

    with member("confluent_kafka", broker, group, topic) as only:
        only.records(1)
        assert described().state.name == "STABLE"
        (found,) = described().members
        assert {part.partition for part in found.assignment.topic_partitions} == {0, 1}
        assert group in listed()
        assert only.stop() == 0

    assert described().state.name == "EMPTY"
    reset = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    result(admin.alter_consumer_group_offsets([reset]))
    assert committed(admin, group) == {(topic, 0): 0}
    result(admin.delete_consumer_groups([group]))
    assert group not in listed()


def test_a_consumer_without_a_group_membership_commits_and_reads_back(
    broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group = name("group")
    offset = TopicPartition(topic, 1, 42, "by hand")
    with consumer(broker, group) as client:
        client.commit(offsets=[offset], asynchronous=False)

    with consumer(broker, group) as client:
        (found,) = client.committed([TopicPartition(topic, 1)], timeout=60)

    assert (found.offset, found.metadata) == (42, "by hand")
    ledger.commits[group, topic, 1] = 42


@pytest.mark.after_restart
def test_everything_confirmed_before_is_still_there(broker: Target, ledger: Ledger) -> None:
    assert ledger.records
    for (topic, partition), expected in ledger.by_partition().items():
        found = consume(broker, topic, len(expected), partition=partition)
        assert [
            ConfirmedRecord(topic, partition, message.offset(), message.key(), message.value())
            for message in found
        ] == expected


@pytest.mark.after_restart
def test_committed_offsets_are_still_there(admin: Any, ledger: Ledger) -> None:
    assert ledger.commits
    for (group, topic, partition), offset in ledger.commits.items():
        assert committed(admin, group)[topic, partition] == offset
