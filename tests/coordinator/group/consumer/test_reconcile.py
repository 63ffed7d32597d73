"""One step at a time: who has what, who says what, and what comes of it."""

import pytest

from pykbroker.coordinator.group.consumer.member import MemberState
from pykbroker.coordinator.group.consumer.reconcile import Goal, Owned, reconcile
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import a_member, owned, topic_id

T, U = topic_id("t"), topic_id("u")
STABLE = MemberState.STABLE
UNREVOKED = MemberState.UNREVOKED_PARTITIONS
UNRELEASED = MemberState.UNRELEASED_PARTITIONS


def a_goal(
    epoch: int = 5,
    target: dict[bytes, set[int]] | None = None,
    *,
    says: Owned | None = None,
    elsewhere: tuple[tuple[bytes, int], ...] = (),
    topics: frozenset[bytes] = frozenset({T, U}),
    has_subscription_changed: bool = False,
) -> Goal:
    return Goal(
        epoch=epoch,
        target={topic: frozenset(indexes) for topic, indexes in (target or {}).items()},
        subscribed_topic_ids=topics,
        has_owner=lambda topic, index: (topic, index) in elsewhere,
        owned=says,
        has_subscription_changed=has_subscription_changed,
    )


def test_what_is_free_is_given_at_once_and_says_since_when() -> None:
    member = a_member(member_epoch=4, assigned={T: {0: 2}})
    moved = reconcile(member, a_goal(target={T: {0, 1}}))
    assert (moved.state, moved.member_epoch, moved.previous_member_epoch) == (STABLE, 5, 4)
    assert moved.assigned == {T: {0: 2, 1: 5}}


def test_what_another_has_is_waited_for() -> None:
    member = a_member(member_epoch=4)
    goal = a_goal(target={T: {0, 1}}, elsewhere=((T, 1),))
    waiting = reconcile(member, goal)
    assert (waiting.state, waiting.member_epoch) == (UNRELEASED, 5)
    assert waiting.assigned == {T: {0: 5}}
    given = reconcile(waiting, a_goal(target={T: {0, 1}}))
    assert (given.state, given.assigned) == (STABLE, {T: {0: 5, 1: 5}})
    nothing_yet = reconcile(member, a_goal(target={T: {1}}, elsewhere=((T, 1),)))
    assert (nothing_yet.state, nothing_yet.assigned) == (UNRELEASED, {})


def test_what_is_not_in_the_target_is_to_be_let_go_first() -> None:
    member = a_member(member_epoch=4, assigned={T: {0: 2, 1: 2}})
    told = reconcile(member, a_goal(target={T: {1}, U: {0}}))
    assert (told.state, told.member_epoch) == (UNREVOKED, 4)
    assert (told.assigned, told.pending_revocation) == ({T: {1: 2}}, {T: {0: 2}})
    for says in (None, owned(t=[0, 1])):
        assert reconcile(told, a_goal(target={T: {1}, U: {0}}, says=says)) == told
    done = reconcile(told, a_goal(target={T: {1}, U: {0}}, says=owned(t=[1])))
    assert (done.state, done.member_epoch) == (STABLE, 5)
    assert (done.assigned, done.pending_revocation) == ({T: {1: 2}, U: {0: 5}}, {})


def test_a_member_that_has_nothing_of_it_need_not_let_go() -> None:
    member = a_member(member_epoch=4, assigned={T: {0: 2}})
    moved = reconcile(member, a_goal(says=[]))
    assert (moved.state, moved.member_epoch, moved.assigned) == (STABLE, 5, {})


def test_what_it_has_yet_to_let_go_may_come_back_to_it() -> None:
    member = a_member(member_epoch=4, state=UNREVOKED, assigned={}, pending_revocation={T: {0: 2}})
    goal = a_goal(target={T: {0}}, says=[], elsewhere=((T, 0),))
    assert reconcile(member, goal).assigned == {T: {0: 5}}


def test_a_member_at_the_target_stays_as_it_is() -> None:
    member = a_member(member_epoch=5, assigned={T: {0: 2}})
    assert reconcile(member, a_goal(target={T: {0}})) == member


def test_topics_that_it_no_longer_wants_are_taken_without_a_new_target() -> None:
    member = a_member(member_epoch=5, assigned={T: {0: 2}, U: {0: 2}})
    goal = a_goal(target={T: {0}, U: {0}}, topics=frozenset({T}), has_subscription_changed=True)
    told = reconcile(member, goal)
    assert (told.state, told.assigned) == (UNREVOKED, {T: {0: 2}})
    assert told.pending_revocation == {U: {0: 2}}
    unasked = reconcile(member, goal._replace(owned=owned(t=[0])))
    assert (unasked.state, unasked.assigned) == (STABLE, {T: {0: 2}})
    assert unasked.pending_revocation == {}
    more = reconcile(told, goal._replace(subscribed_topic_ids=frozenset()))
    assert (more.assigned, more.pending_revocation) == ({}, {T: {0: 2}, U: {0: 2}})
    same = reconcile(told, goal)
    assert same == told


def test_a_target_of_topics_that_it_does_not_want_is_not_for_it() -> None:
    moved = reconcile(a_member(member_epoch=4), a_goal(target={U: {0}}, topics=frozenset({T})))
    assert (moved.state, moved.assigned) == (STABLE, {})


def test_a_state_that_a_newer_broker_wrote_costs_the_membership() -> None:
    member = a_member(member_epoch=4, state=MemberState.UNKNOWN)
    for says in (None, owned(t=[0])):
        with pytest.raises(KafkaError) as refusal:
            reconcile(member, a_goal(says=says))
        assert refusal.value.code is ErrorCode.FENCED_MEMBER_EPOCH
    assert reconcile(member, a_goal(says=[])).member_epoch == 5
