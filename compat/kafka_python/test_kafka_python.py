"""kafka-python: a client in plain Python, with protocol code of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from compat.ledger import ConfirmedRecord, Ledger
from compat.members import check_rebalances, member
from compat.processes import eventually
from compat.targets import Target

kafka = pytest.importorskip("kafka")

from kafka import (  # noqa: E402 - after importorskip
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.admin import (  # noqa: E402
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    OffsetSpec,
)
from kafka.errors import (  # noqa: E402
    InvalidConfigurationError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
)

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
# kafka-python brings no compressors of its own.
CODEC_PACKAGES = {"snappy": "snappy", "lz4": "lz4", "zstd": "zstandard"}

Names = Callable[[str], str]


@pytest.fixture
def admin(broker: Target) -> Iterator[Any]:
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as client:
        yield client


@pytest.fixture
def topic(admin: Any, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    admin.create_topics({topic: {"num_partitions": 2}}, wait_for_metadata=True)
    return topic


def produce(
    broker: Target,
    topic: str,
    records: Sequence[tuple[bytes | None, bytes | None]],
    *,
    partition: int = 0,
    **settings: Any,
) -> list[Any]:
    """Send (key, value) pairs with acks=all and give the metadata of each."""
    with closing(KafkaProducer(bootstrap_servers=broker.address, acks="all", **settings)) as client:
        sent = [client.send(topic, value, key, partition=partition) for key, value in records]
        return [future.get(timeout=60) for future in sent]


def consume(broker: Target, topic: str, count: int, *, partition: int = 0, start: int = 0) -> Any:
    """The first `count` records from an offset on."""
    with closing(KafkaConsumer(bootstrap_servers=broker.address)) as consumer:
        where = TopicPartition(topic, partition)
        consumer.assign([where])
        consumer.seek(where, start)
        found: list[Any] = []

        def read() -> bool:
            found.extend(consumer.poll(timeout_ms=200).get(where, []))
            return len(found) >= count

        eventually(read, what=f"{count} records")
        assert len(found) == count
        return found


def config_of(admin: Any, topic: str, key: str) -> dict[str, Any]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    found: dict[str, Any] = admin.describe_configs([resource], config_filter="all")["topic"]
    value: dict[str, Any] = found[topic][key]
    return value


def test_topics_are_created_described_listed_and_deleted(admin: Any, name: Names) -> None:
    topic = name("topic")
    options = {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "1000"}}
    admin.create_topics({topic: options}, wait_for_metadata=True)

    (described,) = admin.describe_topics([topic])
    assert {partition["partition_index"] for partition in described["partitions"]} == {0, 1, 2}
    assert topic in admin.list_topics()
    assert config_of(admin, topic, "retention.ms")["value"] == "1000"
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({topic: {}})
    with pytest.raises(InvalidConfigurationError):
        admin.create_topics({name("other"): {"configs": {"retention.ms": "soon"}}})

    admin.delete_topics([topic])
    eventually(lambda: topic not in admin.list_topics(), what="the deletion")


def test_topic_settings_are_altered_and_reset(admin: Any, topic: str) -> None:
    def resource(configs: dict[str, Any]) -> Any:
        return ConfigResource(ConfigResourceType.TOPIC, topic, configs)

    admin.alter_configs([resource({"max.message.bytes": "2000", "retention.ms": "60000"})])
    eventually(
        lambda: config_of(admin, topic, "max.message.bytes")["value"] == "2000",
        what="the new setting",
    )
    admin.reset_configs([resource({"max.message.bytes": None})])
    eventually(
        lambda: config_of(admin, topic, "max.message.bytes")["value"] == "1048588",
        what="the default",
    )
    assert config_of(admin, topic, "retention.ms")["value"] == "60000"


def test_partitions_are_added(admin: Any, broker: Target, topic: str) -> None:
    admin.create_partitions({topic: 4})

    def count() -> bool:
        (described,) = admin.describe_topics([topic])
        return len(described["partitions"]) == 4

    eventually(count, what="four partitions")
    (metadata,) = produce(broker, topic, [(b"k", b"v")], partition=3)
    assert metadata.partition == 3


def test_records_are_deleted_up_to_an_offset(admin: Any, broker: Target, topic: str) -> None:
    produce(broker, topic, [(None, b"%d" % number) for number in range(10)])
    where = TopicPartition(topic, 0)

    admin.delete_records({where: 6})

    earliest = admin.list_partition_offsets({where: OffsetSpec.EARLIEST})[where]
    assert earliest.offset == 6
    assert [record.value for record in consume(broker, topic, 4, start=6)] == [
        b"6", b"7", b"8", b"9",
    ]  # fmt: skip
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({where: 11})


def test_the_cluster_is_described(admin: Any, broker: Target) -> None:
    cluster = admin.describe_cluster()

    assert cluster["cluster_id"]
    (node,) = cluster["brokers"]
    assert (node["host"], node["port"]) == (broker.host, broker.port)
    assert cluster["controller_id"] == node["broker_id"]


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_produced_with_codec(
    broker: Target, topic: str, ledger: Ledger, codec: str | None
) -> None:
    if codec in CODEC_PACKAGES:
        pytest.importorskip(CODEC_PACKAGES[codec])
    records = [(b"key-%d" % number, b"%d " % number + b"x" * 200) for number in range(100)]

    confirmed = produce(broker, topic, records, compression_type=codec, linger_ms=20)

    assert [metadata.offset for metadata in confirmed] == list(range(100))
    found = consume(broker, topic, 100)
    assert [(record.key, record.value) for record in found] == records
    assert [record.offset for record in found] == list(range(100))
    for (key, value), metadata in zip(records, confirmed, strict=True):
        ledger.records.append(ConfirmedRecord(topic, 0, metadata.offset, key, value))


def test_headers_nulls_and_timestamps_come_back(broker: Target, topic: str) -> None:
    headers = [("colour", b"blue"), ("empty", b""), ("colour", b"red")]
    with closing(KafkaProducer(bootstrap_servers=broker.address)) as producer:
        producer.send(
            topic, b"v", b"k", headers=headers, partition=0, timestamp_ms=1_700_000_000_123
        ).get(timeout=60)
        producer.send(topic, None, b"gone", partition=0).get(timeout=60)

    first, second = consume(broker, topic, 2)

    assert first.headers == headers
    assert (first.timestamp, first.timestamp_type) == (1_700_000_000_123, 0)
    assert (second.key, second.value, second.headers) == (b"gone", None, [])


def test_offsets_are_found_by_timestamp(broker: Target, topic: str) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.address)) as producer:
        for number in range(5):
            producer.send(
                topic, b"%d" % number, partition=0, timestamp_ms=1_700_000_000_000 + 10 * number
            ).get(timeout=60)

    with closing(KafkaConsumer(bootstrap_servers=broker.address)) as consumer:
        where = TopicPartition(topic, 0)
        between = consumer.offsets_for_times({where: 1_700_000_000_015})[where]
        later = consumer.offsets_for_times({where: 1_700_000_001_000})[where]
        beginning = consumer.beginning_offsets([where])
        end = consumer.end_offsets([where])

    assert (between.offset, between.timestamp) == (2, 1_700_000_000_020)
    assert later is None
    assert (beginning, end) == ({where: 0}, {where: 5})


def test_broker_time_replaces_the_producers(admin: Any, broker: Target, name: Names) -> None:
    topic = name("topic")
    configs = {"message.timestamp.type": "LogAppendTime"}
    admin.create_topics({topic: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)
    with closing(KafkaProducer(bootstrap_servers=broker.address)) as producer:
        sent = producer.send(topic, b"v", timestamp_ms=1_700_000_000_000).get(timeout=60)

    (record,) = consume(broker, topic, 1)

    assert record.timestamp == sent.timestamp > 1_700_000_000_000
    assert record.timestamp_type == 1


def test_an_idempotent_producer_writes_each_record_once_in_order(
    broker: Target, topic: str, ledger: Ledger
) -> None:
    records = [(None, b"%d" % number) for number in range(500)]

    confirmed = produce(
        broker, topic, records, partition=1, enable_idempotence=True, batch_size=200
    )

    assert [metadata.offset for metadata in confirmed] == list(range(500))
    found = consume(broker, topic, 500, partition=1)
    assert [record.value for record in found] == [value for _, value in records]
    for (key, value), metadata in zip(records, confirmed, strict=True):
        ledger.records.append(ConfirmedRecord(topic, 1, metadata.offset, key, value))


def test_a_record_above_the_topics_limit_is_refused(
    admin: Any, broker: Target, name: Names
) -> None:
    topic = name("topic")
    configs = {"max.message.bytes": "1000"}
    admin.create_topics({topic: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)

    with pytest.raises(kafka.errors.MessageSizeTooLargeError):
        produce(broker, topic, [(None, b"x" * 2000)])

    (metadata,) = produce(broker, topic, [(None, b"x" * 500)])
    assert metadata.offset == 0


@pytest.mark.parametrize("ending", ["leave", "kill"])
def test_a_group_rebalances_when_a_member_joins_and_when_it_ends_by(
    broker: Target, topic: str, name: Names, ending: str
) -> None:
    check_rebalances("kafka_python", broker, name("group"), topic, ending)


def test_a_group_resumes_where_it_has_committed(
    admin: Any, broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group = name("group")
    where = TopicPartition(topic, 0)
    produce(broker, topic, [(None, b"%d" % number) for number in range(5)])
    with member("kafka_python", broker, group, topic) as first:
        assert [value for _, _, value in first.records(5)] == ["0", "1", "2", "3", "4"]
        assert first.stop() == 0
    assert admin.list_group_offsets(group)[group][where].offset == 5

    produce(broker, topic, [(None, b"5")])
    with member("kafka_python", broker, group, topic) as second:
        assert second.records(1) == [(0, 5, "5")]
        assert second.stop() == 0
    ledger.commits[group, topic, 0] = 6


def test_groups_are_listed_described_and_deleted(
    admin: Any, broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    produce(broker, topic, [(None, b"v")])
    with member("kafka_python", broker, group, topic) as only:
        only.records(1)
        described = admin.describe_groups([group])[group]
        assert described["group_state"] == "Stable"
        assert len(described["members"]) == 1
        assert group in {found["group_id"] for found in admin.list_groups()}
        assert only.stop() == 0

    assert admin.describe_groups([group])[group]["group_state"] == "Empty"
    admin.delete_groups([group])
    assert group not in {found["group_id"] for found in admin.list_groups()}


def test_a_consumer_without_a_group_membership_commits_and_reads_back(
    broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group, where = name("group"), TopicPartition(topic, 1)
    settings = {"bootstrap_servers": broker.address, "group_id": group}
    with closing(KafkaConsumer(**settings, enable_auto_commit=False)) as consumer:
        consumer.assign([where])
        consumer.commit({where: OffsetAndMetadata(42, "by hand", -1)})

    with closing(KafkaConsumer(**settings, enable_auto_commit=False)) as consumer:
        consumer.assign([where])
        found = consumer.committed(where, metadata=True)

    assert (found.offset, found.metadata) == (42, "by hand")
    ledger.commits[group, topic, 1] = 42


@pytest.mark.after_restart
def test_everything_confirmed_before_is_still_there(broker: Target, ledger: Ledger) -> None:
    assert ledger.records
    for (topic, partition), expected in ledger.by_partition().items():
        found = consume(broker, topic, len(expected), partition=partition)
        assert [
            ConfirmedRecord(topic, partition, record.offset, record.key, record.value)
            for record in found
        ] == expected


@pytest.mark.after_restart
def test_committed_offsets_are_still_there(admin: Any, ledger: Ledger) -> None:
    assert ledger.commits
    for (group, topic, partition), offset in ledger.commits.items():
        committed = admin.list_group_offsets(group)[group]
        assert committed[TopicPartition(topic, partition)].offset == offset
