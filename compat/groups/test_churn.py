"""Eight members come, leave and die while records flow, and so does the broker."""

import random
from collections.abc import Callable
from functools import partial

import pytest

from compat.bench.machine import create_topic
from compat.groups.ownership import overlaps
from compat.groups.roster import Roster, Way, roster
from compat.groups.stream import Stream
from compat.processes import eventually
from compat.targets import Target
from pykbroker.client import Client
from pykbroker.commands.group_views import read_offsets

PARTITIONS = 12
MEMBERS = 8
LEAST_MEMBERS = 3
ROUNDS = 16
SESSION_MS = 6_000
HEARTBEAT_MS = 500
STEADY_SECONDS = 90.0

LIBRDKAFKA = {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS}
PYTHON = {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": HEARTBEAT_MS}
JAVA_ASSIGNORS = "org.apache.kafka.clients.consumer"


def librdkafka(strategy: str) -> Way:
    return Way("confluent_kafka", {**LIBRDKAFKA, "partition.assignment.strategy": strategy})


def java(assignor: str) -> Way:
    strategy = {"partition.assignment.strategy": f"{JAVA_ASSIGNORS}.{assignor}"}
    return Way("java", {**LIBRDKAFKA, **strategy})


def in_python(client: str, assignor: str) -> Way:
    return Way(client, {**PYTHON, "assignor": assignor})


WAYS = {
    "librdkafka-range": [librdkafka("range")],
    "librdkafka-roundrobin": [librdkafka("roundrobin")],
    "librdkafka-cooperative-sticky": [librdkafka("cooperative-sticky")],
    "java-range": [java("RangeAssignor")],
    "java-cooperative-sticky": [java("CooperativeStickyAssignor")],
    "aiokafka-roundrobin": [in_python("aiokafka", "roundrobin")],
    "kafka-python-range": [in_python("kafka_python", "range")],
    "three-clients-range": [
        librdkafka("range"),
        in_python("aiokafka", "range"),
        in_python("kafka_python", "range"),
    ],
    "librdkafka-consumer-protocol": [Way("confluent_kafka", {"group.protocol": "consumer"})],
    "java-consumer-protocol": [Way("java", {"group.protocol": "consumer"})],
}


class Churn:
    """A group at work."""

    def __init__(self, broker: Target, members: Roster, stream: Stream) -> None:
        self.broker = broker
        self.members = members
        self.stream = stream

    def read_on(self, count: int) -> None:
        """Return when the members have read so many records more: the group is alive."""
        seen = self.members.ownership
        wanted = seen.read + count
        self._eventually(lambda: seen.read >= wanted, f"{count} more records")

    def await_owners(self) -> None:
        """Return when each partition has one owner."""
        ownership = self.members.ownership
        self._eventually(lambda: ownership.owned() == list(range(PARTITIONS)), "owners of all")

    def await_members(self) -> None:
        """Return when each member has had something: clients give up at a start without broker."""
        alive, intervals = set(self.members.alive), self.members.ownership.intervals
        self._eventually(lambda: alive <= {each.member for each in intervals}, "all to begin")

    def await_all_read(self) -> None:
        """Return when everything that was confirmed has been read."""
        ownership = self.members.ownership
        self._eventually(lambda: self.stream.confirmed <= ownership.records, "all records read")

    def await_all_committed(self, group: str) -> None:
        """Return when the offsets behind the last records are committed."""
        ends = dict.fromkeys(range(PARTITIONS), 0)
        for partition, offset in self.stream.confirmed:
            ends[partition] = max(ends[partition], offset + 1)
        with Client(self.broker.address) as client:
            client.metadata([])

            def is_committed() -> bool:
                committed = client.at_coordinator(group, partial(read_offsets, client, group))
                return {part: offset for (_, part), offset in committed.items()} == ends

            self._eventually(is_committed, "all offsets committed")

    def step(self, chance: random.Random) -> None:
        """Let one member come, leave or die."""
        alive = self.members.alive
        if len(alive) <= LEAST_MEMBERS or (len(alive) < MEMBERS and chance.random() < 0.5):
            self.members.start()
        elif chance.random() < 0.5:
            self.members.leave(chance.choice(alive))
        else:
            self.members.kill(chance.choice(alive))

    def _eventually(self, is_reached: Callable[[], bool], what: str) -> None:
        def look() -> bool:
            self.members.take_in()
            return is_reached()

        try:
            eventually(look, seconds=STEADY_SECONDS, what=what)
        except AssertionError as error:
            owned = self.members.ownership.owned()
            raise AssertionError(f"{error}; owned: {owned}; {self.members.describe()}") from error


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_eight_members_churn_and_nothing_is_lost_or_owned_twice(
    request: pytest.FixtureRequest,
    fresh_broker: Target,
    name: Callable[[str], str],
    ways: list[Way],
) -> None:
    chance = random.Random(request.config.getoption("--seed"))
    rounds = request.config.getoption("--rounds") or ROUNDS
    group, topic = name("group"), name("topic")
    create_topic(fresh_broker.address, topic, PARTITIONS)
    members = roster(fresh_broker, group, topic, ways)
    try:
        with Stream(fresh_broker, topic, PARTITIONS) as stream:
            churn = Churn(fresh_broker, members, stream)
            for _ in range(MEMBERS):
                members.start()
            churn.await_owners()
            for number in range(rounds):
                if number == rounds // 2:
                    churn.await_members()
                    fresh_broker.kill()
                    fresh_broker.restart()
                churn.step(chance)
                churn.read_on(chance.randrange(20, 300))
            churn.await_owners()
        assert stream.failed == []
        churn.await_all_read()
        while len(members.alive) > 1:
            members.leave(members.alive[0])
        churn.await_owners()
        churn.await_all_committed(group)
        members.leave(members.alive[0])
    finally:
        members.close()
    assert list(overlaps(members.ownership.intervals)) == []
