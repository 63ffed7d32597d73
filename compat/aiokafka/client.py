"""What the tests of aiokafka do again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from compat.targets import Target

Pair = tuple[bytes | None, bytes | None]
T = TypeVar("T")


@asynccontextmanager
async def admin(broker: Target) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def producer(broker: Target, **settings: Any) -> AsyncIterator[Any]:
    client = AIOKafkaProducer(bootstrap_servers=broker.address, **{"acks": "all", **settings})
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def consumer(broker: Target, **settings: Any) -> AsyncIterator[Any]:
    client = AIOKafkaConsumer(bootstrap_servers=broker.address, **settings)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def run(coroutine: Any) -> Any:
    """Run a client's story, with a deadline for the whole of it."""

    async def limited() -> Any:
        return await asyncio.wait_for(coroutine, 120)

    return asyncio.run(limited())


async def eventually(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    deadline = asyncio.get_running_loop().time() + 60
    while not (result := await attempt()):
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come: {result!r}"
        await asyncio.sleep(0.05)
    return result


async def create_topic(
    broker: Target, topic: str, partitions: int = 2, configs: dict[str, str] | None = None
) -> int:
    """Create a topic, wait until it is known, and give the error code of the creation."""
    async with admin(broker) as client:
        answer = await client.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        code: int = answer.topic_errors[0][1]

        async def is_known() -> bool:
            (found,) = await client.describe_topics([topic])
            return found["error_code"] == 0 and len(found["partitions"]) == partitions

        if code == 0:
            await eventually(is_known, f"topic {topic}")
        return code


async def send(
    broker: Target, topic: str, records: Sequence[Pair], *, partition: int = 0, **settings: Any
) -> list[int]:
    """Send (key, value) pairs with acks=all and give the confirmed offsets."""
    async with producer(broker, **settings) as client:
        sent = [await client.send(topic, value, key, partition=partition) for key, value in records]
        return [metadata.offset for metadata in await asyncio.gather(*sent)]


async def receive(
    broker: Target, topic: str, count: int, *, partition: int = 0, start: int = 0
) -> list[Any]:
    """The first records of a partition from an offset on."""
    async with consumer(broker) as client:
        where = TopicPartition(topic, partition)
        client.assign([where])
        client.seek(where, start)
        return [await client.getone() for _ in range(count)]
