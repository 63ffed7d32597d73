"""What asyncio programs do with consumers and producers beside reading from the start."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from compat.targets import Target

pytest.importorskip("aiokafka")

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.admin import NewPartitions
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)

from compat.aiokafka.client import admin, consumer, create_topic, eventually, producer, run, send

GROUP = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "session_timeout_ms": 6000,
    "heartbeat_interval_ms": 300,
}

Names = Callable[[str], str]


@pytest.fixture
def topic(fresh_broker: Target, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    assert run(create_topic(fresh_broker, topic)) == 0
    return topic


def numbers(first: int, end: int) -> list[tuple[None, bytes]]:
    return [(None, b"%d" % number) for number in range(first, end)]


async def values(client: Any, count: int) -> list[bytes]:
    """Those of the next so many records, by `async for`."""
    found: list[bytes] = []
    async for record in client:
        found.append(record.value)
        if len(found) == count:
            break
    return found


class Watched(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers what a member was given and what was taken from it."""

    def __init__(self) -> None:
        self.assigned: list[set[int]] = []
        self.revoked: list[set[int]] = []

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.assigned.append({each.partition for each in assigned})

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.revoked.append({each.partition for each in revoked})


@asynccontextmanager
async def watched(
    broker: Target, group: str, topic: str, **settings: Any
) -> AsyncIterator[tuple[Any, Watched]]:
    """A member of a group, and what its listener was told."""
    listener = Watched()
    async with consumer(broker, group_id=group, **{**GROUP, **settings}) as client:
        client.subscribe([topic], listener=listener)
        yield client, listener


@pytest.mark.parametrize("assignor", [RoundRobinPartitionAssignor, StickyPartitionAssignor])
def test_a_listener_is_told_of_each_rebalance(
    fresh_broker: Target, topic: str, name: Names, assignor: type
) -> None:
    group, settings = name("group"), {"partition_assignment_strategy": (assignor,)}

    async def story() -> None:
        async with watched(fresh_broker, group, topic, **settings) as (_, first):

            async def has(owned: list[set[int]], count: int) -> bool:
                return bool(owned) and len(owned[-1]) == count

            await eventually(lambda: has(first.assigned, 2), "both partitions")
            async with watched(fresh_broker, group, topic, **settings) as (_, second):
                await eventually(lambda: has(first.assigned, 1), "one partition")
                await eventually(lambda: has(second.assigned, 1), "the other partition")
                assert first.assigned[-1] | second.assigned[-1] == {0, 1}
                assert {0, 1} in first.revoked
            await eventually(lambda: has(first.assigned, 2), "both partitions again")

    run(story())


def test_the_next_consumer_goes_on_where_single_partitions_were_committed(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)

    async def story() -> None:
        await send(fresh_broker, topic, numbers(0, 5), partition=0)
        await send(fresh_broker, topic, numbers(5, 10), partition=1)
        async with consumer(fresh_broker, group_id=group, **GROUP) as client:
            client.subscribe([topic])
            await values(client, 10)
            await client.commit({zero: 3})
            assert (await client.committed(zero), await client.committed(one)) == (3, None)
            await client.commit({one: (5, "all of it")})

        async with consumer(fresh_broker, group_id=group, **GROUP) as client:
            client.subscribe([topic])
            assert await values(client, 2) == [b"3", b"4"]
            assert await client.position(one) == 5

    run(story())


def test_what_was_read_is_committed_at_the_end_by_itself(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group, settings = name("group"), {**GROUP, "enable_auto_commit": True}

    async def story() -> None:
        await send(fresh_broker, topic, numbers(0, 10))
        async with consumer(fresh_broker, group_id=group, **settings) as client:
            client.subscribe([topic])
            assert await values(client, 6) == [b"%d" % number for number in range(6)]
        async with consumer(fresh_broker, group_id=group, **settings) as client:
            client.subscribe([topic])
            assert await values(client, 4) == [b"6", b"7", b"8", b"9"]

    run(story())


def test_a_consumer_seeks_to_offsets_and_to_both_ends(fresh_broker: Target, topic: str) -> None:
    where = TopicPartition(topic, 0)

    async def story() -> None:
        await send(fresh_broker, topic, numbers(0, 10))
        async with consumer(fresh_broker) as client:
            client.assign([where])
            client.seek(where, 7)
            assert await values(client, 3) == [b"7", b"8", b"9"]
            await client.seek_to_beginning(where)
            assert await values(client, 1) == [b"0"]
            await client.seek_to_end(where)
            assert await client.position(where) == 10
            await send(fresh_broker, topic, numbers(10, 11))
            assert await values(client, 1) == [b"10"]
            assert client.highwater(where) == 11

    run(story())


def test_a_paused_partition_gives_nothing_until_it_is_resumed(
    fresh_broker: Target, topic: str
) -> None:
    paused, going = TopicPartition(topic, 0), TopicPartition(topic, 1)

    async def story() -> None:
        async with consumer(fresh_broker, auto_offset_reset="earliest") as client:
            client.assign([paused, going])
            client.pause(paused)
            await send(fresh_broker, topic, numbers(0, 5), partition=0)
            await send(fresh_broker, topic, numbers(5, 10), partition=1)
            assert await values(client, 5) == [b"5", b"6", b"7", b"8", b"9"]
            assert client.paused() == {paused}
            client.resume(paused)
            assert await values(client, 5) == [b"0", b"1", b"2", b"3", b"4"]

    run(story())


def test_offsets_that_are_not_there_are_said(fresh_broker: Target, topic: str, name: Names) -> None:
    where = TopicPartition(topic, 0)
    settings = {**GROUP, "group_id": name("group"), "auto_offset_reset": "none"}

    async def story() -> None:
        async with consumer(fresh_broker, **settings) as client:
            client.assign([where])
            with pytest.raises(NoOffsetForPartitionError):
                await client.getone()
            client.seek(where, 100)
            with pytest.raises(OffsetOutOfRangeError):
                await client.getone()

    run(story())


def test_a_pattern_gets_topics_that_come_later(fresh_broker: Target, name: Names) -> None:
    prefix = name("pattern")
    settings = {**GROUP, "group_id": name("group"), "metadata_max_age_ms": 300}

    async def story() -> None:
        await create_topic(fresh_broker, f"{prefix}.first")
        await send(fresh_broker, f"{prefix}.first", [(None, b"one")])
        async with consumer(fresh_broker, **settings) as client:
            client.subscribe(pattern=f"^{prefix}[.].*")
            assert await values(client, 1) == [b"one"]
            await client.commit()
            await create_topic(fresh_broker, f"{prefix}.later")
            await send(fresh_broker, f"{prefix}.later", [(None, b"two")])
            assert await values(client, 1) == [b"two"]

    run(story())


def test_large_records_are_read_whatever_the_fetch_allows(
    fresh_broker: Target, name: Names
) -> None:
    topic, size = name("topic"), 4 * 1024 * 1024
    large = bytes(range(256)) * (size // 256)

    async def story() -> None:
        await create_topic(fresh_broker, topic, 1, {"max.message.bytes": "10000000"})
        records = [(None, large), (None, b"small")]
        assert await send(fresh_broker, topic, records, max_request_size=10_000_000) == [0, 1]
        settings = {"auto_offset_reset": "earliest", "max_partition_fetch_bytes": 1000}
        async with consumer(fresh_broker, **settings) as client:
            client.assign([TopicPartition(topic, 0)])
            assert await values(client, 2) == [large, b"small"]

    run(story())


def test_a_producer_sends_batches_that_it_has_built(fresh_broker: Target, topic: str) -> None:
    async def story() -> None:
        async with producer(fresh_broker, compression_type="lz4") as client:
            batch = client.create_batch()
            for number in range(3):
                batch.append(key=None, value=b"%d" % number, timestamp=1_700_000_000_000)
            sent = await (await client.send_batch(batch, topic, partition=1))
            assert sent.offset == 0
            assert await client.partitions_for(topic) == {0, 1}
        async with consumer(fresh_broker, auto_offset_reset="earliest") as client:
            client.assign([TopicPartition(topic, 1)])
            assert await values(client, 3) == [b"0", b"1", b"2"]

    run(story())


def test_idempotent_producers_at_once_keep_their_own_order(
    fresh_broker: Target, topic: str
) -> None:
    async def produce(number: int) -> None:
        async with producer(fresh_broker, enable_idempotence=True, linger_ms=2) as client:
            sent = [
                await client.send(topic, b"%d %d" % (number, count), partition=0)
                for count in range(200)
            ]
            await asyncio.gather(*sent)

    async def story() -> None:
        await asyncio.gather(*(produce(number) for number in range(3)))
        async with consumer(fresh_broker, auto_offset_reset="earliest") as client:
            client.assign([TopicPartition(topic, 0)])
            found = await values(client, 600)
        for number in range(3):
            own = [int(value.split()[1]) for value in found if value.startswith(b"%d " % number)]
            assert own == list(range(200))

    run(story())


def test_calls_for_unknown_topics_say_so(fresh_broker: Target, name: Names) -> None:
    topic = name("nowhere")

    async def story() -> None:
        async with admin(fresh_broker) as client:
            deleted = await client.delete_topics([topic])
            assert deleted.topic_error_codes[0][1] == UnknownTopicOrPartitionError.errno
            with pytest.raises(UnknownTopicOrPartitionError):
                await client.create_partitions({topic: NewPartitions(3)})

    run(story())


def test_clients_of_this_process_take_no_harm_from_each_other(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    """Twenty consumers and a producer on one event loop."""

    async def story() -> None:
        clients = [
            AIOKafkaConsumer(
                topic, bootstrap_servers=fresh_broker.address, auto_offset_reset="earliest"
            )
            for _ in range(20)
        ]
        writer = AIOKafkaProducer(bootstrap_servers=fresh_broker.address)
        await asyncio.gather(*(client.start() for client in (*clients, writer)))
        for key, value in numbers(0, 50):
            await writer.send_and_wait(topic, value, key)
        found = await asyncio.gather(*(values(client, 50) for client in clients))
        assert {frozenset(each) for each in found} == {
            frozenset(value for _, value in numbers(0, 50))
        }
        await asyncio.gather(*(client.stop() for client in (*clients, writer)))

    run(story())
