"""Committed offsets: where each group goes on reading.

Offsets are hard state: they change in `replay` and `end_transaction` only. An offset written within
a transaction is pending until the transaction's marker, beside what other producers have pending
for the same partition. With a commit marker it counts unless a later record was there first: the
newest record wins, by its place in the log. A tombstone ends what is pending too.

Source: KIP-98, KIP-447; Kafka's OffsetMetadataManager and OffsetAndMetadata.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pykbroker.coordinator.group.records import NO_EXPIRY
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.primitives import NULL_UUID

NO_PRODUCER_ID: Final = -1


class CommittedOffset(NamedTuple):
    """What was committed for one partition; `record_offset` is where the log says so."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp_ms: int
    expire_timestamp_ms: int
    topic_id: bytes
    record_offset: int

    def is_of_topic(self, topic_id: bytes) -> bool:
        """Whether the offset belongs to this incarnation of the topic, as far as one can say."""
        return NULL_UUID in (self.topic_id, topic_id) or self.topic_id == topic_id

    def is_expired(self, since_ms: int, retention_ms: int, now_ms: int) -> bool:
        """Whether the offset's time is over; an expiry that the client chose goes first."""
        if self.expire_timestamp_ms != NO_EXPIRY:
            return now_ms >= self.expire_timestamp_ms
        return now_ms - since_ms >= retention_ms


GroupOffsets = dict[str, dict[int, CommittedOffset]]
"""Topic, partition -> committed offset, of one group."""


@dataclass(slots=True)
class OffsetStore:
    """The committed offsets of all groups of one coordinator partition.

    Attributes:
        by_group: What counts.
        pending: What open transactions have written: producer id -> (group, topic, partition) ->
            offset.
        pending_producers: The same from the other side, for those who ask by partition: group ->
            (topic, partition) -> producer ids.
    """

    by_group: dict[str, GroupOffsets] = field(default_factory=dict)
    pending: dict[int, dict[tuple[str, str, int], CommittedOffset]] = field(default_factory=dict)
    pending_producers: dict[str, dict[tuple[str, int], set[int]]] = field(default_factory=dict)

    def get(self, group_id: str, topic: str, partition: int) -> CommittedOffset | None:
        """Return what the group has committed for a partition, outside open transactions."""
        return self.by_group.get(group_id, {}).get(topic, {}).get(partition)

    def of_group(self, group_id: str) -> GroupOffsets:
        """Return all that a group has committed, outside open transactions."""
        return self.by_group.get(group_id, {})

    def has_pending(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether an open transaction has committed an offset for the partition."""
        return (topic, partition) in self.pending_producers.get(group_id, ())

    def has_pending_group(self, group_id: str) -> bool:
        """Whether an open transaction has committed any offset of the group."""
        return group_id in self.pending_producers

    def has_any(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether the group has an offset for a partition, committed or pending."""
        is_committed = self.get(group_id, topic, partition) is not None
        return is_committed or self.has_pending(group_id, topic, partition)

    def partitions(self, group_id: str) -> Iterator[tuple[str, int]]:
        """Name every partition of a group that has an offset, committed or pending."""
        for topic, offsets in self.of_group(group_id).items():
            for partition in offsets:
                yield topic, partition
        for topic, partition in self.pending_producers.get(group_id, ()):
            if self.get(group_id, topic, partition) is None:
                yield topic, partition

    def of_topics(self, names: Container[str]) -> Iterator[tuple[str, str, int, CommittedOffset]]:
        """Yield (group, topic, partition, offset) of topics, committed offsets and pending ones."""
        for group_id, topics in self.by_group.items():
            for topic, partitions in topics.items():
                if topic in names:
                    for partition, committed in partitions.items():
                        yield group_id, topic, partition, committed
        for pending in self.pending.values():
            for key, committed in pending.items():
                if key[1] in names:
                    yield *key, committed

    def replay(
        self,
        key: OffsetCommitKey,
        value: OffsetCommitValue | None,
        record_offset: int,
        producer_id: int = NO_PRODUCER_ID,
    ) -> None:
        """Take over one record of the log."""
        if value is None:
            self._remove(key.group, key.topic, key.partition)
            return
        committed = CommittedOffset(
            value.offset,
            value.leader_epoch,
            value.metadata,
            value.commit_timestamp,
            value.expire_timestamp,
            value.topic_id,
            record_offset,
        )
        if producer_id == NO_PRODUCER_ID:
            self._put(key.group, key.topic, key.partition, committed)
            return
        pending = self.pending.setdefault(producer_id, {})
        pending[key.group, key.topic, key.partition] = committed
        partitions = self.pending_producers.setdefault(key.group, {})
        partitions.setdefault((key.topic, key.partition), set()).add(producer_id)

    def end_transaction(self, producer_id: int, *, is_committed: bool) -> None:
        """Take over a transaction's marker: what was pending counts now, or never did."""
        for (group_id, topic, partition), committed in self.pending.pop(producer_id, {}).items():
            producers = self.pending_producers[group_id][topic, partition]
            producers.discard(producer_id)
            if not producers:
                self._forget_pending(group_id, topic, partition)
            if not is_committed:
                continue
            current = self.get(group_id, topic, partition)
            # A plain commit may have come after the transactional one.
            if current is None or current.record_offset < committed.record_offset:
                self._put(group_id, topic, partition, committed)

    def _put(self, group_id: str, topic: str, partition: int, committed: CommittedOffset) -> None:
        try:
            self.by_group[group_id][topic][partition] = committed
        except KeyError:
            self.by_group.setdefault(group_id, {}).setdefault(topic, {})[partition] = committed

    def _remove(self, group_id: str, topic: str, partition: int) -> None:
        for producer_id in self._forget_pending(group_id, topic, partition):
            pending = self.pending[producer_id]
            del pending[group_id, topic, partition]
            if not pending:
                del self.pending[producer_id]
        topics = self.by_group.get(group_id, {})
        partitions = topics.get(topic, {})
        partitions.pop(partition, None)
        if not partitions:
            topics.pop(topic, None)
        if not topics:
            self.by_group.pop(group_id, None)

    def _forget_pending(self, group_id: str, topic: str, partition: int) -> set[int]:
        """Forget that producers have something pending; returns which."""
        partitions = self.pending_producers.get(group_id, {})
        producers = partitions.pop((topic, partition), set())
        if not partitions:
            self.pending_producers.pop(group_id, None)
        return producers
