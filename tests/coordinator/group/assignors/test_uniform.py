"""The uniform assignor: scripts of single steps, and what must hold of any group."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.coordinator.group.assignors.spec import (
    GroupAssignment,
    GroupSpec,
    MemberSpec,
    TopicPartitions,
    TopicSpec,
)
from pykbroker.coordinator.group.assignors.uniform import assign

A = bytes(15) + b"\x01"
B = bytes(15) + b"\x02"
C = bytes(15) + b"\x03"


def numbers(*partitions: int) -> frozenset[int]:
    return frozenset(partitions)


def homogeneous(assignments: Mapping[str, TopicPartitions], **counts: int) -> GroupSpec:
    topics = {{"a": A, "b": B, "c": C}[name]: count for name, count in counts.items()}
    return GroupSpec(
        {name: MemberSpec(name, frozenset(topics), owned) for name, owned in assignments.items()},
        {topic_id: TopicSpec(topic_id, count) for topic_id, count in topics.items()},
    )


def test_a_fresh_group_shares_equally() -> None:
    assert assign(homogeneous({"n": {}, "m": {}}, a=3, b=2)) == {
        "m": {A: numbers(0, 1)},
        "n": {A: numbers(2), B: numbers(0, 1)},
    }


def test_a_new_member_takes_only_its_share() -> None:
    target = assign(homogeneous({"a": {}, "m": {A: numbers(0, 1, 2)}}, a=3))
    assert target == {"a": {A: numbers(2)}, "m": {A: numbers(0, 1)}}


def test_who_owns_one_more_keeps_it_when_others_have_smaller_ids() -> None:
    owned = {"m": {A: numbers(0, 1)}, "n": {A: numbers(2)}, "z": {A: numbers(3, 4)}}
    target = assign(homogeneous(owned, a=5))
    assert target == owned
    assert all(target[name] is owned[name] for name in owned)


def test_the_partitions_of_one_who_left_go_to_those_with_least() -> None:
    target = assign(homogeneous({"m": {A: numbers(0, 1)}, "n": {A: numbers(2)}}, a=4))
    assert target == {"m": {A: numbers(0, 1)}, "n": {A: numbers(2, 3)}}


def test_partitions_of_a_topic_no_longer_subscribed_are_let_go() -> None:
    owned = {"m": {B: numbers(0), A: numbers(0)}, "n": {A: numbers(1)}}
    assert assign(homogeneous(owned, a=2)) == {"m": {A: numbers(0)}, "n": {A: numbers(1)}}


def test_of_many_topics_the_last_ones_are_let_go_whole() -> None:
    owned = {"m": {C: numbers(0, 1), A: numbers(0, 1), B: numbers(0, 1)}, "n": {}}
    assert assign(homogeneous(owned, a=2, b=2, c=2)) == {
        "m": {A: numbers(0, 1), B: numbers(0)},
        "n": {B: numbers(1), C: numbers(0, 1)},
    }


@st.composite
def subscriptions(draw: st.DrawFn) -> tuple[dict[str, frozenset[bytes]], dict[bytes, int]]:
    counts = draw(st.dictionaries(st.sampled_from([A, B, C]), st.integers(0, 9), min_size=1))
    subscription = st.frozensets(st.sampled_from(sorted(counts)))
    members = draw(st.dictionaries(st.sampled_from("abcdefgh"), subscription, min_size=1))
    if draw(st.booleans()):
        members = dict.fromkeys(members, frozenset(counts))
    return members, counts


def spec_of(
    members: Mapping[str, frozenset[bytes]],
    counts: Mapping[bytes, int],
    current: Mapping[str, TopicPartitions],
) -> GroupSpec:
    return GroupSpec(
        {name: MemberSpec(name, topics, current.get(name, {})) for name, topics in members.items()},
        {topic_id: TopicSpec(topic_id, count) for topic_id, count in counts.items()},
    )


def sizes(target: GroupAssignment) -> dict[str, int]:
    return {name: sum(map(len, owned.values())) for name, owned in target.items()}


def owners_of(target: GroupAssignment) -> dict[tuple[bytes, int], str]:
    return {
        (topic_id, partition): name
        for name, owned in target.items()
        for topic_id, partitions in owned.items()
        for partition in partitions
    }


def check_owners(spec: GroupSpec, target: GroupAssignment) -> None:
    """Every partition that somebody subscribes to has exactly one owner, who subscribes to it."""
    assert target.keys() == spec.members.keys()
    owned = Counter(
        (topic_id, partition)
        for partitions_by_topic in target.values()
        for topic_id, partitions in partitions_by_topic.items()
        for partition in partitions
    )
    wanted = {topic for member in spec.members.values() for topic in member.subscribed_topic_ids}
    assert owned == Counter(
        (topic_id, partition)
        for topic_id in wanted
        for partition in range(spec.topics[topic_id].partition_count)
    )
    for name, owned_by_one in target.items():
        assert owned_by_one.keys() <= spec.members[name].subscribed_topic_ids
        assert all(owned_by_one.values())


@given(subscriptions(), subscriptions(), st.data())
def test_any_group_gets_one_owner_a_partition_and_stays_as_it_is(
    before: tuple[dict[str, frozenset[bytes]], dict[bytes, int]],
    after: tuple[dict[str, frozenset[bytes]], dict[bytes, int]],
    data: st.DataObject,
) -> None:
    members, counts = before
    first_spec = spec_of(members, counts, {})
    first = assign(first_spec)
    check_owners(first_spec, first)

    # The next epoch: other members, other subscriptions, topics that grew.
    members, grown = after
    counts = {
        **counts,
        **{topic: max(count, counts.get(topic, 0)) for topic, count in grown.items()},
    }
    second_spec = spec_of(members, counts, first)
    second = assign(second_spec)
    check_owners(second_spec, second)
    if second_spec.is_homogeneous:
        check_equal_shares_and_fewest_moves(second_spec, second)
        again = assign(spec_of(members, counts, second))
        assert again == second
    check_each_topic_is_even(second_spec, second)

    # It does not depend on the order in which members are listed.
    shuffled = data.draw(st.permutations(sorted(members)))
    assert assign(spec_of({name: members[name] for name in shuffled}, counts, first)) == second


def check_equal_shares_and_fewest_moves(spec: GroupSpec, target: GroupAssignment) -> None:
    after = sizes(target)
    assert max(after.values()) - min(after.values()) <= 1

    share, larger = divmod(sum(after.values()), len(after))
    subscription = next(iter(spec.members.values())).subscribed_topic_ids
    before = sorted(
        (
            sum(len(owned) for topic, owned in member.assignment.items() if topic in subscription)
            for member in spec.members.values()
        ),
        reverse=True,
    )
    could_stay = sum(min(size, share + (place < larger)) for place, size in enumerate(before))
    current = owners_of({name: member.assignment for name, member in spec.members.items()})
    stayed = sum(current.get(where) == owner for where, owner in owners_of(target).items())
    assert stayed == could_stay


def check_each_topic_is_even(spec: GroupSpec, target: GroupAssignment) -> None:
    """Nobody owns a partition that another subscriber with two fewer could have."""
    after = sizes(target)
    for (topic_id, _), owner in owners_of(target).items():
        for name, member in spec.members.items():
            if topic_id in member.subscribed_topic_ids:
                assert after[owner] - after[name] <= 1


@pytest.mark.parametrize("kinds", [1, 7])
def test_a_thousand_members_are_assigned_at_once(kinds: int) -> None:
    counts = {bytes([number]) * 16: 100 for number in range(10)}
    topics = sorted(counts)
    members = {
        f"m{number:04}": frozenset(topics if kinds == 1 else topics[number % kinds :])
        for number in range(1000)
    }
    spec = spec_of(members, counts, {})
    target = assign(spec)
    check_owners(spec, target)
    assert set(sizes(target).values()) == {1}
