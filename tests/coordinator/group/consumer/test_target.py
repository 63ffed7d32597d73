from dataclasses import replace

import pytest

from pykbroker.coordinator.group.assignors import ASSIGNORS
from pykbroker.coordinator.group.assignors.spec import AssignorError, GroupAssignment, GroupSpec
from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings
from pykbroker.coordinator.group.consumer.target import (
    is_due,
    preferred_assignor,
    topic_ids,
    update_target,
)
from pykbroker.coordinator.group.step import GroupSettings, Step
from pykbroker.metadata.image import BrokerImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import AT_ONCE, a_group, a_member, a_step, topic_id, topics
from tests.harness.groups import START_MS

T = topic_id("t")


def test_only_what_is_new_is_written() -> None:
    known = {"a": {T: frozenset({0})}, "b": {T: frozenset({1})}}
    group = a_group(a_member("a", "t"), a_member("b", "t"), target=known)
    step = a_step(t=3)
    epoch, target = update_target(group, step, 2, group.members["b"])
    assert (epoch, target) == (2, {T: frozenset({1, 2})})
    assert [record.key.RECORD_TYPE for record in step.records] == [7, 6]


def test_without_a_new_epoch_the_old_target_holds() -> None:
    group = a_group(a_member("a", "t"), target={"a": {T: frozenset({0})}})
    step = a_step(t=3)
    assert update_target(group, step, 1, group.members["a"]) == (1, {T: frozenset({0})})
    assert step.records == []


def test_a_new_target_waits_for_the_interval() -> None:
    group = a_group(assignment_timestamp_ms=1_000)
    assert not is_due(group, 500, 1_499)
    assert is_due(group, 500, 1_500)
    assert is_due(group, 0, 1_000)
    assert is_due(a_group(), 500, 0)


def test_an_assignor_that_is_no_longer_configured_is_not_used() -> None:
    settings = GroupSettings(consumer=ConsumerGroupSettings(assignors=("range",)))
    step = a_step(settings)
    group = a_group()
    assert preferred_assignor(group, step, [a_member(server_assignor="uniform")]) == "range"
    assert preferred_assignor(group, a_step(), [a_member(server_assignor="range")]) == "range"
    assert preferred_assignor(group, a_step(), [a_member()]) == "uniform"


def test_topics_that_do_not_exist_have_no_ids() -> None:
    assert topic_ids(topics(t=1), frozenset({"t", "u"})) == {T}


def test_racks_of_the_replicas_are_told_to_the_assignor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[GroupSpec] = []

    def assign(spec: GroupSpec) -> GroupAssignment:
        seen.append(spec)
        return {}

    monkeypatch.setitem(ASSIGNORS, "uniform", assign)
    member = a_member("a", "t", rack_id="r")
    image = replace(topics(t=2), brokers={1: BrokerImage(1, "r")})
    update_target(a_group(), Step(START_MS, AT_ONCE, image), 2, member)
    (spec,) = seen
    assert spec.members["a"].rack_id == "r"
    assert spec.topics[T].racks == (frozenset({"r"}), frozenset({"r"}))


def test_an_assignor_that_fails_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def assign(spec: GroupSpec) -> GroupAssignment:
        raise AssignorError("no")

    monkeypatch.setitem(ASSIGNORS, "uniform", assign)
    with pytest.raises(KafkaError) as refusal:
        update_target(a_group(), a_step(t=1), 2, a_member("a", "t"))
    assert refusal.value.code is ErrorCode.UNKNOWN_SERVER_ERROR
