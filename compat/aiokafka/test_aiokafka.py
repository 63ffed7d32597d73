"""aiokafka: the client of asyncio programs, with older versions of many APIs."""

from collections.abc import Callable
from typing import Any

import pytest

from compat.ledger import ConfirmedRecord, Ledger
from compat.members import check_rebalances, member
from compat.targets import Target

aiokafka = pytest.importorskip("aiokafka")

from aiokafka import TopicPartition  # noqa: E402 - after importorskip
from aiokafka.admin import NewPartitions, RecordsToDelete  # noqa: E402
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: E402
from aiokafka.errors import MessageSizeTooLargeError  # noqa: E402
from aiokafka.structs import OffsetAndMetadata  # noqa: E402

from compat.aiokafka.client import (  # noqa: E402
    admin,
    consumer,
    create_topic,
    eventually,
    producer,
    receive,
    run,
    send,
)

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
TOPIC_ALREADY_EXISTS = 36
INVALID_CONFIG = 40

Names = Callable[[str], str]


@pytest.fixture
def topic(broker: Target, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    assert run(create_topic(broker, topic)) == 0
    return topic


async def setting_of(client: Any, topic: str, key: str) -> str:
    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    _, _, _, _, entries = answer.resources[0]
    value: str = {entry[0]: entry[1] for entry in entries}[key]
    return value


def test_topics_are_created_described_listed_and_deleted(broker: Target, name: Names) -> None:
    topic = name("topic")

    async def story() -> None:
        assert await create_topic(broker, topic, 3, {"retention.ms": "1000"}) == 0
        assert await create_topic(broker, topic) == TOPIC_ALREADY_EXISTS
        refused = await create_topic(broker, name("other"), 1, {"retention.ms": "soon"})
        assert refused == INVALID_CONFIG
        async with admin(broker) as client:
            (described,) = await client.describe_topics([topic])
            assert {partition["partition"] for partition in described["partitions"]} == {0, 1, 2}
            assert topic in await client.list_topics()
            assert await setting_of(client, topic, "retention.ms") == "1000"

            await client.delete_topics([topic])

            async def is_gone() -> bool:
                return topic not in await client.list_topics()

            await eventually(is_gone, "the deletion")

    run(story())


def test_topic_settings_are_replaced(broker: Target, topic: str) -> None:
    async def story() -> None:
        async with admin(broker) as client:

            async def replace(**settings: str) -> None:
                configs = {key.replace("_", "."): value for key, value in settings.items()}
                resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
                await client.alter_configs([resource])

            async def has(key: str, value: str) -> bool:
                return await setting_of(client, topic, key) == value

            await replace(max_message_bytes="2000")
            await eventually(lambda: has("max.message.bytes", "2000"), "the new setting")
            # AlterConfigs replaces everything: what is not named goes back to its default.
            await replace(retention_ms="60000")
            await eventually(lambda: has("max.message.bytes", "1048588"), "the default")
            assert await setting_of(client, topic, "retention.ms") == "60000"

    run(story())


def test_partitions_are_added(broker: Target, topic: str) -> None:
    async def story() -> None:
        async with admin(broker) as client:
            await client.create_partitions({topic: NewPartitions(4)})

            async def has_four() -> bool:
                (found,) = await client.describe_topics([topic])
                return len(found["partitions"]) == 4

            await eventually(has_four, "four partitions")
        assert await send(broker, topic, [(b"k", b"v")], partition=3) == [0]

    run(story())


def test_records_are_deleted_up_to_an_offset(broker: Target, topic: str) -> None:
    async def story() -> None:
        await send(broker, topic, [(None, b"%d" % number) for number in range(10)])
        async with admin(broker) as client:
            await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(6)})
        async with consumer(broker) as client:
            where = TopicPartition(topic, 0)
            assert await client.beginning_offsets([where]) == {where: 6}
        found = await receive(broker, topic, 4, start=6)
        assert [record.value for record in found] == [b"6", b"7", b"8", b"9"]

    run(story())


def test_the_cluster_is_described(broker: Target) -> None:
    async def story() -> None:
        async with admin(broker) as client:
            cluster = await client.describe_cluster()
        assert cluster["cluster_id"]
        (node,) = cluster["brokers"]
        assert (node["host"], node["port"]) == (broker.host, broker.port)

    run(story())


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_produced_with_codec(
    broker: Target, topic: str, ledger: Ledger, codec: str | None
) -> None:
    records = [(b"key-%d" % number, b"%d " % number + b"x" * 200) for number in range(100)]

    async def story() -> None:
        confirmed = await send(broker, topic, records, compression_type=codec, linger_ms=20)
        assert confirmed == list(range(100))
        found = await receive(broker, topic, 100)
        assert [(record.key, record.value) for record in found] == records
        assert [record.offset for record in found] == confirmed

    run(story())
    for offset, (key, value) in enumerate(records):
        ledger.records.append(ConfirmedRecord(topic, 0, offset, key, value))


def test_headers_nulls_and_timestamps_come_back(broker: Target, topic: str) -> None:
    headers = [("colour", b"blue"), ("empty", b""), ("colour", b"red")]

    async def story() -> None:
        async with producer(broker) as client:
            await client.send_and_wait(
                topic, b"v", b"k", partition=0, timestamp_ms=1_700_000_000_123, headers=headers
            )
            await client.send_and_wait(topic, None, b"gone", partition=0)
        first, second = await receive(broker, topic, 2)
        assert first.headers == tuple(headers)
        assert (first.timestamp, first.timestamp_type) == (1_700_000_000_123, 0)
        assert (second.key, second.value, second.headers) == (b"gone", None, ())

    run(story())


def test_offsets_are_found_by_timestamp(broker: Target, topic: str) -> None:
    async def story() -> None:
        async with producer(broker) as client:
            for number in range(5):
                timestamp = 1_700_000_000_000 + 10 * number
                await client.send_and_wait(topic, b"v", partition=0, timestamp_ms=timestamp)
        where = TopicPartition(topic, 0)
        async with consumer(broker) as client:
            between = await client.offsets_for_times({where: 1_700_000_000_015})
            later = await client.offsets_for_times({where: 1_700_000_001_000})
            end = await client.end_offsets([where])
        assert (between[where].offset, between[where].timestamp) == (2, 1_700_000_000_020)
        assert later == {where: None}
        assert end == {where: 5}

    run(story())


def test_broker_time_replaces_the_producers(broker: Target, name: Names) -> None:
    topic = name("topic")

    async def story() -> None:
        await create_topic(broker, topic, 1, {"message.timestamp.type": "LogAppendTime"})
        async with producer(broker) as client:
            sent = await client.send_and_wait(topic, b"v", timestamp_ms=1_700_000_000_000)
        (record,) = await receive(broker, topic, 1)
        assert record.timestamp == sent.timestamp > 1_700_000_000_000
        assert record.timestamp_type == sent.timestamp_type == 1

    run(story())


def test_an_idempotent_producer_writes_each_record_once_in_order(
    broker: Target, topic: str, ledger: Ledger
) -> None:
    records = [(None, b"%d" % number) for number in range(500)]

    async def story() -> None:
        confirmed = await send(
            broker, topic, records, partition=1, enable_idempotence=True, max_batch_size=200
        )
        assert confirmed == list(range(500))
        found = await receive(broker, topic, 500, partition=1)
        assert [record.value for record in found] == [value for _, value in records]

    run(story())
    for offset, (key, value) in enumerate(records):
        ledger.records.append(ConfirmedRecord(topic, 1, offset, key, value))


def test_a_record_above_the_topics_limit_is_refused(broker: Target, name: Names) -> None:
    topic = name("topic")

    async def story() -> None:
        await create_topic(broker, topic, 1, {"max.message.bytes": "1000"})
        with pytest.raises(MessageSizeTooLargeError):
            await send(broker, topic, [(None, b"x" * 2000)])
        assert await send(broker, topic, [(None, b"x" * 500)]) == [0]

    run(story())


@pytest.mark.parametrize("ending", ["leave", "kill"])
def test_a_group_rebalances_when_a_member_joins_and_when_it_ends_by(
    broker: Target, topic: str, name: Names, ending: str
) -> None:
    check_rebalances("aiokafka", broker, name("group"), topic, ending)


async def committed(broker: Target, group: str) -> dict[tuple[str, int], int]:
    async with admin(broker) as client:
        found = await client.list_consumer_group_offsets(group)
    return {(where.topic, where.partition): offset.offset for where, offset in found.items()}


def test_a_group_resumes_where_it_has_committed(
    broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group = name("group")
    run(send(broker, topic, [(None, b"%d" % number) for number in range(5)]))
    with member("aiokafka", broker, group, topic) as first:
        assert [value for _, _, value in first.records(5)] == ["0", "1", "2", "3", "4"]
        assert first.stop() == 0
    assert run(committed(broker, group))[topic, 0] == 5

    run(send(broker, topic, [(None, b"5")]))
    with member("aiokafka", broker, group, topic) as second:
        assert second.records(1) == [(0, 5, "5")]
        assert second.stop() == 0
    ledger.commits[group, topic, 0] = 6


def test_groups_are_listed_and_described(broker: Target, topic: str, name: Names) -> None:
    group = name("group")
    run(send(broker, topic, [(None, b"v")]))

    async def described() -> tuple[str, int, bool]:
        async with admin(broker) as client:
            (answer,) = await client.describe_consumer_groups([group])
            listed = {found[0] for found in await client.list_consumer_groups()}
        _, _, state, _, _, members, *_ = answer.groups[0]
        return state, len(members), group in listed

    with member("aiokafka", broker, group, topic) as only:
        only.records(1)
        assert run(described()) == ("Stable", 1, True)
        assert only.stop() == 0
    assert run(described()) == ("Empty", 0, True)


def test_a_consumer_without_a_group_membership_commits_and_reads_back(
    broker: Target, topic: str, name: Names, ledger: Ledger
) -> None:
    group, where = name("group"), TopicPartition(topic, 1)

    async def story() -> None:
        async with consumer(broker, group_id=group, enable_auto_commit=False) as client:
            client.assign([where])
            await client.commit({where: OffsetAndMetadata(42, "by hand")})
        async with consumer(broker, group_id=group, enable_auto_commit=False) as client:
            client.assign([where])
            assert await client.committed(where) == 42

    run(story())
    ledger.commits[group, topic, 1] = 42


@pytest.mark.after_restart
def test_everything_confirmed_before_is_still_there(broker: Target, ledger: Ledger) -> None:
    assert ledger.records
    for (topic, partition), expected in ledger.by_partition().items():
        found = run(receive(broker, topic, len(expected), partition=partition))
        assert [
            ConfirmedRecord(topic, partition, record.offset, record.key, record.value)
            for record in found
        ] == expected


@pytest.mark.after_restart
def test_committed_offsets_are_still_there(broker: Target, ledger: Ledger) -> None:
    assert ledger.commits
    for (group, topic, partition), offset in ledger.commits.items():
        assert run(committed(broker, group))[topic, partition] == offset
