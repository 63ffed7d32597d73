import asyncio
import gc
import os
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pykbroker.testing import AsyncBroker, Broker

# Processes and clients are started, on machines that have other things to do.
LIMIT_S = 60


def run(main: Coroutine[Any, Any, None]) -> None:
    async def within_limit() -> None:
        await asyncio.wait_for(main, LIMIT_S)

    asyncio.run(within_limit())


async def produce(broker: AsyncBroker, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait("t", value)
    await producer.stop()


async def consume(broker: AsyncBroker, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        "t", bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def test_a_client_of_the_same_loop_is_served() -> None:
    async def main() -> None:
        async with Broker() as broker:
            await produce(broker, b"one")
            assert await consume(broker, 1) == [b"one"]
            assert "fsync=never" in broker.log

    run(main())


def test_a_broker_can_be_awaited() -> None:
    async def main() -> None:
        broker = await Broker({"num.partitions": 2})
        await produce(broker, b"one")
        address = broker.bootstrap_servers
        await broker.restart()
        await broker.start()
        assert broker.bootstrap_servers == address
        assert await consume(broker, 1) == [b"one"]
        await broker.close()
        await broker.close()
        assert repr(broker) == "<AsyncBroker not running>"

    run(main())


def test_a_snapshot_is_restored() -> None:
    async def main() -> None:
        async with Broker() as broker:
            await produce(broker, b"one")
            snapshot = await broker.snapshot()
            await produce(broker, b"two")
            await broker.restore(snapshot)
            await produce(broker, b"three")
            assert await consume(broker, 2) == [b"one", b"three"]

    run(main())


@pytest.mark.slow
def test_a_process_can_be_killed() -> None:
    async def main() -> None:
        async with Broker(process=True) as broker:
            await produce(broker, b"one")
            await broker.kill()
            await broker.restart()
            assert await consume(broker, 1) == [b"one"]

    run(main())


def test_what_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def main() -> None:
        with pytest.raises(ValueError, match="cannot be set"):
            await Broker({"listeners": "PLAINTEXT://:9092"})
        with pytest.raises(RuntimeError, match="process=True"):
            async with Broker() as broker:
                await broker.kill()

    run(main())
    assert list(tmp_path.iterdir()) == []


def test_rounds_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def main() -> None:
        async with Broker():
            pass
        tasks, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            async with Broker():
                pass
        gc.collect()
        assert asyncio.all_tasks() == tasks
        assert len(os.listdir("/proc/self/fd")) == files

    threads = set(threading.enumerate())
    run(main())
    assert set(threading.enumerate()) == threads
    assert list(tmp_path.iterdir()) == []


def test_the_operations_do_not_block_the_loop() -> None:
    async def main() -> None:
        async with Broker() as broker:
            await broker.create_topic("t", partitions=2)
            await broker.produce("t", "one", partition=1)
            later = asyncio.create_task(broker.records("t", 2))
            await broker.produce_many("t", ["two"])
            assert [record.value for record in await later] == [b"two", b"one"]
            assert await broker.end_offsets("t") == {0: 1, 1: 1}
            assert await broker.committed("nobody") == {}

    run(main())
