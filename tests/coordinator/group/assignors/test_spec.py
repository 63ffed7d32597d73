import pytest

from pykbroker.coordinator.group.assignors import ASSIGNORS
from pykbroker.coordinator.group.assignors.spec import (
    AssignorError,
    GroupSpec,
    MemberSpec,
    TopicSpec,
)

A = bytes(15) + b"\x01"
B = bytes(15) + b"\x02"
NEGATIVE = b"\xff" * 16


def test_uniform_is_the_default_assignor() -> None:
    assert list(ASSIGNORS) == ["uniform", "range"]


def test_members_with_equal_subscriptions_make_a_homogeneous_group() -> None:
    same = {name: MemberSpec(name, frozenset({A, B})) for name in "mn"}
    assert GroupSpec({}, {}).is_homogeneous
    assert GroupSpec(same, {}).is_homogeneous
    assert not GroupSpec(same | {"o": MemberSpec("o", frozenset({A}))}, {}).is_homogeneous


def test_topics_are_sorted_as_java_compares_their_ids() -> None:
    topics = {topic_id: TopicSpec(topic_id, 1) for topic_id in (A, B, NEGATIVE)}
    spec = GroupSpec({}, topics)
    assert list(spec.partition_counts({B, A, NEGATIVE})) == [NEGATIVE, A, B]


@pytest.mark.parametrize("name", ASSIGNORS)
@pytest.mark.parametrize("others", [frozenset(), frozenset({B})])
def test_a_topic_that_nobody_knows_is_an_error(name: str, others: frozenset[bytes]) -> None:
    members = {"m": MemberSpec("m", frozenset({A})), "n": MemberSpec("n", others | {A})}
    with pytest.raises(AssignorError, match="00000001, which is unknown"):
        ASSIGNORS[name](GroupSpec(members, {B: TopicSpec(B, 1)}))


@pytest.mark.parametrize("name", ASSIGNORS)
def test_a_group_without_members_gets_nothing(name: str) -> None:
    assert ASSIGNORS[name](GroupSpec({}, {A: TopicSpec(A, 3)})) == {}


@pytest.mark.parametrize("name", ASSIGNORS)
@pytest.mark.parametrize("extra", [frozenset(), frozenset({A})])
def test_members_without_subscription_own_nothing(name: str, extra: frozenset[bytes]) -> None:
    members = {"m": MemberSpec("m", frozenset(), {B: frozenset({0})}), "n": MemberSpec("n", extra)}
    target = ASSIGNORS[name](GroupSpec(members, {A: TopicSpec(A, 0)}))
    assert target == {"m": {}, "n": {}}
