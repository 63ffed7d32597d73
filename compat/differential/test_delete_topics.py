"""DeleteTopics: by name, and from v6 on by id."""

from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.primitives import NULL_UUID

BY_ID = 6
# Kafka answers in no order at all.
SORTED = {"responses": "error_code"}
UNKNOWN_ID = bytes(15) + b"\x77"


def by_name(session: Session, version: int, *names: str, timeout_ms: int = 30_000) -> None:
    if version < BY_ID:
        request = DeleteTopicsRequest(topic_names=list(names), timeout_ms=timeout_ms)
    else:
        topics = [DeleteTopicState(name=name) for name in names]
        request = DeleteTopicsRequest(topics=topics, timeout_ms=timeout_ms)
    session.send(request, version, sort={"responses": "name"})


def delete(session: Session, *topics: tuple[str | None, bytes]) -> None:
    asked = [DeleteTopicState(name=name, topic_id=topic_id) for name, topic_id in topics]
    session.send(DeleteTopicsRequest(topics=asked, timeout_ms=30_000), BY_ID, sort=SORTED)


def look(session: Session, names: Sequence[str]) -> None:
    asked = [MetadataRequestTopic(name=name) for name in names]
    request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
    session.send(request, 12, sort={"topics": "name"})


@case(DeleteTopicsRequest)
def test_by_name(session: Session, version: int) -> None:
    first, second = session.create_topic("a", 2), session.create_topic("b")
    by_name(session, version, first, second)
    session.await_no_topic(first, second)
    look(session, [first, second])
    by_name(session, version, first)


@case(DeleteTopicsRequest)
def test_unknown(session: Session, version: int) -> None:
    kept = session.create_topic()
    by_name(session, version, session.name("unknown"), "", "a b", "x" * 250)
    by_name(session, version)
    look(session, [kept])


@case(DeleteTopicsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    twice, once = session.create_topic("twice"), session.create_topic("once")
    by_name(session, version, twice, once, twice)
    by_name(session, version, session.name("unknown"), session.name("unknown"))
    session.await_no_topic(once)
    look(session, [twice])


@case(DeleteTopicsRequest)
def test_internal_names(session: Session, version: int) -> None:
    """Not one that is there: it can be deleted."""
    by_name(session, version, "__cluster_metadata")


@case(DeleteTopicsRequest)
def test_timeouts(session: Session, version: int) -> None:
    name = session.create_topic()
    for timeout_ms in (0, -1):
        by_name(session, version, name, "a b", timeout_ms=timeout_ms)
    look(session, [name])


@case(DeleteTopicsRequest)
def test_made_again(session: Session, version: int) -> None:
    name = session.create_topic("t", 3)
    before = session.topic_id(name)
    by_name(session, version, name)
    session.await_no_topic(name)
    session.create_topic("t", 1)
    session.note("another id", session.topic_id(name) != before)
    look(session, [name])


@case(DeleteTopicsRequest, versions=(BY_ID,))
def test_by_id(session: Session, version: int) -> None:
    name = session.create_topic()
    topic_id = session.topic_id(name)
    delete(session, (None, topic_id))
    session.await_no_topic(name)
    delete(session, (None, topic_id))
    delete(session, (None, UNKNOWN_ID))
    delete(session, (None, bytes(15) + b"\x01"))  # Kafka's own metadata topic


@case(DeleteTopicsRequest, versions=(BY_ID,))
def test_name_and_id(session: Session, version: int) -> None:
    name, other = session.create_topic(), session.create_topic("other")
    topic_id = session.topic_id(name)
    delete(session, (name, topic_id))
    delete(session, (other, topic_id))
    delete(session, (name, UNKNOWN_ID))
    delete(session, (None, NULL_UUID))
    delete(session, (None, NULL_UUID), (None, NULL_UUID))
    look(session, [name, other])


@case(DeleteTopicsRequest, versions=(BY_ID,))
def test_the_same_topic_in_two_ways(session: Session, version: int) -> None:
    name = session.create_topic()
    topic_id = session.topic_id(name)
    delete(session, (name, NULL_UUID), (None, topic_id))
    delete(session, (None, topic_id), (None, topic_id))
    delete(session, (None, UNKNOWN_ID), (None, UNKNOWN_ID))
    look(session, [name])


@case(DeleteTopicsRequest, versions=(BY_ID,))
def test_good_and_bad_together(session: Session, version: int) -> None:
    first, second = session.create_topic("a"), session.create_topic("b")
    ids = session.topic_id(first), session.topic_id(second)
    unknown = session.name("unknown")
    delete(session, (first, NULL_UUID), (unknown, NULL_UUID), (second, ids[1]), (None, UNKNOWN_ID))
    session.await_no_topic(first)
    look(session, [first, second])
