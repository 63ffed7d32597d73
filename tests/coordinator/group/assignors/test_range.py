from pykbroker.coordinator.group.assignors.range import assign
from pykbroker.coordinator.group.assignors.spec import GroupSpec, MemberSpec, TopicSpec

A = bytes(15) + b"\x01"
B = bytes(15) + b"\x02"


def numbers(*partitions: int) -> frozenset[int]:
    return frozenset(partitions)


def group(*members: MemberSpec, a: int = 0, b: int = 0) -> GroupSpec:
    topics = {A: TopicSpec(A, a), B: TopicSpec(B, b)}
    return GroupSpec({member.member_id: member for member in members}, topics)


def test_members_own_the_same_partitions_of_topics_with_equally_many() -> None:
    both = frozenset({A, B})
    target = assign(group(MemberSpec("n", both), MemberSpec("m", both), a=5, b=5))
    assert target == {
        "m": {A: numbers(0, 1, 2), B: numbers(0, 1, 2)},
        "n": {A: numbers(3, 4), B: numbers(3, 4)},
    }


def test_static_members_come_first_by_their_instance_ids() -> None:
    only = frozenset({A})
    target = assign(
        group(
            MemberSpec("a", only),
            MemberSpec("b", only, instance_id="2"),
            MemberSpec("c", only, instance_id="1"),
            a=3,
        )
    )
    assert target == {"c": {A: numbers(0)}, "b": {A: numbers(1)}, "a": {A: numbers(2)}}


def test_each_topic_is_shared_among_its_own_subscribers() -> None:
    target = assign(
        group(
            MemberSpec("m", frozenset({A})),
            MemberSpec("n", frozenset({A, B})),
            MemberSpec("o", frozenset({B})),
            a=3,
            b=2,
        )
    )
    assert target == {
        "m": {A: numbers(0, 1)},
        "n": {A: numbers(2), B: numbers(0)},
        "o": {B: numbers(1)},
    }


def test_members_beyond_the_number_of_partitions_own_nothing() -> None:
    members = [MemberSpec(name, frozenset({A})) for name in "mno"]
    assert assign(group(*members, a=2)) == {"m": {A: numbers(0)}, "n": {A: numbers(1)}, "o": {}}
