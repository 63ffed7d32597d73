from collections.abc import Mapping

from pykbroker.coordinator.group.assignors.spec import (
    GroupSpec,
    MemberSpec,
    TopicPartitions,
    TopicSpec,
)
from pykbroker.coordinator.group.assignors.uniform_heterogeneous import assign

A = bytes(15) + b"\x01"
B = bytes(15) + b"\x02"
C = bytes(15) + b"\x03"


def numbers(*partitions: int) -> frozenset[int]:
    return frozenset(partitions)


def group(
    members: Mapping[str, tuple[set[bytes], TopicPartitions]], counts: Mapping[bytes, int]
) -> GroupSpec:
    return GroupSpec(
        {
            name: MemberSpec(name, frozenset(topics), owned)
            for name, (topics, owned) in members.items()
        },
        {topic_id: TopicSpec(topic_id, count) for topic_id, count in counts.items()},
    )


def test_who_can_have_little_else_gets_it_first() -> None:
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({A, B}, {}),
        "n": ({B}, {}),
        "o": ({B}, {}),
    }
    assert assign(group(members, {A: 3, B: 3})) == {
        "m": {A: numbers(0, 1, 2)},
        "n": {B: numbers(0, 2)},
        "o": {B: numbers(1)},
    }


def test_the_most_loaded_give_their_last_partitions_to_the_least_loaded() -> None:
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({A, B}, {A: numbers(0, 1, 2, 3)}),
        "n": ({A}, {}),
    }
    assert assign(group(members, {A: 4, B: 0})) == {
        "m": {A: numbers(0, 1)},
        "n": {A: numbers(2, 3)},
    }


def test_an_assignment_that_is_even_stays_the_same_object() -> None:
    owned = {"m": {A: numbers(0)}, "n": {A: numbers(1), B: numbers(0)}}
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({A}, owned["m"]),
        "n": ({A, B}, owned["n"]),
    }
    target = assign(group(members, {A: 2, B: 1}))
    assert target["m"] is owned["m"]
    assert target["n"] is owned["n"]


def test_partitions_of_a_topic_no_longer_subscribed_go_to_another() -> None:
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({B}, {A: numbers(0), B: numbers(0)}),
        "n": ({A}, {}),
    }
    assert assign(group(members, {A: 1, B: 1})) == {"m": {B: numbers(0)}, "n": {A: numbers(0)}}


def test_a_most_loaded_member_with_nothing_of_the_topic_is_passed_over() -> None:
    # o owns most, but nothing of A; next m gives.
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({A}, {A: numbers(0, 1, 2)}),
        "n": ({A}, {}),
        "o": ({A, C}, {C: numbers(0, 1, 2, 3, 4, 5)}),
    }
    assert assign(group(members, {A: 3, C: 6})) == {
        "m": {A: numbers(0, 1)},
        "n": {A: numbers(2)},
        "o": {C: numbers(0, 1, 2, 3, 4, 5)},
    }


def test_when_nobody_can_give_it_stays_as_uneven_as_it_is() -> None:
    members: dict[str, tuple[set[bytes], TopicPartitions]] = {
        "m": ({A, B}, {B: numbers(0, 1, 2)}),
        "n": ({A, C}, {C: numbers(0, 1, 2)}),
        "o": ({A}, {}),
    }
    target = assign(group(members, {A: 0, B: 3, C: 3}))
    assert target == {"m": {B: numbers(0, 1, 2)}, "n": {C: numbers(0, 1, 2)}, "o": {}}
