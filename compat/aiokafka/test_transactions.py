"""aiokafka's transactional producer, its read_committed consumer, and offsets in transactions."""

from collections.abc import Callable

import pytest

from compat.bench.machine import create_topic
from compat.targets import Target

aiokafka = pytest.importorskip("aiokafka")

from aiokafka import TopicPartition  # noqa: E402 - after importorskip
from aiokafka.errors import KafkaError, ProducerFenced  # noqa: E402

from compat.aiokafka.client import consumer, producer, run  # noqa: E402

Names = Callable[[str], str]
SILENCE_MS = 1_500


@pytest.fixture
def topic(broker: Target, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    create_topic(broker.address, topic, 2)
    return topic


async def read(broker: Target, topic: str, level: str) -> list[bytes]:
    """All values of partition 0 that come at this isolation level."""
    found: list[bytes] = []
    async with consumer(broker, isolation_level=level, auto_offset_reset="earliest") as client:
        place = TopicPartition(topic, 0)
        client.assign([place])
        await client.seek_to_beginning(place)
        while records := await client.getmany(timeout_ms=SILENCE_MS):
            found += [record.value for record in records[place]]
    return found


async def committed(broker: Target, topic: str, group: str) -> int | None:
    async with consumer(broker, group_id=group, enable_auto_commit=False) as client:
        offset: int | None = await client.committed(TopicPartition(topic, 1))
        return offset


def test_only_what_was_committed_is_read_by_who_wants_that(
    broker: Target, topic: str, name: Names
) -> None:
    async def story() -> None:
        async with producer(broker, transactional_id=name("id")) as client:
            for end in ("commit", "abort", "commit"):
                await client.begin_transaction()
                for number in range(5):
                    value = b"%s %d" % (end.encode(), number)
                    await client.send_and_wait(topic, value, partition=0)
                if end == "commit":
                    await client.commit_transaction()
                else:
                    await client.abort_transaction()
            await client.begin_transaction()
            await client.send_and_wait(topic, b"open", partition=0)
            whole = [b"commit %d" % number for number in range(5)]
            assert await read(broker, topic, "read_committed") == whole * 2
            aborted = [b"abort %d" % number for number in range(5)]
            everything = [*whole, *aborted, *whole, b"open"]
            assert await read(broker, topic, "read_uncommitted") == everything
            await client.abort_transaction()

    run(story())


def test_an_exception_aborts_the_transaction_around_it(
    broker: Target, topic: str, name: Names
) -> None:
    async def story() -> None:
        async with producer(broker, transactional_id=name("id")) as client:
            with pytest.raises(ZeroDivisionError):
                async with client.transaction():
                    await client.send_and_wait(topic, b"lost", partition=0)
                    raise ZeroDivisionError
            async with client.transaction():
                await client.send_and_wait(topic, b"kept", partition=0)
        assert await read(broker, topic, "read_committed") == [b"kept"]

    run(story())


def test_a_new_producer_fences_the_one_before(broker: Target, topic: str, name: Names) -> None:
    async def story() -> None:
        settings = {"transactional_id": name("id")}
        async with producer(broker, **settings) as old:
            await old.begin_transaction()
            await old.send_and_wait(topic, b"lost", partition=0)
            async with producer(broker, **settings) as new:
                async with new.transaction():
                    await new.send_and_wait(topic, b"kept", partition=0)
                with pytest.raises((ProducerFenced, KafkaError)):
                    await old.commit_transaction()
        assert await read(broker, topic, "read_committed") == [b"kept"]

    run(story())


def test_offsets_are_committed_with_the_records(broker: Target, topic: str, name: Names) -> None:
    group, place = name("group"), TopicPartition(topic, 1)

    async def story() -> None:
        async with producer(broker, transactional_id=name("id")) as client:
            for end, offset, expected in (("abort", 7, None), ("commit", 9, 9), ("abort", 11, 9)):
                await client.begin_transaction()
                await client.send_and_wait(topic, end.encode(), partition=0)
                await client.send_offsets_to_transaction({place: offset}, group)
                if end == "commit":
                    await client.commit_transaction()
                else:
                    await client.abort_transaction()
                assert await committed(broker, topic, group) == expected
        assert await read(broker, topic, "read_committed") == [b"commit"]

    run(story())
