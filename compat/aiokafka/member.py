"""A group member on aiokafka (see compat/members.py)."""

import asyncio
import signal
import sys
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from compat.members import HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS, say


class Announcer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Says each assignment."""

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        say(assigned=sorted(partition.partition for partition in assigned))


async def main(address: str, group: str, topic: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
    )
    consumer.subscribe([topic], listener=Announcer())
    await consumer.start()
    while not stopping.is_set():
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                say(record=[record.partition, record.offset, record.value.decode()])
            await consumer.commit()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
