"""Consumer groups at brokers with other settings."""

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import Consumer
from compat.differential.group_members import Member, stable_group
from compat.differential.session import Session
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest


@pytest.fixture(scope="module")
def pair(other_pair: Pair) -> Pair:
    return other_pair


@case(ConsumerGroupHeartbeatRequest)
def test_full_group(session: Session, version: int) -> None:
    first = Consumer(session, session.name("group"), topics=[], version=version)
    first.join()
    second = Consumer(session, first.group_id, "b", topics=[], version=version)
    second.join()
    second.beat(member_epoch=1)
    first.join()
    first.beat()
    first.leave()
    second.join()


@case(ConsumerGroupHeartbeatRequest)
def test_next_assignment_waits(session: Session, version: int) -> None:
    first = Consumer(session, session.name("group"), topics=[session.name("no")], version=version)
    first.join()
    first.beat(subscribed_topic_names=[session.name("other")])
    first.beat()


@case(JoinGroupRequest)
def test_protocols_that_do_not_mix(session: Session, version: int) -> None:
    consumer = Consumer(session, session.name("group"), topics=[])
    consumer.join()
    Member(session, consumer.group_id).join(version)
    (classic,) = stable_group(session, session.name("classic"))
    Consumer(session, classic.group_id, topics=[]).join()
