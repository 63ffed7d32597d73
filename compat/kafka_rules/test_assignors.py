"""Our assignors and Apache Kafka's give the same partitions to the same members.

Kafka's assignors follow the order of hash maps in two places: the members, and for equal
subscriptions the topics. Here they are given ours: members sorted by their ids, and topic ids
whose hashes are in their own order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from compat.kafka_rules.asking import kafka_says
from pykbroker.coordinator.group.assignors import ASSIGNORS
from pykbroker.coordinator.group.assignors.spec import (
    GroupAssignment,
    GroupSpec,
    MemberSpec,
    TopicPartitions,
    TopicSpec,
)

SEEDS = 600
EPOCHS = 4
MAX_TOPICS = 6
MAX_PARTITIONS = 12
MAX_MEMBERS = 9


@dataclass
class Case:
    """A group at one epoch, with our assignment and Kafka's."""

    seed: int
    assignor: str
    spec: GroupSpec
    ours: GroupAssignment
    order: Sequence[str]

    def question(self) -> dict[str, Any]:
        return {
            "ask": "assign",
            "assignor": self.assignor,
            "topics": {
                topic_id.hex(): topic.partition_count
                for topic_id, topic in self.spec.topics.items()
            },
            "members": [
                {
                    "id": member_id,
                    "instance": member.instance_id,
                    "topics": sorted(topic.hex() for topic in member.subscribed_topic_ids),
                    "assignment": as_json(member.assignment),
                }
                for member_id in self.order
                for member in [self.spec.members[member_id]]
            ],
        }


def as_json(partitions: TopicPartitions) -> dict[str, list[int]]:
    return {topic_id.hex(): sorted(partitions[topic_id]) for topic_id in sorted(partitions)}


def cases(assignor: str, *, equal_subscriptions: bool) -> list[Case]:
    """Groups at several epochs each: members and topics come, grow and go."""
    made = []
    for seed in range(SEEDS // EPOCHS):
        random = Random(f"{assignor} {equal_subscriptions} {seed}")
        current: GroupAssignment = {}
        counts: dict[bytes, int] = {}
        for _ in range(EPOCHS):
            for number in random.sample(range(1, MAX_TOPICS + 1), random.randint(1, 3)):
                topic_id = number.to_bytes(16, "big")
                if not equal_subscriptions and number % 2:
                    topic_id = b"\xff" + topic_id[1:]  # Negative for Java.
                counts[topic_id] = counts.get(topic_id, 0) + random.randint(0, MAX_PARTITIONS)
            spec = random_spec(random, counts, current, equal_subscriptions=equal_subscriptions)
            current = ASSIGNORS[assignor](spec)
            if spec.is_homogeneous == equal_subscriptions:
                made.append(Case(seed, assignor, spec, current, sorted(spec.members)))
    return made


def random_spec(
    random: Random,
    counts: Mapping[bytes, int],
    current: Mapping[str, TopicPartitions],
    *,
    equal_subscriptions: bool,
) -> GroupSpec:
    def subscription() -> frozenset[bytes]:
        return frozenset(random.sample(sorted(counts), random.randint(0, len(counts))))

    everybodys = subscription()
    members = {}
    for number in random.sample(range(MAX_MEMBERS), random.randint(1, MAX_MEMBERS)):
        member_id = f"member-{number}"
        members[member_id] = MemberSpec(
            member_id,
            everybodys if equal_subscriptions else subscription(),
            current.get(member_id, {}),
            instance_id=f"instance-{9 - number}" if number % 3 == 0 else None,
        )
    return GroupSpec(members, {topic: TopicSpec(topic, count) for topic, count in counts.items()})


def compare(made: Sequence[Case]) -> None:
    answers = kafka_says(case.question() for case in made)
    different = []
    for case, theirs in zip(made, answers, strict=True):
        # Kafka leaves out who owns nothing in some cases and not in others.
        ours = {name: as_json(owned) for name, owned in case.ours.items() if owned}
        if ours != {name: owned for name, owned in theirs.items() if owned}:
            different.append((case.seed, ours, theirs))
    assert not different


def test_uniform_with_equal_subscriptions() -> None:
    compare(cases("uniform", equal_subscriptions=True))


def test_uniform_with_different_subscriptions() -> None:
    compare(cases("uniform", equal_subscriptions=False))


def test_range() -> None:
    compare(cases("range", equal_subscriptions=True) + cases("range", equal_subscriptions=False))


def test_uniform_moves_no_more_than_kafka_in_any_order() -> None:
    made = cases("uniform", equal_subscriptions=True)
    for case in made:
        case.order = Random(case.seed).sample(case.order, len(case.order))
    for case, theirs in zip(made, kafka_says(case.question() for case in made), strict=True):
        kept_by_us = kept(case.spec, {name: as_json(owned) for name, owned in case.ours.items()})
        assert kept_by_us >= kept(case.spec, theirs), case.seed


def kept(spec: GroupSpec, target: Mapping[str, Mapping[str, Sequence[int]]]) -> int:
    """How many partitions stay where they are."""
    return sum(
        len(owned & set(target.get(member_id, {}).get(topic_id.hex(), ())))
        for member_id, member in spec.members.items()
        for topic_id, owned in member.assignment.items()
    )
