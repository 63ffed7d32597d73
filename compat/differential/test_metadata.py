"""Metadata: brokers and topics, by name and by id, and topics made by asking for them."""

from collections.abc import Sequence
from typing import Any

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.primitives import NULL_UUID

FIRST_BY_ID = 10
FIRST_WITHOUT_CREATION = 4
FIRST_WITH_OPERATIONS = 8
NO_CREATION = range(FIRST_WITHOUT_CREATION, 14)
BY_ID = range(FIRST_BY_ID, 14)
ORDER = {"topics": "name", "partitions": "partition_index"}
UNKNOWN_ID = bytes(15) + b"\x77"


def named(*names: str) -> list[MetadataRequestTopic]:
    return [MetadataRequestTopic(name=name) for name in names]


def ask(
    session: Session,
    version: int,
    topics: Sequence[MetadataRequestTopic] | None,
    *,
    may_create: bool = False,
    **flags: bool,
) -> Any:
    request = MetadataRequest(
        topics=None if topics is None else list(topics),
        allow_auto_topic_creation=may_create,
        **flags,
    )
    return session.send(request, version, sort=ORDER)


@case(MetadataRequest)
def test_one_topic(session: Session, version: int) -> None:
    ask(session, version, named(session.create_topic("t", 3)))


@case(MetadataRequest)
def test_no_topic(session: Session, version: int) -> None:
    """An empty list is none, but all in v0."""
    if version > 0:
        ask(session, version, [])


@case(MetadataRequest)
def test_all_topics(session: Session, version: int) -> None:
    """Only those of this case: the others come and go."""
    names = {session.create_topic("a", 2), session.create_topic("b")}
    answer = session.ask(MetadataRequest(topics=None if version else []), version)
    found = [topic for topic in answer.topics if topic.name in names]
    session.note("topics", sorted(found, key=lambda topic: str(topic.name)))
    internal = [topic for topic in answer.topics if topic.name == "__consumer_offsets"]
    session.note("internal", [(topic.is_internal, len(topic.partitions)) for topic in internal])


@case(MetadataRequest, versions=NO_CREATION)
def test_unknown(session: Session, version: int) -> None:
    known = session.create_topic()
    ask(session, version, named(session.name("unknown"), known))


@case(MetadataRequest, versions=NO_CREATION)
def test_bad_names(session: Session, version: int) -> None:
    for name in ("a b", ".", "..", "x" * 250, "ü"):
        ask(session, version, named(name))


@case(MetadataRequest)
def test_bad_names_that_may_be_made(session: Session, version: int) -> None:
    for name in ("a b", ".", "..", "x" * 250, "ü"):
        ask(session, version, named(name), may_create=True)


@case(MetadataRequest)
def test_empty_name(session: Session, version: int) -> None:
    ask(session, version, named(""), may_create=True)


@case(MetadataRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    first, second = session.create_topic("a"), session.create_topic("b")
    ask(session, version, named(first, second, first), may_create=True)


@case(MetadataRequest)
def test_made_by_asking(session: Session, version: int) -> None:
    """Kafka has it at the next request, and says so by UNKNOWN_TOPIC_OR_PARTITION."""
    name = session.name()
    session.ask(MetadataRequest(topics=named(name)), version)
    session.await_topic(name, 2)
    ask(session, version, named(name), may_create=True)


@case(MetadataRequest, versions=NO_CREATION)
def test_not_made_by_asking(session: Session, version: int) -> None:
    name = session.name()
    ask(session, version, named(name))
    ask(session, version, named(name))


@case(MetadataRequest, versions=(0, 4, 9, 13))
def test_collisions_are_not_made(session: Session, version: int) -> None:
    stem = session.name()
    session.ask(MetadataRequest(topics=named(f"{stem}.a")), 9)
    session.await_topic(f"{stem}.a", 2)
    ask(session, version, named(f"{stem}_a"), may_create=True)
    ask(session, 9, named(f"{stem}_a"))


@case(MetadataRequest, versions=NO_CREATION)
def test_internal_names(session: Session, version: int) -> None:
    ask(session, version, named("__consumer_offsets"))
    ask(session, version, named("__cluster_metadata"))


@case(MetadataRequest, versions=range(FIRST_WITH_OPERATIONS, 14))
def test_operations_on_topics(session: Session, version: int) -> None:
    topics = named(session.create_topic(), session.name("unknown"))
    for wanted in (True, False):
        ask(session, version, topics, include_topic_authorized_operations=wanted)
    ask(session, version, named("a b"), include_topic_authorized_operations=True)


@case(MetadataRequest, versions=range(FIRST_WITH_OPERATIONS, FIRST_BY_ID + 1))
def test_operations_on_the_cluster(session: Session, version: int) -> None:
    for wanted in (True, False):
        ask(session, version, [], include_cluster_authorized_operations=wanted)


@case(MetadataRequest, versions=range(FIRST_BY_ID + 2, 14))
def test_by_id(session: Session, version: int) -> None:
    first, second = session.create_topic("a", 2), session.create_topic("b")
    ids = session.topic_id(first), session.topic_id(second)

    def by_id(*topics: tuple[str | None, bytes]) -> None:
        asked = [MetadataRequestTopic(name=name, topic_id=topic_id) for name, topic_id in topics]
        ask(session, version, asked, may_create=True)

    by_id((None, ids[0]))
    by_id((None, ids[0]), (None, ids[1]))
    by_id((None, ids[0]), (None, ids[0]))
    by_id((first, ids[0]))
    by_id((second, ids[0]))
    by_id((first, NULL_UUID), (None, ids[1]))
    by_id((None, ids[0]), (session.name("unknown"), NULL_UUID))


@case(MetadataRequest, versions=range(FIRST_BY_ID + 2, 14))
def test_unknown_ids(session: Session, version: int) -> None:
    name = session.create_topic()
    topic_id = session.topic_id(name)
    unknown = MetadataRequestTopic(name=None, topic_id=UNKNOWN_ID)
    for topics in (
        [unknown],
        [MetadataRequestTopic(name=name, topic_id=UNKNOWN_ID)],
        [unknown, MetadataRequestTopic(name=None, topic_id=topic_id)],
        [unknown, *named(name)],
        [unknown, unknown],
        [MetadataRequestTopic(name=None, topic_id=bytes(15) + b"\x01")],
    ):
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        session.send(request, version, sort={"topics": "topic_id"})


@case(MetadataRequest, versions=BY_ID)
def test_neither_name_nor_id(session: Session, version: int) -> None:
    ask(session, version, [MetadataRequestTopic(name=None)])


@case(MetadataRequest, versions=(FIRST_BY_ID, FIRST_BY_ID + 1))
def test_ids_before_they_may_be_asked_for(session: Session, version: int) -> None:
    name = session.create_topic()
    topic_id = session.topic_id(name)
    ask(session, version, [MetadataRequestTopic(name=None, topic_id=topic_id)])
    ask(session, version, [MetadataRequestTopic(name=name, topic_id=topic_id)])
