"""Offsets that open transactions have committed: read, deleted, and gone with group or topic."""

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import Consumer, joined_when_assigned
from compat.differential.group_members import describe, stable_group, subscription
from compat.differential.group_offsets import (
    FIRST_FETCH_OF_STABLE,
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    fetch,
)
from compat.differential.pairs import SETTINGS
from compat.differential.session import Session
from compat.differential.test_offset_delete import delete
from compat.differential.test_write_txn_markers import marker, write
from compat.differential.transactions import ABORT, COMMIT, Transactional
from compat.differential.txn_offsets import commit_offsets, end, look
from compat.processes import eventually
from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.offset_delete import OffsetDeleteRequest
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from pykbroker.protocol.messages.write_txn_markers import WriteTxnMarkersRequest

NEWEST, OLDER = 5, 4
BOTH = (COMMIT, ABORT)


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


@case(OffsetFetchRequest, versions=range(FIRST_FETCH_OF_STABLE, 11))
def test_who_wants_it_stable_must_wait(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, other, group = names.add("t", 3), names.add("u"), session.name("group")
    missing = session.name("missing")

    def fetch_all() -> None:
        for is_stable in (False, True):
            for topics in (None, [(topic, [2, 0, 1, 7]), (other, [0])]):
                fetch(session, names, version, group, topics, require_stable=is_stable)
                fetch(session, names, version, missing, topics, require_stable=is_stable)

    commit(session, names, NEWEST_BY_NAME, group, [(topic, [at(1), at(1, 1)])])
    commit_offsets(producer, NEWEST, group, [(topic, [at(2, 1), at(2, 2)])])
    fetch_all()
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [at(3, 1)])])
    fetch_all()
    end(producer, NEWEST, COMMIT)
    fetch_all()


@case(OffsetFetchRequest, versions=range(8, 11))
def test_of_a_deleted_and_made_again_topic(session: Session, version: int) -> None:
    """The offset of a transaction does not say of which incarnation of a topic it is."""
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    commit_offsets(producer, NEWEST, group, [(topic, [at(2)])])
    end(producer, NEWEST, COMMIT)
    for is_stable in (False, True):
        fetch(session, names, version, group, None, require_stable=is_stable)
        fetch(session, names, version, group, [(topic, [0])], require_stable=is_stable)


@case(OffsetFetchRequest, versions=(9,))
def test_of_members(session: Session, version: int) -> None:
    """Who may not read hears that first."""
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    member = Consumer(session, group, topics=[topic])
    joined_when_assigned(session, member)
    said = {"member_id": member.member_id, "generation_id": member.epoch}
    commit_offsets(producer, NEWEST, group, [(topic, [0])], **said)
    for epoch in (member.epoch, member.epoch + 1):
        for topics in (None, [(topic, [0])]):
            told = {"member_id": member.member_id, "member_epoch": epoch}
            fetch(session, names, version, group, topics, require_stable=True, **told)
    end(producer, NEWEST, COMMIT)
    fetch(session, names, version, group, [(topic, [0])], require_stable=True)


@case(OffsetDeleteRequest)
def test_offset_delete(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 3), session.name("group")
    offsets = [(topic, [0, 1, 2])]
    for committed in BOTH:
        commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
        commit_offsets(producer, NEWEST, group, [(topic, [at(8), at(8, 1), at(8, 2)])])
        delete(session, group, (topic, [0, 1]))
        look(session, names, group, offsets)
        commit_offsets(producer, NEWEST, group, [(topic, [at(9, 1)])])
        end(producer, NEWEST, committed)
        look(session, names, group, offsets)
    describe(session, group)


@case(OffsetDeleteRequest)
def test_offset_delete_under_two_producers(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    first, second = Transactional(session, "first"), Transactional(session, "second")
    for producer in (first, second):
        commit_offsets(producer, NEWEST, group, [(topic, [at(8)])])
    delete(session, group, (topic, [0]))
    look(session, names, group, [(topic, [0])])
    commit_offsets(second, NEWEST, group, [(topic, [at(9)])])
    end(first, NEWEST, COMMIT)
    look(session, names, group, [(topic, [0])])
    end(second, NEWEST, COMMIT)
    look(session, names, group, [(topic, [0])])


@case(DeleteGroupsRequest)
def test_delete_groups(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic = names.add("t", 2)
    for number, committed in enumerate(BOTH):
        for label in ("pending", "committed"):
            group = session.name(f"{label}-{number}")
            if label == "committed":
                commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
            commit_offsets(producer, NEWEST, group, [(topic, [at(8), at(8, 1)])])
            session.send(DeleteGroupsRequest(groups_names=[group]), version)
            describe(session, group)
            look(session, names, group, [(topic, [0, 1])])
        end(producer, NEWEST, committed)
        for label in ("pending", "committed"):
            group = session.name(f"{label}-{number}")
            look(session, names, group, [(topic, [0, 1])])
            describe(session, group)


@case(DeleteGroupsRequest)
def test_a_deleted_group_comes_back_with_the_next_commit(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 2), session.name("group")
    commit_offsets(producer, NEWEST, group, [(topic, [at(8), at(8, 1)])])
    session.send(DeleteGroupsRequest(groups_names=[group]), version)
    commit_offsets(producer, NEWEST, group, [(topic, [at(9, 1)])])
    end(producer, NEWEST, COMMIT)
    look(session, names, group, [(topic, [0, 1])])
    describe(session, group)


@case(DeleteTopicsRequest, versions=(6,))
def test_delete_topics(session: Session, version: int) -> None:
    for committed in BOTH:
        names, producer = TopicNames(session), Transactional(session, str(committed))
        topic, kept = names.add(f"t-{committed}"), names.add(f"kept-{committed}")
        group = session.name(f"group-{committed}")
        commit_offsets(producer, NEWEST, group, [(topic, [at(8)]), (kept, [at(8)])])
        session.ask(
            DeleteTopicsRequest(topics=[DeleteTopicState(name=topic)], timeout_ms=30_000), version
        )
        session.await_no_topic(topic)
        await_stable(session, group, topic)
        look(session, names, group, [(topic, [0]), (kept, [0])])
        end(producer, NEWEST, committed)
        look(session, names, group, [(topic, [0]), (kept, [0])])


def await_stable(session: Session, group_id: str, topic: str) -> None:
    """Return when nothing is pending for partition 0 of a topic."""
    asked = [OffsetFetchRequestTopics(name=topic, partition_indexes=[0])]
    request = OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group_id=group_id, topics=asked)], require_stable=True
    )

    def is_stable() -> bool:
        (group,) = session.ask(request, NEWEST_BY_NAME).groups
        return bool(group.topics[0].partitions[0].error_code == ErrorCode.NONE)

    eventually(is_stable, what=f"the end of what is pending for {topic}")


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_a_consumer_group_takes_the_place_of_a_simple_one(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    for offset, committed in enumerate((COMMIT, ABORT, COMMIT)):
        commit_offsets(producer, NEWEST, group, [(topic, [at(offset)])])
        member = Consumer(session, group, f"m{offset}", topics=[topic])
        joined_when_assigned(session, member)
        look(session, names, group, [(topic, [0])])
        end(producer, NEWEST, committed)
        look(session, names, group, [(topic, [0])])
        member.leave()


@case(ConsumerGroupHeartbeatRequest, versions=(1,))
def test_groups_change_their_kind_while_something_is_pending(
    session: Session, version: int
) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    (member,) = stable_group(session, group, protocols={"range": subscription(topic)})
    said = {"member_id": member.member_id, "generation_id": member.generation_id}
    commit_offsets(producer, NEWEST, group, [(topic, [at(1)])], **said)
    member.leave()
    consumer = Consumer(session, group, topics=[topic])
    joined_when_assigned(session, consumer)
    look(session, names, group, [(topic, [0])])
    consumer.leave()
    (member,) = stable_group(session, group, protocols={"range": subscription(topic)})
    look(session, names, group, [(topic, [0])])
    end(producer, NEWEST, COMMIT)
    look(session, names, group, [(topic, [0])])


@case(WriteTxnMarkersRequest)
def test_markers_from_outside(session: Session, version: int) -> None:
    """What an administrator does with a transaction that hangs ends what is pending too."""
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    index = partition_for(group, int(SETTINGS["offsets.topic.num.partitions"]))
    place = ("__consumer_offsets", [index])
    for offset, committed in enumerate(BOTH):
        producer = Transactional(session, str(committed))
        producer.init()
        producer.add_group(group)
        commit_offsets(producer, OLDER, group, [(topic, [at(offset), at(offset, 1)])])
        named = (producer.producer_id, producer.epoch)
        old = marker(version, named[0], named[1] - 1, committed, place)
        write(session, version, old)
        look(session, names, group, [(topic, [0, 1])])
        write(session, version, marker(version, *named, committed, place))
        look(session, names, group, [(topic, [0, 1])])
        write(session, version, marker(version, *named, not committed, place))
        look(session, names, group, [(topic, [0, 1])])
        producer.describe()
        # Its coordinator takes the transaction for open.
        commit_offsets(producer, OLDER, group, [(topic, [at(offset + 10)])])
        look(session, names, group, [(topic, [0, 1])])
        end(producer, OLDER, committed)
        look(session, names, group, [(topic, [0, 1])])
    unknown = marker(version, 1_000_000, 0, COMMIT, ("__consumer_offsets", [index, 1_000]))
    write(session, version, unknown)
