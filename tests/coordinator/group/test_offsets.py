from __future__ import annotations

from pykbroker.coordinator.group.offsets import CommittedOffset, OffsetStore
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.primitives import NULL_UUID

PRODUCER = 9
ID, OTHER_ID = b"i" * 16, b"j" * 16


def a_key(topic: str = "t", partition: int = 0, group: str = "g") -> OffsetCommitKey:
    return OffsetCommitKey(group=group, topic=topic, partition=partition)


def committed(offset: int, *, topic_id: bytes = NULL_UUID, expires: int = -1) -> CommittedOffset:
    return CommittedOffset(offset, -1, "", 100, expires, topic_id, 0)


def offset_of(store: OffsetStore, topic: str = "t", partition: int = 0) -> int | None:
    found = store.get("g", topic, partition)
    return None if found is None else found.offset


def test_the_newest_record_counts_and_a_tombstone_ends_it() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=1), 0)
    store.replay(a_key(), OffsetCommitValue(offset=2), 1)
    assert offset_of(store) == 2
    store.replay(a_key(), None, 2)
    assert offset_of(store) is None
    assert store.by_group == {}


def test_a_tombstone_leaves_the_other_partitions() -> None:
    store = OffsetStore()
    for partition in (0, 1):
        store.replay(a_key("t", partition), OffsetCommitValue(offset=1), partition)
    store.replay(a_key("u"), OffsetCommitValue(offset=1), 2)
    store.replay(a_key("t", 0), None, 3)
    assert list(store.partitions("g")) == [("t", 1), ("u", 0)]
    store.replay(a_key("t", 1), None, 4)
    assert list(store.partitions("g")) == [("u", 0)]
    store.replay(a_key("nothing"), None, 5)


def test_an_offset_in_a_transaction_waits_for_its_marker() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=5), 0, PRODUCER)
    assert offset_of(store) is None
    assert store.has_pending("g", "t", 0)
    assert not store.has_pending("g", "t", 1)
    assert store.has_pending_group("g")
    assert not store.has_pending_group("h")
    store.end_transaction(PRODUCER, is_committed=True)
    assert offset_of(store) == 5
    assert not store.has_pending("g", "t", 0)


def test_an_aborted_transaction_leaves_no_trace() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=5), 0, PRODUCER)
    store.end_transaction(PRODUCER, is_committed=False)
    store.end_transaction(PRODUCER, is_committed=True)
    assert offset_of(store) is None


def test_a_later_plain_commit_wins_over_an_earlier_transactional_one() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=5), 0, PRODUCER)
    store.replay(a_key("t", 1), OffsetCommitValue(offset=50), 1)
    store.replay(a_key("t", 1), OffsetCommitValue(offset=51), 2, PRODUCER)
    store.replay(a_key(), OffsetCommitValue(offset=6), 3)
    store.end_transaction(PRODUCER, is_committed=True)
    assert offset_of(store) == 6
    assert offset_of(store, "t", 1) == 51


def test_two_producers_may_have_the_same_partition_pending_and_the_later_record_wins() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=5), 0, PRODUCER)
    store.replay(a_key(), OffsetCommitValue(offset=6), 1, 10)
    store.end_transaction(10, is_committed=True)
    assert offset_of(store) == 6
    assert store.has_pending("g", "t", 0)
    store.end_transaction(PRODUCER, is_committed=True)
    assert offset_of(store) == 6
    assert not store.has_pending("g", "t", 0)


def test_a_producer_that_commits_again_has_changed_its_mind() -> None:
    store = OffsetStore()
    for record_offset, offset in enumerate((7, 5)):
        store.replay(a_key(), OffsetCommitValue(offset=offset), record_offset, PRODUCER)
    store.end_transaction(PRODUCER, is_committed=True)
    assert offset_of(store) == 5


def test_a_tombstone_reaches_into_open_transactions() -> None:
    store = OffsetStore()
    store.replay(a_key(), OffsetCommitValue(offset=5), 0, PRODUCER)
    store.replay(a_key(), OffsetCommitValue(offset=6), 1, PRODUCER + 1)
    store.replay(a_key("u"), OffsetCommitValue(offset=6), 2, PRODUCER + 1)
    store.replay(a_key(), None, 3)
    assert set(store.pending) == {PRODUCER + 1}
    assert list(store.partitions("g")) == [("u", 0)]


def test_a_partition_is_named_once_however_many_transactions_touch_it() -> None:
    store = OffsetStore()
    store.replay(a_key("t"), OffsetCommitValue(offset=5), 0)
    for producer in (1, 2):
        store.replay(a_key("t"), OffsetCommitValue(offset=5), 1, producer)
        store.replay(a_key("u"), OffsetCommitValue(offset=5), 1, producer)
        store.replay(a_key("v", group="h"), OffsetCommitValue(offset=5), 1, producer)
    assert list(store.partitions("g")) == [("t", 0), ("u", 0)]


def test_an_offset_belongs_to_one_incarnation_of_its_topic() -> None:
    assert committed(1, topic_id=ID).is_of_topic(ID)
    assert not committed(1, topic_id=ID).is_of_topic(OTHER_ID)
    assert committed(1, topic_id=ID).is_of_topic(NULL_UUID)
    assert committed(1).is_of_topic(ID)


def test_retention_counts_from_the_time_given_unless_the_client_chose_an_expiry() -> None:
    assert not committed(1).is_expired(since_ms=100, retention_ms=10, now_ms=109)
    assert committed(1).is_expired(since_ms=100, retention_ms=10, now_ms=110)
    assert not committed(1, expires=200).is_expired(since_ms=0, retention_ms=10, now_ms=199)
    assert committed(1, expires=200).is_expired(since_ms=199, retention_ms=10, now_ms=200)
