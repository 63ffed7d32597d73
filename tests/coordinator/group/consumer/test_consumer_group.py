import pytest

from pykbroker.coordinator.group.consumer.consumer_group import (
    ConsumerGroup,
    ConsumerGroupState,
    ResolvedRegex,
)
from pykbroker.coordinator.group.consumer.member import ConsumerMember, MemberState
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import a_group, a_member, topic_id

T = topic_id("t")


@pytest.mark.parametrize(
    ("group", "state"),
    [
        (a_group(), ConsumerGroupState.EMPTY),
        (a_group(a_member(), group_epoch=2), ConsumerGroupState.ASSIGNING),
        (a_group(a_member(member_epoch=1)), ConsumerGroupState.STABLE),
        (
            a_group(a_member(member_epoch=1, state=MemberState.UNRELEASED_PARTITIONS)),
            ConsumerGroupState.RECONCILING,
        ),
        (a_group(a_member(member_epoch=0)), ConsumerGroupState.RECONCILING),
    ],
)
def test_state(group: ConsumerGroup, state: ConsumerGroupState) -> None:
    assert group.state is state


def test_partitions_belong_to_who_has_them_or_has_yet_to_let_them_go() -> None:
    member = a_member("a", assigned={T: {0: 1}}, pending_revocation={T: {1: 1}})
    group = a_group(member)
    assert group.owners == {(T, 0): "a", (T, 1): "a"}
    group.put_member(member._replace(pending_revocation={}))
    assert group.owners == {(T, 0): "a"}
    group.remove_member("a")
    assert group.owners == {}
    assert group.members == {}
    group.remove_member("a")


def test_a_partition_that_another_took_over_stays_with_it() -> None:
    group = a_group(a_member("a", assigned={T: {0: 1}}), a_member("b", assigned={T: {0: 2}}))
    group.remove_member("a")
    assert group.owners == {(T, 0): "b"}


def test_a_static_member_inherits_the_target_of_its_elder_self() -> None:
    group = a_group(a_member("a", instance_id="i"), target={"a": {T: frozenset({0})}})
    newcomer = a_member("b", instance_id="i")
    assert group.target_of(newcomer) == {T: frozenset({0})}
    assert [m.member_id for m in group.members_with(newcomer)] == ["b"]
    assert group.target_of(a_member("b")) == {}
    group.put_member(newcomer)
    group.remove_member("a")
    assert group.static_member("i") == newcomer
    group.remove_member("b")
    assert group.static_member("i") is None
    assert group.static_member(None) is None


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(KafkaError) as refusal:
        a_group().member("m")
    assert refusal.value.code is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_regular_expression_counts_once_it_is_resolved() -> None:
    member = a_member("a", "u", subscribed_topic_regex="t.*")
    group = a_group(member, a_member("b", "v"))
    assert group.regex_counts == {"t.*": 1}
    assert not group.is_subscribed_to("t1")
    group.resolved_regexes["t.*"] = ResolvedRegex(frozenset({"t1"}), 0, 5)
    assert group.is_subscribed_to("t1")
    assert group.is_subscribed_to("v")
    assert group.topics_of_all(group.members.values()) == {"t1", "u", "v"}
    assert group.last_resolved_ms() == 5
    assert group.members_without({"a"}) == [group.members["b"]]
    group.put_member(member._replace(subscribed_topic_regex="u.*"))
    assert group.regex_counts == {"u.*": 1}
    group.remove_member("a")
    assert group.regex_counts == {}


def test_the_assignor_with_most_votes_is_preferred() -> None:
    votes = [ConsumerMember(str(n), server_assignor=a) for n, a in enumerate(("range", "x", "x"))]
    assert a_group().preferred_assignor(votes) == "x"
    assert a_group().preferred_assignor([a_member()]) is None


def test_metadata_is_looked_at_again_in_time_or_on_request() -> None:
    group = a_group(group_epoch=2, metadata_deadline_ms=10, metadata_deadline_epoch=2)
    assert not group.has_metadata_expired(9)
    assert group.has_metadata_expired(10)
    group.metadata_deadline_epoch = 3  # the step that looked could not be written
    assert group.has_metadata_expired(9)
    group.metadata_deadline_epoch = 2
    group.request_metadata_check()
    assert group.has_metadata_expired(9)
