"""Members of a consumer group (KIP-848) on bare sockets, and how long a join takes to settle.

The protocol is that of real members, driven by one thread: one more member joins, the others learn
by a heartbeat what they have to give up and confirm it, and the new one asks until it has its
share. What clients add is left out: the pause between two heartbeats (5 s by default) and their own
work. The group's assignments are made at once, not at most one a second as by default.
"""

import select
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from compat.bench.frames import frame
from compat.bench.group_load import DEADLINE_S, RESPONSE_BODY, find_coordinator
from compat.bench.meter import Reading, percentiles
from compat.bench.pipes import connect, read_answer
from pykbroker.client import Client
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)

VERSION: Final = 1
JOIN_EPOCH: Final = 0
LEAVE_EPOCH: Final = -1
REBALANCE_TIMEOUT_MS: Final = 60_000
GROUP_RESOURCE: Final = 32
SET: Final = 0

Partition = tuple[bytes, int]


class Member:
    """One member with a connection of its own and at most one request open."""

    def __init__(self, address: str, group: str, topic: str) -> None:
        """Connect; nothing is sent."""
        self.group = group
        self.topic = topic
        self.member_id = ""
        self.epoch = JOIN_EPOCH
        self.owned: list[TopicPartitions] = []
        self.has_news = False
        """Whether the coordinator has not been told yet what it owns now."""
        self.is_open = False
        self.connection = connect(address)

    @property
    def partitions(self) -> set[Partition]:
        return {(each.topic_id, index) for each in self.owned for index in each.partitions}

    def join(self) -> None:
        """Become a new member."""
        self.member_id = str(uuid.uuid4())
        self.epoch, self.owned, self.has_news = JOIN_EPOCH, [], False
        self._send(
            ConsumerGroupHeartbeatRequest(
                group_id=self.group,
                member_id=self.member_id,
                member_epoch=JOIN_EPOCH,
                rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
                subscribed_topic_names=[self.topic],
                topic_partitions=[],
            )
        )

    def heartbeat(self) -> None:
        self._send(
            ConsumerGroupHeartbeatRequest(
                group_id=self.group,
                member_id=self.member_id,
                member_epoch=self.epoch,
                topic_partitions=self.owned if self.has_news else None,
            )
        )
        self.has_news = False

    def leave(self) -> None:
        self._send(
            ConsumerGroupHeartbeatRequest(
                group_id=self.group, member_id=self.member_id, member_epoch=LEAVE_EPOCH
            )
        )
        self.take_answer()
        self.owned = []

    def take_answer(self) -> None:
        """Read the answer to the open request."""
        answer = memoryview(read_answer(self.connection))
        self.is_open = False
        found = ConsumerGroupHeartbeatResponse.decode(answer, VERSION, RESPONSE_BODY)
        assert found.error_code == 0, f"ConsumerGroupHeartbeat: error {found.error_code}"
        self.epoch = found.member_epoch
        if found.assignment is not None:
            self.owned = found.assignment.topic_partitions
            self.has_news = True

    def _send(self, request: ConsumerGroupHeartbeatRequest) -> None:
        assert not self.is_open
        self.is_open = True
        self.connection.sendall(frame(request, VERSION))


class Group:
    """Members that one thread drives; the last one comes and goes."""

    def __init__(self, address: str, name: str, topic: str, size: int, partitions: int) -> None:
        """Form the group without its last member."""
        find_coordinator(address, name)
        _assign_at_once(address, name)
        self._partitions = partitions
        self._poll = select.epoll()
        self.members = [Member(address, name, topic) for _ in range(size)]
        self._by_descriptor = {member.connection.fileno(): member for member in self.members}
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)
        for count in range(1, size):
            self._change(self.members[:count], self.members[count - 1].join)

    def add_last(self) -> float:
        """Let the last member join; gives the seconds until every member has its share."""
        started = time.perf_counter()
        self._change(self.members, self.members[-1].join)
        return time.perf_counter() - started

    def remove_last(self) -> None:
        self._change(self.members[:-1], self.members[-1].leave)

    def close(self) -> None:
        for member in self.members:
            if member.owned:
                member.leave()
            member.connection.close()
        self._poll.close()

    def _change(self, members: Sequence[Member], change: Callable[[], None]) -> None:
        """Make a change that begins a new epoch, and go on until it has settled."""
        epoch = max(member.epoch for member in self.members) + 1
        deadline = time.monotonic() + DEADLINE_S
        change()
        while True:
            for member in members:
                if not member.is_open and (member.epoch < epoch or member.has_news):
                    member.heartbeat()
            if not any(member.is_open for member in members):
                owned = [partition for member in members for partition in member.partitions]
                assert len(set(owned)) == len(owned), "a partition has two owners"
                if len(owned) == self._partitions:
                    return
                for member in members:
                    member.heartbeat()
            for descriptor, _ in self._poll.poll(DEADLINE_S):
                self._by_descriptor[descriptor].take_answer()
            assert time.monotonic() < deadline, "the group does not settle"


def consumer_rebalance(
    address: str, pid: int, *, topic: str, members: int, partitions: int, seconds: float
) -> dict[str, float]:
    """One join after the other into a group that then has so many members."""
    group = Group(address, f"bench-{members}-{time.time_ns()}", topic, members, partitions)
    group.add_last()
    times: list[float] = []
    first = Reading.now(pid)
    while time.perf_counter() < first.time_s + seconds:
        group.remove_last()
        times.append(group.add_last())
    last = Reading.now(pid)
    group.close()
    return {**first.until(last), "requests": len(times), **percentiles(times)}


def _assign_at_once(address: str, group: str) -> None:
    setting = AlterableConfig(
        name="consumer.assignment.interval.ms", config_operation=SET, value="0"
    )
    resource = AlterConfigsResource(
        resource_type=GROUP_RESOURCE, resource_name=group, configs=[setting]
    )
    request = IncrementalAlterConfigsRequest(resources=[resource])
    with Client(address) as client:
        answer = client.call(request, IncrementalAlterConfigsResponse)
    (found,) = answer.responses
    assert found.error_code == ErrorCode.NONE, found.error_message
