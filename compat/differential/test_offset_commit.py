"""OffsetCommit by nobody in particular: what is taken, and what is refused by itself."""

from compat.differential.cases import case
from compat.differential.data_plane import fetch_request, fetch_topic, wanted
from compat.differential.group_members import describe
from compat.differential.group_offsets import (
    FIRST_COMMIT_BY_ID,
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    delete_topic,
    fetch,
)
from compat.differential.pairs import SETTINGS
from compat.differential.session import Session
from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.protocol.messages.fetch import FetchResponse
from pykbroker.protocol.messages.fetch import PartitionData as FetchedPartition
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest
from pykbroker.protocol.primitives import NULL_UUID
from pykbroker.protocol.record_batch import iter_batches

FIRST_WITH_LEADER_EPOCH = 6
FIRST_WITH_INSTANCE_ID = 7
LAST_WITH_RETENTION = 4
# What offset.metadata.max.bytes is by default; characters count, not bytes.
MAX_METADATA = 4_096
DAY_MS = 86_400_000


@case(OffsetCommitRequest)
def test_simple_consumer(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t", 2), names.add("u"), session.name("group")
    commit(session, names, version, group, [(topic, [0, 1]), (other, [0])])
    describe(session, group)
    fetch(session, names, NEWEST_BY_NAME, group)
    commit(session, names, version, group, [(topic, [at(7)])])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest)
def test_unknown_topics_and_partitions(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t", 2), names.add("u"), session.name("group")
    unknown = session.name("unknown")
    commit(session, names, version, group, [(unknown, [0, 1])])
    describe(session, group)
    mixed = [(topic, [0, 2]), (unknown, [0]), (other, [7, 0]), (topic, [1, -1])]
    commit(session, names, version, group, mixed)
    commit(session, names, version, group, [(unknown, [0]), (unknown, [1])])
    commit(session, names, version, group, [(unknown, [])])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest, versions=range(2, FIRST_COMMIT_BY_ID))
def test_names_that_no_topic_can_have(session: Session, version: int) -> None:
    names = TopicNames(session)
    for name in ("", ".", "a/b", "é", "x" * 300):
        commit(session, names, version, session.name("group"), [(name, [0])])


@case(OffsetCommitRequest, versions=[FIRST_COMMIT_BY_ID])
def test_topic_ids(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, version, group, [(NULL_UUID, [0])])
    commit(session, names, version, group, [(NULL_UUID, [0]), (topic, [0])])
    commit(session, names, version, group, [(b"y" * 16, [0, 1]), (b"z" * 16, [0]), (topic, [0, 5])])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest)
def test_nothing(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    commit(session, names, version, group, [])
    commit(session, names, version, group, [(topic, [])])
    describe(session, group)


@case(OffsetCommitRequest)
def test_named_twice(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, version, group, [(topic, [at(1)]), (topic, [at(2), at(3, 1)])])
    commit(session, names, version, group, [(topic, [at(4), at(5)])])
    unknown = session.name("unknown")
    commit(session, names, version, group, [(topic, [0]), (unknown, [0]), (topic, [1])])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest)
def test_group_ids(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    # Kafka keeps offsets of the empty group id too, for consumers of old.
    for group in ("", session.name(" odd/é")):
        commit(session, names, version, group, [(topic, [at(9)])])
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])


@case(OffsetCommitRequest)
def test_generation_of_a_missing_group(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, unknown, group = names.add("t"), session.name("unknown"), session.name("missing")
    for generation in (0, 1, 2**31 - 1):
        commit(
            session,
            names,
            version,
            group,
            [(topic, [0]), (unknown, [0])],
            generation_id_or_member_epoch=generation,
            member_id="stranger",
        )
    commit(session, names, version, group, [(unknown, [0])], generation_id_or_member_epoch=1)
    describe(session, group)


@case(OffsetCommitRequest)
def test_members_of_groups_without_any(session: Session, version: int) -> None:
    """Without a generation anybody may commit where there are no members."""
    names = TopicNames(session)
    topic = names.add("t")
    for label in ("missing", "known"):
        group = session.name(label)
        if label == "known":
            commit(session, names, version, group, [(topic, [0])])
        commit(session, names, version, group, [(topic, [at(5)])], member_id="stranger")
        fetch(session, names, NEWEST_BY_NAME, group)
    group = session.name("known")
    for generation in (0, 1, -2):
        commit(
            session,
            names,
            version,
            group,
            [(topic, [at(6)])],
            generation_id_or_member_epoch=generation,
        )
        commit(
            session,
            names,
            version,
            group,
            [(topic, [at(7)])],
            generation_id_or_member_epoch=generation,
            member_id="stranger",
        )
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest, versions=range(FIRST_WITH_INSTANCE_ID, 11))
def test_instance_id_without_a_group(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    commit(session, names, version, group, [(topic, [0])], group_instance_id="i")
    commit(session, names, version, group, [(topic, [0])], group_instance_id="i")
    commit(session, names, version, group, [(topic, [0])], group_instance_id="i", member_id="m")
    commit(
        session,
        names,
        version,
        group,
        [(topic, [0])],
        group_instance_id="i",
        generation_id_or_member_epoch=0,
    )


@case(OffsetCommitRequest)
def test_odd_offsets(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    for offset in (0, -1, -5, 2**63 - 1, -(2**63), 1_000):
        commit(session, names, version, group, [(topic, [at(offset)])])
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])


@case(OffsetCommitRequest)
def test_metadata(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    for metadata in (None, "", "a word", "é" * MAX_METADATA, "x" * MAX_METADATA):
        commit(session, names, version, group, [(topic, [at(1, committed_metadata=metadata)])])
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])


@case(OffsetCommitRequest)
def test_metadata_too_large(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t", 2), names.add("u"), session.name("group")
    large = [at(1, committed_metadata="x" * (MAX_METADATA + 1)), at(1, 1)]
    # One character that takes two places in Java's strings.
    doubles = [at(1, committed_metadata="\N{GRINNING FACE}" * (MAX_METADATA // 2 + 1))]
    commit(session, names, version, group, [(topic, large), (other, doubles)])
    fetch(session, names, NEWEST_BY_NAME, group)
    fits = [at(2, committed_metadata="\N{GRINNING FACE}" * (MAX_METADATA // 2))]
    commit(session, names, version, group, [(other, fits)])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest)
def test_only_metadata_too_large(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    large = [at(1, committed_metadata="x" * (MAX_METADATA + 1))]
    commit(session, names, version, group, [(topic, large)])
    # Whether there is a group now depends in Kafka on who writes to its partition next.
    fetch(session, names, NEWEST_BY_NAME, group)


@case(OffsetCommitRequest, versions=range(FIRST_WITH_LEADER_EPOCH, 11))
def test_leader_epochs(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    for epoch in (0, 5, -1, -2, 2**31 - 1, -(2**31)):
        commit(session, names, version, group, [(topic, [at(1, committed_leader_epoch=epoch)])])
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])


@case(OffsetCommitRequest, versions=range(2, LAST_WITH_RETENTION + 1))
def test_retention_times(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    for time_ms in (-1, 0, 1, -2, DAY_MS, 2**63 - 1, -(2**63)):
        commit(session, names, version, group, [(topic, [at(1)])], retention_time_ms=time_ms)
        fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0])])


@case(OffsetCommitRequest)
def test_deleted_topic(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t"), names.add("u"), session.name("group")
    commit(session, names, version, group, [(topic, [0]), (other, [0])])
    delete_topic(session, topic, group)
    fetch(session, names, NEWEST_BY_NAME, group)
    commit(session, names, version, group, [(topic, [0]), (other, [at(8)])])
    fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0]), (other, [0])])


@case(OffsetCommitRequest)
def test_topic_made_anew(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, version, group, [(topic, [0, 1])])
    delete_topic(session, topic, group)
    names.add("t", 2)
    fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0, 1])])
    commit(session, names, version, group, [(topic, [at(8)])])
    fetch(session, names, NEWEST_BY_NAME, group, [(topic, [0, 1])])


@case(OffsetCommitRequest, versions=[NEWEST_BY_NAME])
def test_batch_in_the_log(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, version, group, [(topic, [0, 1])])
    index = partition_for(group, int(SETTINGS["offsets.topic.num.partitions"]))

    def read(offset: int) -> FetchedPartition:
        place = fetch_topic(session, 12, "__consumer_offsets", wanted(offset, partition=index))
        found: FetchResponse = session.ask(fetch_request([place]), 12)
        return found.responses[0].partitions[0]

    (batch,) = iter_batches(read(read(0).high_watermark - 1).records or b"")
    session.note("producer", (batch.producer_id, batch.producer_epoch, batch.base_sequence))
    session.note("form", (batch.record_count, batch.attributes, batch.partition_leader_epoch))
