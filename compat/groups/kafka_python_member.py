"""A member on kafka-python (see roster.py)."""

import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import kafka.coordinator.assignors.range as range_assignor
import kafka.coordinator.assignors.roundrobin as roundrobin_assignor
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from compat.members import say

ASSIGNORS = {
    "range": range_assignor.RangePartitionAssignor,
    "roundrobin": roundrobin_assignor.RoundRobinPartitionAssignor,
}


class Teller(ConsumerRebalanceListener):  # type: ignore[misc]
    """Says which partitions were given or taken."""

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        say(revoked=[each.partition for each in revoked], at=time.monotonic_ns())

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        say(lost=[each.partition for each in lost], at=time.monotonic_ns())

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        say(assigned=[each.partition for each in assigned], at=time.monotonic_ns())


def main(address: str, group: str, topic: str, text: str) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    say(ready=True)
    settings: dict[str, Any] = json.loads(text)
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[ASSIGNORS[settings.pop("assignor")]],
        **settings,
    )
    consumer.subscribe([topic], listener=Teller())
    # See compat/kafka_python/member.py: a rejoin for new metadata may never end.
    consumer.topics()
    while not stopping:
        try:
            found = consumer.poll(timeout_ms=100, max_records=50)
            for records in found.values():
                for record in records:
                    say(record=[record.partition, record.offset])
            if found:
                consumer.commit()
        except KafkaError:
            # The broker is away, or the commit is not taken any more: whoever is next reads again.
            continue
    say(closing=True, at=time.monotonic_ns())
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
