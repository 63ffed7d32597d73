"""The hashes are those that Apache Kafka's classes gave (compat/kafka_rules asks them for more)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pykbroker.coordinator.group.metadata_hash import metadata_hash


@dataclass
class Partition:
    replicas: Sequence[int] = (0,)


@dataclass
class Topic:
    name: str
    topic_id: bytes
    partitions: Sequence[Partition]


@dataclass
class Broker:
    rack: str | None = None


@dataclass
class Topics:
    topics: Mapping[str, Topic]
    brokers: Mapping[int, Broker] = field(default_factory=lambda: {0: Broker()})

    @property
    def topics_by_id(self) -> Mapping[bytes, Topic]:
        return {topic.topic_id: topic for topic in self.topics.values()}


def topics(*replicas: Sequence[int], racks: Sequence[str | None] = (None,)) -> Topics:
    """The topic `one` with these replicas, the topic `other` with one partition."""
    return Topics(
        {
            "one": Topic("one", bytes(range(16)), [Partition(each) for each in replicas]),
            "other": Topic("other", b"\xff" * 16, [Partition()]),
        },
        {node_id: Broker(rack) for node_id, rack in enumerate(racks)},
    )


def test_a_group_without_topics_that_exist_has_zero() -> None:
    assert metadata_hash([], topics()) == 0
    assert metadata_hash(["none"], topics()) == 0


@pytest.mark.parametrize(
    ("names", "seen", "expected"),
    [
        (["one"], topics([0], [0]), 6494183656738052601),
        (["one", "other", "none"], topics([0], [0]), -5570184472479934422),
        (["one"], topics([0, 1, 2, 9], racks=("b", None, "é𝄞")), -5929954367884438590),
        (["one"], topics(*[[0, 0]] * 60, racks=("a",)), -8817560952844789204),
    ],
    ids=["one topic", "several topics", "racks", "many partitions"],
)
def test_the_hash_is_kafkas(names: list[str], seen: Topics, expected: int) -> None:
    assert metadata_hash(names, seen) == expected


def test_the_hash_changes_with_what_the_group_must_know() -> None:
    before = metadata_hash(["one"], topics([0]))
    assert metadata_hash(["one", "other"], topics([0])) != before
    assert metadata_hash(["one"], topics([0], [0])) != before
    assert metadata_hash(["one"], topics([0], racks=("a",))) != before
    assert metadata_hash(["one"], topics([0])) == before
