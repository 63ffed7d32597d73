"""ConsumerGroupHeartbeat: joining, staying, being told, and everything that may be wrong."""

from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import (
    FIRST_WITH_REGEX,
    JOIN,
    LEAVE,
    STATIC_LEAVE,
    Consumer,
    a_topic,
    describe,
)
from compat.differential.session import Session
from compat.processes import eventually
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


def a_member(session: Session, version: int, partitions: int = 4) -> Consumer:
    topic = a_topic(session, partitions=partitions)
    member = Consumer(session, session.name("group"), topics=[topic], version=version)
    member.join()
    return member


def a_second(first: Consumer, name: str = "b") -> Consumer:
    return Consumer(first.session, first.group_id, name, topics=first.topics, version=first.version)


@case(ConsumerGroupHeartbeatRequest)
def test_one_member(session: Session, version: int) -> None:
    member = a_member(session, version)
    member.confirm()
    member.beat()
    describe(session, member.group_id)
    member.leave()
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_topics_that_do_not_exist(session: Session, version: int) -> None:
    member = Consumer(session, session.name("group"), topics=[session.name("no")], version=version)
    member.join()
    member.beat()
    member = Consumer(session, session.name("empty"), topics=[], version=version)
    member.join()
    member.beat()
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_two_members_share(session: Session, version: int) -> None:
    first = a_member(session, version)
    second = a_second(first)
    second.join()
    describe(session, first.group_id)
    first.beat()
    second.beat()
    describe(session, first.group_id)
    first.confirm()
    first.beat()
    second.beat()
    second.confirm()
    describe(session, first.group_id)
    first.leave()
    second.beat()
    second.beat()
    describe(session, first.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_malformed(session: Session, version: int) -> None:
    topic = a_topic(session)
    member = Consumer(session, session.name("group"), topics=[topic], version=version)
    joining: tuple[dict[str, Any], ...] = (
        {"group_id": ""},
        {"group_id": " "},
        {"instance_id": ""},
        {"rack_id": ""},
        {"rebalance_timeout_ms": -1},
        {"topic_partitions": None},
        {"topic_partitions": [TopicPartitions(bytes(15) + b"x", [0])]},
        {"subscribed_topic_names": None},
        {"server_assignor": "other"},
        {"server_assignor": ""},
        {"server_assignor": "Uniform"},
        {"group_id": "", "member_id": "", "server_assignor": "other"},
        {"rebalance_timeout_ms": -1, "topic_partitions": None},
    )
    for changes in joining:
        session.send(member.joining(**changes), version)
    steady: tuple[dict[str, Any], ...] = (
        {"member_epoch": 1, "member_id": ""},
        {"member_epoch": LEAVE, "member_id": ""},
        {"member_epoch": STATIC_LEAVE},
        {"member_epoch": STATIC_LEAVE, "instance_id": ""},
        {"member_epoch": -3},
        {"member_epoch": -(2**31)},
        {"member_epoch": 1, "server_assignor": "other"},
    )
    for changes in steady:
        session.send(member.request(**changes), version)
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_member_id_is_the_clients(session: Session, version: int) -> None:
    member = a_member(session, version)
    session.send(member.joining(member_id=""), version)
    session.send(member.joining(member_id=" "), version)


@case(ConsumerGroupHeartbeatRequest, versions=(0,))
def test_member_id_may_be_the_brokers(session: Session, version: int) -> None:
    member = a_member(session, version)
    member.join(member_id="")
    member.beat()
    member.leave()


@case(ConsumerGroupHeartbeatRequest)
def test_epochs_that_are_fenced(session: Session, version: int) -> None:
    member = a_member(session, version)
    for epoch in (1, member.epoch + 1, member.epoch + 2, 2**31 - 1):
        session.send(member.request(member_epoch=epoch), version)
        session.send(member.request(member_epoch=epoch, topic_partitions=[]), version)
    for changes in (
        {"member_id": "stranger"},
        {"member_id": "stranger", "member_epoch": LEAVE},
        {"group_id": session.name("missing")},
        {"group_id": session.name("missing"), "member_epoch": LEAVE},
    ):
        session.send(member.request(**changes), version)
    member.beat()


@case(ConsumerGroupHeartbeatRequest)
def test_answer_that_was_lost(session: Session, version: int) -> None:
    first = a_member(session, version)
    second = a_second(first)
    second.join()
    before = first.epoch
    first.beat()
    first.confirm()
    owned = list(first.owned)
    session.send(first.request(member_epoch=before), version)
    session.send(first.request(member_epoch=before, topic_partitions=owned), version)
    wrong = [TopicPartitions(owned[0].topic_id, [0, 1, 2, 3])]
    session.send(first.request(member_epoch=before, topic_partitions=wrong), version)
    session.send(first.request(member_epoch=before, topic_partitions=[]), version)
    unknown = [TopicPartitions(bytes(15) + b"x", [])]
    session.send(first.request(member_epoch=before, topic_partitions=unknown), version)


@case(ConsumerGroupHeartbeatRequest)
def test_joining_again(session: Session, version: int) -> None:
    member = a_member(session, version)
    member.join()
    member.join(rebalance_timeout_ms=member.rebalance_timeout_ms + 1)
    second = a_second(member)
    second.join()
    member.join()
    second.beat()
    second.join()
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_full_heartbeat(session: Session, version: int) -> None:
    member = a_member(session, version)
    full = {
        "rebalance_timeout_ms": member.rebalance_timeout_ms,
        "subscribed_topic_names": member.topics,
        "topic_partitions": member.owned,
    }
    member.beat(**full)
    for missing in full:
        member.beat(**{name: value for name, value in full.items() if name != missing})


@case(ConsumerGroupHeartbeatRequest)
def test_subscription_changes(session: Session, version: int) -> None:
    member = a_member(session, version, partitions=2)
    other = a_topic(session, "u", partitions=3)
    member.beat(subscribed_topic_names=[*(member.topics or []), other])
    member.confirm()
    member.beat(subscribed_topic_names=[other])
    describe(session, member.group_id)
    member.confirm()
    member.beat(subscribed_topic_names=[])
    member.confirm()
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_assignors(session: Session, version: int) -> None:
    topic = a_topic(session, partitions=5)
    group = session.name("group")
    first = Consumer(session, group, "a", topics=[topic], version=version)
    second = Consumer(session, group, "b", topics=[topic], version=version)
    first.join(server_assignor="range")
    second.join(server_assignor="range")
    describe(session, group)
    first.beat()
    first.confirm()
    second.beat()
    first.beat(server_assignor="uniform")
    second.beat(server_assignor="uniform")
    describe(session, group)


@case(ConsumerGroupHeartbeatRequest)
def test_static_member_goes_and_comes_back(session: Session, version: int) -> None:
    topic = a_topic(session)
    group = session.name("group")
    elder = Consumer(session, group, "a", topics=[topic], instance_id="i", version=version)
    second = Consumer(session, group, "b", topics=[topic], instance_id="i", version=version)
    elder.join()
    second.join()
    session.send(second.request(member_epoch=1), version)
    second.leave(STATIC_LEAVE)
    second.leave()
    elder.leave(STATIC_LEAVE)
    describe(session, group)
    elder.beat()
    second.join()
    describe(session, group)
    elder.beat()
    elder.leave()
    second.confirm()
    second.leave()
    describe(session, group)
    session.send(second.request(member_epoch=1, instance_id="j"), version)


@case(ConsumerGroupHeartbeatRequest, versions=(FIRST_WITH_REGEX,))
def test_regular_expressions_that_are_none(session: Session, version: int) -> None:
    group = session.name("group")
    member = Consumer(session, group, regex="", version=version)
    for regex in ("[", "(", "a**", "(?=a)", "*"):
        session.send(member.joining(subscribed_topic_regex=regex), version)
    describe(session, group)
    member.join()
    describe(session, group)


@case(ConsumerGroupHeartbeatRequest)
def test_group_that_was_empty(session: Session, version: int) -> None:
    member = a_member(session, version)
    member.leave()
    second = a_second(member)
    second.join()
    second.confirm()
    describe(session, member.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_member_that_does_not_let_go(session: Session, version: int) -> None:
    first = a_member(session, version)
    second = a_second(first)
    second.join()
    everything = list(first.owned)
    first.beat(topic_partitions=everything)
    first.beat(topic_partitions=everything)
    second.beat()
    second.leave()
    first.beat(topic_partitions=everything)
    first.confirm()
    describe(session, first.group_id)


@case(ConsumerGroupHeartbeatRequest)
def test_epoch_zero_is_joining(session: Session, version: int) -> None:
    member = a_member(session, version)
    session.send(member.request(member_epoch=JOIN), version)


@case(ConsumerGroupHeartbeatRequest, versions=(FIRST_WITH_REGEX,))
def test_regular_expression(session: Session, version: int) -> None:
    topic = a_topic(session, "matched")
    group = session.name("group")
    member = Consumer(session, group, regex=f"{topic[:-3]}.+", version=version)
    member.join()
    _await_epoch(session, member, 2)
    member.beat()
    second = Consumer(session, group, "b", regex=member.regex, version=version)
    second.join()
    describe(session, group)
    second.leave()
    member.beat(subscribed_topic_regex="", subscribed_topic_names=[topic])
    describe(session, group)


def _await_epoch(session: Session, member: Consumer, epoch: int) -> None:
    """Wait until an expression, which is resolved in the background, has its topics."""
    full = member.request(
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        subscribed_topic_regex=member.regex,
        topic_partitions=[],
    )
    eventually(
        lambda: session.ask(full, member.version).member_epoch == epoch,
        what=f"member epoch {epoch}",
    )
    member.epoch = epoch
