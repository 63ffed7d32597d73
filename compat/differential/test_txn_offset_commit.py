"""TxnOffsetCommit: by nobody in particular, in every version, and what becomes of it."""

from compat.differential.cases import case
from compat.differential.group_members import describe
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit
from compat.differential.session import Session
from compat.differential.transactions import ABORT, COMMIT, Transactional
from compat.differential.txn_offsets import (
    FIRST_THAT_ADDS,
    begin,
    commit_offsets,
    end,
    look,
)
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest

FIRST_WITH_LEADER_EPOCH = 2
NEWEST = TxnOffsetCommitRequest.MAX_VERSION
# What offset.metadata.max.bytes is by default; characters count, not bytes.
MAX_METADATA = 4_096
BOTH = [0, 1]


@case(TxnOffsetCommitRequest)
def test_committed(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 2), session.name("group")
    begin(producer, version, group)
    commit_offsets(producer, version, group, [(topic, BOTH)])
    producer.describe()
    describe(session, group)
    look(session, names, group, [(topic, BOTH)])
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, BOTH)])


@case(TxnOffsetCommitRequest)
def test_aborted(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
    begin(producer, version, group)
    commit_offsets(producer, version, group, [(topic, [at(9), at(8, 1)])])
    look(session, names, group, [(topic, BOTH)])
    end(producer, version, ABORT)
    look(session, names, group, [(topic, BOTH)])
    describe(session, group)


@case(TxnOffsetCommitRequest)
def test_aborted_in_a_new_group(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    begin(producer, version, group)
    commit_offsets(producer, version, group, [(topic, [0])])
    end(producer, version, ABORT)
    look(session, names, group, [(topic, [0])])
    describe(session, group)


@case(TxnOffsetCommitRequest)
def test_one_transaction_after_the_other(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    for offset, committed in enumerate((COMMIT, ABORT, COMMIT, ABORT)):
        begin(producer, version, group)
        commit_offsets(producer, version, group, [(topic, [at(offset)])])
        end(producer, version, committed)
        look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest, versions=range(FIRST_THAT_ADDS))
def test_group_that_was_not_added(session: Session, version: int) -> None:
    commit_without_adding(session, version)


@case(TxnOffsetCommitRequest, versions=range(FIRST_THAT_ADDS, NEWEST + 1))
def test_group_that_the_commit_adds(session: Session, version: int) -> None:
    commit_without_adding(session, version)


def commit_without_adding(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    commit_offsets(producer, version, group, [(topic, [0])])
    producer.describe()
    producer.add({topic: [0]})
    commit_offsets(producer, version, group, [(topic, [0])])
    look(session, names, group, [(topic, [0])])
    producer.describe()
    end(producer, version, COMMIT)


@case(TxnOffsetCommitRequest)
def test_after_the_end(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    for committed in (COMMIT, ABORT):
        begin(producer, version, group)
        commit_offsets(producer, version, group, [(topic, [0])])
        old_epoch = producer.epoch
        end(producer, version, committed)
        commit_offsets(producer, version, group, [(topic, [at(5)])], producer_epoch=old_epoch)
        commit_offsets(producer, version, group, [(topic, [at(6)])])
        producer.describe()
        look(session, names, group, [(topic, [0])])
        producer.init()
        producer.settle()
        producer.init()


@case(TxnOffsetCommitRequest)
def test_unknown_topics_and_partitions(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, other, group = names.add("t", 2), names.add("u"), session.name("group")
    unknown = session.name("unknown")
    commit_offsets(producer, version, group, [(unknown, BOTH)])
    producer.describe()
    begin(producer, version, group)
    mixed = [(topic, [0, 2]), (unknown, [0]), (other, [7, 0]), (topic, [1, -1])]
    commit_offsets(producer, version, group, mixed)
    commit_offsets(producer, version, group, [(unknown, [0]), (unknown, [1])])
    commit_offsets(producer, version, group, [(unknown, [])])
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, BOTH), (other, [0])])


@case(TxnOffsetCommitRequest)
def test_nothing_and_named_twice(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 2), session.name("group")
    begin(producer, version, group)
    commit_offsets(producer, version, group, [])
    commit_offsets(producer, version, group, [(topic, [])])
    producer.describe()
    commit_offsets(producer, version, group, [(topic, [at(1)]), (topic, [at(2), at(3, 1)])])
    commit_offsets(producer, version, group, [(topic, [at(4), at(5)])])
    unknown = session.name("unknown")
    commit_offsets(producer, version, group, [(topic, [0]), (unknown, [0]), (topic, [1])])
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, BOTH)])


@case(TxnOffsetCommitRequest)
def test_names_that_no_topic_can_have(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    begin(producer, version, group)
    for name in ("", ".", "a/b", "é", "x" * 300):
        commit_offsets(producer, version, group, [(name, [0]), (topic, [0])])
    end(producer, version, COMMIT)


@case(TxnOffsetCommitRequest)
def test_group_ids(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic = names.add("t")
    for group in ("", " ", session.name(" odd/é")):
        begin(producer, version, group)
        commit_offsets(producer, version, group, [(topic, [at(9)])])
    end(producer, version, COMMIT)
    look(session, names, session.name(" odd/é"), [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_what_is_committed(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 5), session.name("group")
    epoch = {"committed_leader_epoch": 7} if version >= FIRST_WITH_LEADER_EPOCH else {}
    begin(producer, version, group)
    offsets = [
        at(1, 0, committed_metadata="é" * MAX_METADATA, **epoch),
        at(2, 1, committed_metadata="x" * (MAX_METADATA + 1), **epoch),
        at(3, 2, committed_metadata=None),
        at(-4, 3, committed_metadata=""),
        at(2**63 - 1, 4),
    ]
    commit_offsets(producer, version, group, [(topic, offsets)])
    too_long = at(3, 2, committed_metadata="x" * (MAX_METADATA + 1))
    commit_offsets(producer, version, group, [(topic, [too_long])])
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, list(range(5)))])


@case(TxnOffsetCommitRequest)
def test_unknown_producers(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    begin(producer, version, group)
    for fields in (
        {"transactional_id": session.name("unknown")},
        {"transactional_id": ""},
        {"producer_id": producer.producer_id + 100_000},
        {"producer_id": -1},
        {"producer_epoch": producer.epoch + 1},
        {"producer_epoch": -1},
    ):
        commit_offsets(producer, version, group, [(topic, [0])], **fields)
    producer.describe()
    look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_with_a_transaction_open_who_names_it_does_not_matter(
    session: Session, version: int
) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    begin(producer, version, group)
    commit_offsets(producer, version, group, [(topic, [0])])
    for label in ("another", ""):
        fields = {"transactional_id": session.name(label) if label else ""}
        commit_offsets(producer, version, group, [(topic, [at(8)])], **fields)
    commit_offsets(producer, version, group, [(topic, [at(9)])], producer_epoch=producer.epoch + 1)
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_fenced(session: Session, version: int) -> None:
    names, old = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    begin(old, version, group)
    commit_offsets(old, version, group, [(topic, [0])])
    new = Transactional(session)
    new.settle()
    commit_offsets(old, version, group, [(topic, [0])])
    look(session, names, group, [(topic, [0])])
    new.init()
    commit_offsets(old, version, group, [(topic, [0])])
    begin(new, version, group)
    commit_offsets(new, version, group, [(topic, [at(7)])])
    commit_offsets(old, version, group, [(topic, [at(8)])])
    end(new, version, COMMIT)
    look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_several_groups(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, groups = names.add("t"), [session.name(label) for label in "abcd"]
    begin(producer, version, *groups)
    for offset, group in enumerate(groups):
        commit_offsets(producer, version, group, [(topic, [at(offset)])])
    for group in groups:
        look(session, names, group, [(topic, [0])])
    end(producer, version, COMMIT)
    for group in groups:
        look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_with_records(session: Session, version: int) -> None:
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t"), session.name("group")
    for committed in (ABORT, COMMIT):
        begin(producer, version, group)
        if version >= FIRST_THAT_ADDS:
            producer.produce(topic, version=12)
        else:
            producer.add({topic: [0]})
            producer.produce(topic)
        commit_offsets(producer, version, group, [(topic, [at(1)])])
        producer.describe()
        end(producer, version, committed)
        look(session, names, group, [(topic, [0])])


@case(TxnOffsetCommitRequest)
def test_of_two_producers(session: Session, version: int) -> None:
    """The one whose record is later in the log wins, in whichever order they end."""
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    first, second = Transactional(session, "first"), Transactional(session, "second")
    for turn, order in enumerate(((first, second), (second, first))):
        for offset, producer in enumerate((first, second)):
            begin(producer, version, group)
            commit_offsets(producer, version, group, [(topic, [at(10 * turn + offset)])])
        for producer in order:
            end(producer, version, COMMIT)
            look(session, names, group, [(topic, [0])])
    for producer in (first, second):
        begin(producer, version, group)
        commit_offsets(producer, version, group, [(topic, [at(30), at(31, 1)])])
    end(second, version, ABORT)
    look(session, names, group, [(topic, BOTH)])
    end(first, version, ABORT)
    look(session, names, group, [(topic, BOTH)])


@case(TxnOffsetCommitRequest)
def test_beside_plain_commits(session: Session, version: int) -> None:
    """A plain commit counts at once; the marker brings back no older offset."""
    names, producer = TopicNames(session), Transactional(session)
    topic, group = names.add("t", 2), session.name("group")
    begin(producer, version, group)
    commit_offsets(producer, version, group, [(topic, [at(1)])])
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [at(2), at(2, 1)])])
    commit_offsets(producer, version, group, [(topic, [at(3, 1)])])
    look(session, names, group, [(topic, BOTH)])
    end(producer, version, COMMIT)
    look(session, names, group, [(topic, BOTH)])
