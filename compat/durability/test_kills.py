"""SIGKILL at random moments, again and again, under producers and committing consumers.

The page cache survives the process, so what acks=1 has confirmed must be there too.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from random import Random

import pytest

from compat.bench.machine import cpu_seconds
from compat.processes import eventually
from compat.targets import Target, TargetUnavailable

pytest.importorskip("confluent_kafka")

from confluent_kafka.admin import AdminClient, NewTopic

from compat.durability import oracle
from compat.durability.load import (
    QUIET,
    VALUE_BYTES,
    Committer,
    Sender,
    Watcher,
    committed_offsets,
    read_all,
)
from compat.durability.round_trip import round_trip

Offsets = dict[tuple[str, int], int]

ROUNDS = {"pykbroker": 24, "kafka": 6}
LONGEST_LIFE_S = 1.6
SERVES_WITHIN_S = 2.0
"""Processor time until a restarted broker serves, in half of the rounds at least."""
SERVES_AT_LAST_WITHIN_S = 10.0
"""And in all of them."""

PARTITIONS = 3
GROUP = "committers"
KEYS = 60
RETENTION_BYTES = 100_000
SMALL_SEGMENTS = {"internal.segment.bytes": "20000"}
PLAIN_LOG, SHORT_LOG, COMPACTED_LOG, PROBE = "plain", "short", "compacted", "probe"
TOPICS: Mapping[str, Mapping[str, str]] = {
    PLAIN_LOG: SMALL_SEGMENTS,
    SHORT_LOG: {**SMALL_SEGMENTS, "retention.bytes": str(RETENTION_BYTES)},
    COMPACTED_LOG: {
        **SMALL_SEGMENTS,
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "100",
    },
    PROBE: {},
}
SETTINGS = {
    "offsets.topic.num.partitions": "3",
    "offsets.topic.segment.bytes": "1048576",
    "log.cleaner.backoff.ms": "200",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "400",
    "log.segment.delete.delay.ms": "500",
    "log.flush.offset.checkpoint.interval.ms": "700",
}

EVERYTHING = [(topic, number) for topic in TOPICS if topic != PROBE for number in range(PARTITIONS)]

SHORT = [each for each in EVERYTHING if each[0] == SHORT_LOG]


@pytest.fixture
def broker(target_class: type[Target]) -> Iterator[Target]:
    """A broker of this test's own: it is killed."""
    try:
        target = target_class(SETTINGS)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with target:
        yield target


class Clients:
    """All that keeps the broker busy."""

    def __init__(self, address: str) -> None:
        # name: topic, acks, idempotent, keys
        flows = {
            "once": (PLAIN_LOG, "all", True, None),
            "all": (PLAIN_LOG, "all", False, None),
            "leader": (PLAIN_LOG, "1", False, None),
            "short-once": (SHORT_LOG, "all", True, None),
            "short-leader": (SHORT_LOG, "1", False, None),
            "newest": (COMPACTED_LOG, "all", True, KEYS),
        }
        self.senders = [
            Sender(address, name, topic, PARTITIONS, acks=acks, idempotent=once, keys=keys)
            for name, (topic, acks, once, keys) in flows.items()
        ]
        self.committers = [Committer(address, GROUP, PLAIN_LOG) for _ in range(2)]
        self.watcher = Watcher(address, EVERYTHING)

    @property
    def confirmed_commits(self) -> Offsets:
        """The largest offset of each partition whose commit was acknowledged."""
        found: Offsets = {}
        for committer in self.committers:
            for partition, offset in list(committer.confirmed.items()):
                found[partition] = max(offset, found.get(partition, 0))
        return found

    def finish(self) -> None:
        for sender in self.senders:
            sender.finish()
        for committer in self.committers:
            committer.finish()
        self.watcher.finish()


def kill(broker: Target, _: Random) -> None:
    broker.kill()


def kill_twice(broker: Target, random: Random) -> None:
    """The second time while it starts, which is when it recovers."""
    broker.kill()
    broker.begin()
    time.sleep(random.uniform(0.0, 0.3 if broker.name == "pykbroker" else 4.0))
    broker.kill()


def kill_while_it_stops(broker: Target, random: Random) -> None:
    os.kill(broker.pid, signal.SIGTERM)
    time.sleep(random.uniform(0.0, 0.15 if broker.name == "pykbroker" else 1.0))
    broker.kill()


def stop(broker: Target, _: Random) -> None:
    assert broker.stop() == (0 if broker.name == "pykbroker" else 143)


ENDS = (kill, kill_twice, kill, kill_while_it_stops, kill, stop)


def test_what_was_confirmed_survives_kills(broker: Target, request: pytest.FixtureRequest) -> None:
    random = Random(request.config.getoption("--seed"))
    rounds = request.config.getoption("--rounds") or ROUNDS[broker.name]
    _create_topics(broker.address)
    clients = Clients(broker.address)
    committed: Offsets = {}
    seconds_to_serve, processor_seconds = [], []
    ends: list[Callable[[Target, Random], None]] = []
    while len(ends) < rounds:
        ends += random.sample(ENDS, len(ENDS))
    for end in islice(ends, rounds):
        time.sleep(random.uniform(0.05, LONGEST_LIFE_S))
        end(broker, random)
        confirmed = clients.confirmed_commits
        started = time.monotonic()
        broker.restart()
        round_trip(broker.address, PROBE)
        seconds_to_serve.append(time.monotonic() - started)
        processor_seconds.append(cpu_seconds(broker.pid))
        committed = _not_backwards(broker.address, confirmed, committed)
    clients.finish()
    committed = _not_backwards(broker.address, clients.confirmed_commits, committed)

    print(
        f"{rounds} rounds, {sum(len(each.confirmed) for each in clients.senders)} records and "
        f"commits up to {committed}; served after {max(seconds_to_serve):.2f} s at most"
    )
    assert committed.keys() == {(PLAIN_LOG, number) for number in range(PARTITIONS)}
    _check(broker, clients)
    if broker.name == "pykbroker":
        assert sorted(processor_seconds)[rounds // 2] < SERVES_WITHIN_S
        assert max(processor_seconds) < SERVES_AT_LAST_WITHIN_S


def _create_topics(address: str) -> None:
    admin = AdminClient({"bootstrap.servers": address, **QUIET})
    wanted = [NewTopic(name, PARTITIONS, config=dict(config)) for name, config in TOPICS.items()]
    for created in admin.create_topics(wanted).values():
        created.result(timeout=60)


def _not_backwards(address: str, confirmed: Offsets, earlier: Offsets) -> Offsets:
    """Ask for the committed offsets, and hold them to what was confirmed and seen before."""
    found = committed_offsets(address, GROUP, PLAIN_LOG, PARTITIONS)
    for promised in (confirmed, earlier):
        lower = {each: offset for each, offset in promised.items() if found.get(each, -1) < offset}
        assert not lower, f"committed were {lower}, and now {found}"
    return found


def _check(broker: Target, clients: Clients) -> None:
    def is_cleaned() -> bool:
        _, ranges = read_all(broker.address, SHORT)
        return all(start > 0 for start, _ in ranges.values())

    eventually(is_cleaned, what="a first deletion by retention.bytes")
    found, ranges = read_all(broker.address, EVERYTHING)
    # What retention has just deleted need not be there.
    starts = {partition: start for partition, (start, _) in ranges.items()}
    plain = {place: sent for place, sent in found.items() if place.topic == PLAIN_LOG}
    compacted = {place: sent for place, sent in found.items() if place.topic == COMPACTED_LOG}
    dense = {each: found_range for each, found_range in ranges.items() if each[0] != COMPACTED_LOG}
    wrong: list[str] = [f"{place} was read twice" for place in clients.watcher.contradictions]
    for sender in clients.senders:
        wrong += sender.failures
        wrong += [f"{place} was answered twice" for place in sender.contradictions]
        wrong += oracle.disorder(found, sender)
        if sender.keys is not None:
            wrong += oracle.stale_keys(compacted, sender)
            wrong += oracle.changed(sender.confirmed, found)
            assert len(compacted) < sender.sent, "nothing was compacted"
        else:
            wrong += oracle.lost(sender.confirmed, found, starts)
        if sender.topic == PLAIN_LOG:
            wrong += oracle.missing(plain, sender)
    seen = clients.watcher.seen.items()
    kept = {place: sent for place, sent in seen if place.topic != COMPACTED_LOG}
    wrong += oracle.lost(kept, found, starts)
    wrong += oracle.changed(clients.watcher.seen, found)
    wrong += oracle.gaps((place for place in found if place.topic != COMPACTED_LOG), dense)
    for partition in SHORT:
        start, end = ranges[partition]
        if (end - start) * VALUE_BYTES * 2 < RETENTION_BYTES:
            wrong.append(f"{partition} has only the offsets {start} to {end} left")
    assert not wrong, f"{len(wrong)} broken promises:\n" + "\n".join(wrong[:20])
