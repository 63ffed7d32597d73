"""Logs that lie in the data directories and not in the metadata: put there by somebody else.

A partition's directory that Apache Kafka wrote becomes a partition here: its topic id, its records,
its producers, its leader epochs; the groups in `__consumer_offsets` with them. Settings are not
among its files, so an adopted topic keeps everything until somebody says otherwise.

A log that is damaged, or that the disk has no room to close, is a partition without a leader epoch.
That marks it as still somebody else's, and the next start tries again: recovery must not cut it
like a log of our own.

What cannot be adopted is never removed. A directory whose topic id contradicts the metadata, or
another directory of the same topic, is set aside under Kafka's name for that (`-stray`). Only what
a crash has left of a topic that was deleted here is removed: the metadata remember its id.
"""

import logging
import struct
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.metadata.controller import MetadataController
from pykbroker.metadata.image import (
    INTERNAL_TOPICS,
    NO_LEADER_EPOCH,
    MetadataImage,
    TopicImage,
)
from pykbroker.metadata.topics import (
    FIRST_LEADER_EPOCH,
    MAX_NEW_PARTITIONS_PER_REQUEST,
    FoundTopic,
)
from pykbroker.protocol.errors import CorruptBatchError, KafkaError
from pykbroker.protocol.records import Record
from pykbroker.protocol.uuids import uuid_to_text
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.data_directory import RECOVERY_POINTS
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_directories import NO_TOPIC_ID, Fate, FoundPartition, Judgement
from pykbroker.storage.partition_log import PartitionLog

log = logging.getLogger(__name__)

OFFSETS_TOPIC: Final = "__consumer_offsets"
TRANSACTIONS_TOPIC: Final = "__transaction_state"
_COORDINATOR_TOPICS: Final = frozenset({OFFSETS_TOPIC, TRANSACTIONS_TOPIC})
_KEY: Final = struct.Struct(">hh")
_PRODUCER_ID: Final = struct.Struct(">2xq")  # behind the version
_MAX_RECORDS_BYTES: Final = 1 << 30


def judge(found: Sequence[FoundPartition], image: MetadataImage) -> dict[Path, Judgement]:
    """Say which directories are not to be loaded, and what becomes of them instead.

    Args:
        found: All partitions in the data directories.
        image: The metadata.
    """
    by_topic: defaultdict[str, list[FoundPartition]] = defaultdict(list)
    judgements: dict[Path, Judgement] = {}
    for partition in found:
        if partition.topic_id in image.deleted_topics:
            reason = "its topic was deleted"
            judgements[partition.path] = Judgement(Fate.REMAINS, reason)
        else:
            by_topic[partition.topic].append(partition)
    owners = {topic_id: topic.name for topic_id, topic in image.topics_by_id.items()}
    for topic, partitions in by_topic.items():
        known = image.topics.get(topic)
        topic_id = _most_common_id(partitions, owners)
        for partition in partitions:
            if known is not None:
                judgement = _judge_known(partition, known)
            else:
                owner = owners.get(partition.topic_id)
                judgement = _judge_unknown(partition, topic_id, owner, image)
            if judgement is not None:
                judgements[partition.path] = judgement
        if known is None and topic_id != NO_TOPIC_ID:
            owners[topic_id] = topic
    return judgements


def _judge_known(found: FoundPartition, topic: TopicImage) -> Judgement | None:
    """Judge a directory whose name is that of a topic."""
    is_partition = found.partition < len(topic.partitions)
    if found.topic_id == NO_TOPIC_ID:
        if is_partition:
            return None  # the power has failed before its id was on the disk
        if not found.holds_a_log():
            return Judgement(Fate.IGNORED, "not a partition")
        reason = f"topic {topic.name} has {len(topic.partitions)} partitions and this has no id"
        return Judgement(Fate.STRAY, f"{reason}; to use it, add partitions, stop, rename it back")
    if found.topic_id == topic.topic_id:
        if is_partition or found.partition < MAX_NEW_PARTITIONS_PER_REQUEST:
            return None
        return Judgement(Fate.IGNORED, f"no topic has a partition {found.partition}")
    reason = (
        f"its topic id is {uuid_to_text(found.topic_id)}, that of topic {topic.name} here is "
        f"{uuid_to_text(topic.topic_id)}; to use it instead, delete the topic, stop, rename it back"
    )
    return Judgement(Fate.STRAY, reason)


def _judge_unknown(
    found: FoundPartition, topic_id: bytes, owner: str | None, image: MetadataImage
) -> Judgement | None:
    """Judge a directory of a topic that is not in the metadata.

    Args:
        found: The directory.
        topic_id: What most directories of the topic say.
        owner: The topic of another name that has the directory's id.
        image: The metadata.
    """
    if not found.holds_a_log():
        return Judgement(Fate.IGNORED, "not a partition: it holds neither an id nor records")
    if found.partition >= MAX_NEW_PARTITIONS_PER_REQUEST:
        return Judgement(Fate.IGNORED, f"no topic has a partition {found.partition}")
    if found.topic_id == NO_TOPIC_ID:
        if found.topic not in image.deleted_topics.values():
            return None
        reason = f"it has no id, and topic {found.topic} was deleted; to use it, rename it back"
        return Judgement(Fate.STRAY, reason)
    if owner is not None:
        reason = (
            f"its topic id is that of topic {owner}; to make it a topic of its own, remove "
            "partition.metadata in it, stop, rename it back"
        )
        return Judgement(Fate.STRAY, reason)
    if found.topic_id != topic_id:
        reason = (
            f"its topic id is {uuid_to_text(found.topic_id)}, that of other partitions of "
            f"{found.topic} is {uuid_to_text(topic_id)}"
        )
        return Judgement(Fate.STRAY, reason)
    return None


def _most_common_id(partitions: Iterable[FoundPartition], owners: Container[bytes]) -> bytes:
    """Return the id that most directories of a topic have; of several, that of the first."""
    ordered = sorted(partitions, key=lambda found: found.partition)
    ids = [found.topic_id for found in ordered if found.topic_id not in owners]
    counts = Counter(topic_id for topic_id in ids if topic_id != NO_TOPIC_ID)
    return counts.most_common(1)[0][0] if counts else NO_TOPIC_ID


def is_foreign(image: MetadataImage, topic: str, partition: int) -> bool:
    """Say whether a partition's log is, as far as the metadata know, somebody else's."""
    known = image.partition(topic, partition)
    return known is None or known.leader_epoch == NO_LEADER_EPOCH


def adopt(logs: LogManager, metadata: MetadataController, now_ms: int) -> None:
    """Make the logs that are open, and not in the metadata, partitions; blocks on the disk.

    Args:
        logs: Open.
        metadata: Open; nobody else uses them yet.
        now_ms: Wall time.

    Raises:
        MetadataStoreError: The metadata cannot be written.
    """
    image = metadata.image
    epochs: defaultdict[str, dict[int, int]] = defaultdict(dict)
    ids: defaultdict[str, set[bytes]] = defaultdict(set)
    strangers = [each for each in logs.all() if is_foreign(image, each.topic, each.partition)]
    _seal(logs, strangers, now_ms)
    for partition_log in strangers:
        name, number = partition_log.topic, partition_log.partition
        epochs[name][number] = _first_epoch(partition_log)
        ids[name].add(partition_log.topic_id)
    for (name, number), refused in logs.refused.items():
        if refused.found is not None and is_foreign(image, name, number):
            epochs[name][number] = NO_LEADER_EPOCH
            ids[name].add(refused.found.topic_id)
    if not epochs:
        return
    producer_ids = [producer_id for each in strangers for producer_id in each.producers.producers]
    found = []
    for name in sorted(epochs):
        topic_id = max(ids[name] - {NO_TOPIC_ID}, default=None)
        count = 0
        if name in _COORDINATOR_TOPICS and name not in image.topics:
            records = _Ids([each for each in strangers if each.topic == name])
            producer_ids += records.producer_ids
            count = records.partition_count(_configured_partitions(name, metadata))
        found.append(FoundTopic(name, topic_id, epochs[name], count))
    adopted = metadata.adopt_topics(found, max(producer_ids, default=-1))
    for partition_log in strangers:
        partition_log.reconfigure(metadata.topic_config(partition_log.topic))
    for topic in adopted:
        if topic == image.topics.get(topic.name):
            continue  # what could not be adopted still cannot
        _tell(topic, epochs[topic.name], is_new=topic.name not in image.topics)


def _seal(logs: LogManager, strangers: Sequence[PartitionLog], now_ms: int) -> None:
    """Make logs durable, close their last segments, and write down how far they are durable.

    They may have gaps that nothing here explains, from another broker's compaction. So recovery
    must not read them again: what it takes for damage in a log of our own, it cuts.
    """
    for stranger in strangers:
        try:
            stranger.roll(now_ms)
            stranger.flush()
        except KafkaError as error:
            log.error("log not made durable path=%s error=%s", stranger.path, error)
    if strangers:
        logs.write_checkpoints(now_ms)


def _first_epoch(stranger: PartitionLog) -> int:
    """Return the leader epoch to begin with, not below those in the log; none if it is unsealed."""
    key = stranger.topic, stranger.partition
    known = stranger.directory.checkpointed(RECOVERY_POINTS, key)
    if known != stranger.log_end_offset or stranger.segments[-1].size_bytes:
        return NO_LEADER_EPOCH
    return max(FIRST_LEADER_EPOCH, stranger.epochs.latest_epoch)


def _configured_partitions(name: str, metadata: MetadataController) -> int:
    config = metadata.broker_config()
    if name == OFFSETS_TOPIC:
        return config.offsets_topic_num_partitions
    return config.transaction_state_log_num_partitions


class _Ids:
    """The ids of groups or transactions that the records of an internal topic are about.

    Every key of both topics is an int16 version and a string that begins with its int16 size,
    the id; its hash is the partition (Kafka's `GroupCoordinator.partitionFor` and the same of the
    transaction coordinator).

    Attributes:
        producer_ids: The producers of the transactions.
    """

    def __init__(self, logs: Iterable[PartitionLog]) -> None:
        self.producer_ids: list[int] = []
        self._partitions: dict[str, int] = {}
        self._largest = 0
        for each in logs:
            self._largest = max(self._largest, each.partition)
            try:
                self._read(each)
            except (DamagedSegmentError, CorruptBatchError) as error:
                # Whoever loads its state from there will say what that means.
                log.error("log not read in full path=%s reason=%s", each.path, error)

    def _read(self, found: PartitionLog) -> None:
        for batch in found.read_batches(found.log_start_offset, found.log_end_offset):
            if not batch.is_control:
                for record in batch.records(_MAX_RECORDS_BYTES):
                    self._note(record, found)

    def _note(self, record: Record, found: PartitionLog) -> None:
        key, value = record.key, record.value
        if key is None or len(key) < _KEY.size:
            return
        _, size_bytes = _KEY.unpack_from(key)
        name = key[_KEY.size : _KEY.size + max(size_bytes, 0)].decode(errors="replace")
        self._partitions[name] = found.partition
        if value is None or len(value) < _PRODUCER_ID.size:
            return
        if found.topic == TRANSACTIONS_TOPIC:
            self.producer_ids.append(_PRODUCER_ID.unpack_from(value)[0])

    def partition_count(self, configured: int) -> int:
        """Return how many partitions the topic has had, or else would have here.

        Only with that number are the ids in the partitions that hold them.
        """
        present = self._largest + 1
        for count in (max(configured, present), present):
            if all(partition_for(name, count) == at for name, at in self._partitions.items()):
                return count
        return max(configured, present)


def _tell(topic: TopicImage, found: Mapping[int, int], *, is_new: bool) -> None:
    if not is_new:
        advice = "it has partitions that the metadata did not have, or that could not be used"
    elif topic.name in INTERNAL_TOPICS:
        advice = "it must have as many partitions as it had where it comes from"
    else:
        advice = (
            "its settings are the defaults, but it keeps its records until retention.ms is altered"
        )
    log.warning(
        "topic adopted topic=%s id=%s partitions=%d found=%d settings=%s advice=%s",
        topic.name, uuid_to_text(topic.topic_id), len(topic.partitions), len(found),
        ",".join(f"{name}={value}" for name, value in topic.configs.items()), advice,
    )  # fmt: skip
