"""A member on aiokafka (see roster.py)."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from compat.members import say

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Teller(ConsumerRebalanceListener):  # type: ignore[misc]
    """Says which partitions were given or taken."""

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        say(revoked=[each.partition for each in revoked], at=time.monotonic_ns())

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        say(assigned=[each.partition for each in assigned], at=time.monotonic_ns())


async def main(address: str, group: str, topic: str, text: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    say(ready=True)
    settings: dict[str, Any] = json.loads(text)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[ASSIGNORS[settings.pop("assignor")]],
        **settings,
    )
    consumer.subscribe([topic], listener=Teller())
    await consumer.start()
    while not stopping.is_set():
        found = await consumer.getmany(timeout_ms=100, max_records=50)
        for records in found.values():
            for record in records:
                say(record=[record.partition, record.offset])
        if found:
            try:
                await consumer.commit()
            except KafkaError:
                # Not any more, or not now: whoever is next reads them again.
                continue
    say(closing=True, at=time.monotonic_ns())
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
