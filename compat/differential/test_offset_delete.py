"""OffsetDelete: offsets that nobody needs, and those that members still consume."""

from compat.differential.cases import case
from compat.differential.group_members import Member, describe, stable_group, subscription
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit, fetch
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)


def delete(session: Session, group_id: str, *topics: tuple[str, list[int]]) -> None:
    asked = [
        OffsetDeleteRequestTopic(name, [OffsetDeleteRequestPartition(index) for index in indexes])
        for name, indexes in topics
    ]
    # What is refused comes in the order of a hash map.
    session.send(
        OffsetDeleteRequest(group_id=group_id, topics=asked),
        0,
        sort={"topics": "name", "partitions": "partition_index"},
    )


@case(OffsetDeleteRequest)
def test_simple_group(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t", 2), names.add("u"), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0, 1]), (other, [0])])
    delete(session, group, (topic, [0, 9]), (session.name("unknown"), [0, 1]), (other, []))
    fetch(session, names, NEWEST_BY_NAME, group)
    delete(session, group, (topic, [0]))
    delete(session, group, (topic, [1, 1]))
    delete(session, group, (other, [0]), (other, [0]))
    fetch(session, names, NEWEST_BY_NAME, group)
    describe(session, group)
    delete(session, group, (topic, [0]))


@case(OffsetDeleteRequest)
def test_nothing(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
    delete(session, group)
    delete(session, group, (topic, []))
    delete(session, group, (topic, [-1]))
    delete(session, group, ("", [0]), ("a/b", [0]))
    delete(session, group, (session.name("unknown"), []))
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetDeleteRequest)
def test_missing_group(session: Session, version: int) -> None:
    topic, missing = session.create_topic(), session.name("missing")
    for group in (missing, ""):
        delete(session, group, (topic, [0]))
        delete(session, group, (session.name("unknown"), [0]))
        delete(session, group)
    describe(session, missing)


@case(OffsetDeleteRequest)
def test_subscribed_topics(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other = names.add("t", 2), names.add("u")
    member = Member(session, session.name("group"), protocols={"range": subscription(topic)})
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0]), (other, [0])])
    member.get_id()
    delete(session, member.group_id, (topic, [1]))
    member.join()
    delete(session, member.group_id, (topic, [0]), (other, [5]))
    member.assign(member)
    delete(session, member.group_id, (topic, [0, 9]), (other, [0]), (session.name("no"), [2]))
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
    member.leave()
    delete(session, member.group_id, (topic, [0]))
    fetch(session, names, NEWEST_BY_NAME, member.group_id)


@case(OffsetDeleteRequest)
def test_subscriptions_in_a_rebalance(session: Session, version: int) -> None:
    """Until the join phase is over the subscriptions of the last generation count."""
    names = TopicNames(session)
    topic, other = names.add("t"), names.add("u")
    protocols = {"range": subscription(topic)}
    (member,) = stable_group(session, session.name("group"), protocols=protocols)
    newcomer = Member(session, member.group_id, "b", protocols={"range": subscription(other)})
    entering = newcomer.begin_enter()
    both = [(topic, [at(1)]), (other, [at(2)])]
    commit(
        session,
        names,
        NEWEST_BY_NAME,
        member.group_id,
        both,
        member_id=member.member_id,
        generation_id_or_member_epoch=member.generation_id,
    )
    delete(session, member.group_id, (topic, [0]), (other, [0]))
    fetch(session, names, NEWEST_BY_NAME, member.group_id)
    member.join()
    newcomer.joined(entering)
    delete(session, member.group_id, (topic, [0]), (other, [0]))
    newcomer.leave()
    delete(session, member.group_id, (topic, [0]), (other, [0]))
    member.leave()
    delete(session, member.group_id, (topic, [0]), (other, [0]))
    fetch(session, names, NEWEST_BY_NAME, member.group_id)


@case(OffsetDeleteRequest)
def test_subscriptions_that_cannot_be_read(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    for number, metadata in enumerate((b"", b"\x00", b"xx")):
        protocols = {"range": metadata}
        (member,) = stable_group(session, session.name(f"group-{number}"), protocols=protocols)
        delete(session, member.group_id, (topic, [0]))
        member.leave()
        delete(session, member.group_id, (topic, [0]))


@case(OffsetDeleteRequest)
def test_newer_subscriptions(session: Session, version: int) -> None:
    """Version 3 of a subscription, with owned partitions, a generation and a rack."""
    names = TopicNames(session)
    topic, other = names.add("t"), names.add("u")
    name = len(topic).to_bytes(2, "big") + topic.encode()
    topics, owned = b"\0\0\0\1" + name, b"\0\0\0\1" + name + b"\0\0\0\1\0\0\0\0"
    metadata = b"\0\3" + topics + b"\0\0\0\2xx" + owned + b"\0\0\0\5" + b"\0\4rack"
    (member,) = stable_group(session, session.name("group"), protocols={"range": metadata})
    delete(session, member.group_id, (topic, [0]), (other, [0]))
    (future,) = stable_group(
        session, session.name("future"), protocols={"range": b"\0\x7f" + metadata[2:] + b"more"}
    )
    delete(session, future.group_id, (topic, [0]), (other, [0]))


@case(OffsetDeleteRequest)
def test_group_of_another_protocol_type(session: Session, version: int) -> None:
    topic = session.create_topic()
    protocols = {"eager": subscription(topic)}
    (worker,) = stable_group(
        session, session.name("group"), protocol_type="connect", protocols=protocols
    )
    delete(session, worker.group_id, (topic, [0]))
    delete(session, worker.group_id)
    worker.leave()
    delete(session, worker.group_id, (topic, [0]))
