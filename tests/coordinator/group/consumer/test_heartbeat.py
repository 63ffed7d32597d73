"""Heartbeats, told as golden scripts in scripts/; PYKBROKER_REWRITE=1 writes the effects anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import Consumer, a_driver, owned
from tests.harness.consumer_story import Story

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
REWRITE = os.environ.get("PYKBROKER_REWRITE") == "1"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_group_behaves_as_its_script_says(path: Path) -> None:
    performed = Story().perform(path.read_text())
    if REWRITE:
        path.write_text(performed)
    assert performed == path.read_text()


def test_a_heartbeat_that_says_nothing_new_writes_nothing() -> None:
    driver = a_driver(t=2)
    member = Consumer(driver, "a", "t")
    member.join()
    member.beat()
    written = len(driver.log)
    assert member.beat().assignment is None
    assert len(driver.log) == written


def test_a_full_heartbeat_is_told_the_assignment_again() -> None:
    member = Consumer(a_driver(t=2), "a", "t")
    member.join()
    answer = member.confirm(rebalance_timeout_ms=5, subscribed_topic_names=["t"])
    assert answer.assignment is not None
    assert member.has() == {"t": [0, 1]}


def test_the_next_assignment_waits_for_the_interval() -> None:
    driver = a_driver(GroupSettings(), t=2)
    first, second = Consumer(driver, "a", "t"), Consumer(driver, "b", "t")
    assert first.join().member_epoch == 2
    assert second.join().member_epoch == 2
    assert driver.consumer_group().state.value == "Assigning"
    driver.advance(1_000)
    second.beat()
    first.beat()
    first.confirm()
    second.beat()
    assert (first.has(), second.has()) == ({"t": [0]}, {"t": [1]})


def test_an_old_client_is_given_a_member_id() -> None:
    member = Consumer(a_driver(t=1), "", "t")
    assert member.join().member_id == "1"


def test_a_full_group_takes_nobody_new() -> None:
    driver = a_driver(GroupSettings(consumer=ConsumerGroupSettings(max_size=1)), t=1)
    member = Consumer(driver, "a", "t")
    member.join()
    with pytest.raises(KafkaError) as refusal:
        Consumer(driver, "b", "t").join()
    assert refusal.value.code is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert member.join().member_epoch == 2


def test_a_lost_answer_does_not_cost_the_membership() -> None:
    driver = a_driver(t=2)
    first = Consumer(driver, "a", "t")
    first.join()
    Consumer(driver, "b", "t").join()
    first.beat()
    first.confirm()
    told = first.beat(member_epoch=2, topic_partitions=owned(t=[0]))
    assert told.member_epoch == 3
    with pytest.raises(KafkaError) as refusal:
        first.beat(member_epoch=2, topic_partitions=owned(t=[0, 1]))
    assert refusal.value.code is ErrorCode.FENCED_MEMBER_EPOCH
