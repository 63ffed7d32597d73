"""Groups of librdkafka with `group.protocol=consumer` (KIP-848): the broker assigns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from compat.processes import eventually
from compat.targets import Target

pytest.importorskip("confluent_kafka")

from confluent_kafka.admin import AdminClient

from compat.confluent_kafka.client import consumer, new_topic, produce

Names = Callable[[str], str]
# A member learns by its next heartbeat, every five seconds, what it is to give up.
SETTLED_SECONDS = 60
COMMON = {"auto_offset_reset": "earliest", "enable_auto_commit": True}
NEW = {**COMMON, "group_protocol": "consumer"}
CLASSIC = {
    **COMMON,
    "session_timeout_ms": 6000,
    "heartbeat_interval_ms": 300,
    "partition_assignment_strategy": "cooperative-sticky",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def a_topic(broker: Target, topic: str) -> str:
    return new_topic(AdminClient({"bootstrap.servers": broker.address}), topic, 4)


class Group:
    """Consumers that are polled in turn; what they read is kept."""

    def __init__(self, broker: Target, group: str, topic: str) -> None:
        self.broker, self.group, self.topic = broker, group, topic
        self.members: list[Any] = []
        self.read: list[int] = []

    def add(self, stack: ExitStack, **settings: Any) -> Any:
        member = stack.enter_context(consumer(self.broker, self.group, **settings))
        member.subscribe([self.topic])
        self.members.append(member)
        return member

    def poll(self) -> None:
        for member in self.members:
            message = member.poll(0.1)
            if message is not None and message.error() is None:
                self.read.append(int(message.value()))

    def owned(self) -> list[list[int]]:
        self.poll()
        return [sorted(p.partition for p in member.assignment()) for member in self.members]

    def await_shares(self, *sizes: int) -> None:
        """Return when the members have so many partitions, each partition once."""

        def are_shared() -> bool:
            owned = self.owned()
            everything = sorted(index for each in owned for index in each)
            shares = sorted(len(each) for each in owned)
            return shares == sorted(sizes) and everything == [0, 1, 2, 3]

        eventually(are_shared, what=f"shares of {sizes}", seconds=SETTLED_SECONDS)

    def await_all_read(self, numbers: range) -> None:
        def is_all_read() -> bool:
            self.poll()
            return len(self.read) >= len(numbers)

        eventually(is_all_read, what="all records", seconds=SETTLED_SECONDS)
        assert sorted(self.read) == list(numbers)


def send(broker: Target, topic: str, numbers: range) -> None:
    """Produce the numbers in turn to all partitions."""
    for partition in range(4):
        records = [(None, b"%d" % number) for number in numbers[partition::4]]
        produce(broker, topic, records, partition=partition)


@pytest.mark.parametrize("first", [NEW, CLASSIC], ids=["consumer", "classic"])
def test_members_come_and_go_and_every_record_is_read_once(
    fresh_broker: Target, name: Names, stack: ExitStack, first: dict[str, Any]
) -> None:
    """With a classic member first, the group is upgraded when the other one joins."""
    group = Group(fresh_broker, name("group"), a_topic(fresh_broker, name("topic")))
    group.add(stack, **first)
    group.await_shares(4)
    send(fresh_broker, group.topic, range(100))
    group.await_all_read(range(100))
    with ExitStack() as stay:
        group.add(stay, **NEW)
        group.await_shares(2, 2)
        send(fresh_broker, group.topic, range(100, 200))
        group.await_all_read(range(200))
    group.members.pop()
    group.await_shares(4)
    send(fresh_broker, group.topic, range(200, 300))
    group.await_all_read(range(300))


def test_a_pattern_is_matched_by_the_broker(
    fresh_broker: Target, name: Names, stack: ExitStack
) -> None:
    prefix = name("pattern")
    a_topic(fresh_broker, f"{prefix}-a")
    group = Group(fresh_broker, name("group"), f"^{prefix}-.*")
    group.add(stack, **NEW)
    group.await_shares(4)
    send(fresh_broker, f"{prefix}-a", range(20))
    group.await_all_read(range(20))
