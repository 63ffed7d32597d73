"""Which topics may be created, grown and deleted, and what their partitions look like.

Pure rules over the metadata image. The checks, their order and their messages follow Kafka 4.3's
`ReplicationControlManager`, `clients.internals.Topic` and `StripedReplicaPlacer`. The one
deviation is `pykbroker.replication.factor.cap` (see `plan_partitions`).
"""

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from pykbroker.metadata.image import (
    INTERNAL_TOPICS,
    NO_LEADER,
    NO_LEADER_EPOCH,
    BrokerImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError

USE_DEFAULT: Final = -1
MAX_TOPIC_NAME_CHARACTERS: Final = 249
# Kafka's QuorumController.MAX_RECORDS_PER_USER_OP: more is one change too large.
MAX_NEW_PARTITIONS_PER_REQUEST: Final = 10_000
CLUSTER_METADATA_TOPIC: Final = "__cluster_metadata"
FIRST_LEADER_EPOCH: Final = 0
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]+")


class NewTopic(NamedTuple):
    """A topic to create; -1 means the broker's default.

    `assignments` pairs a partition with the ids of its replicas; with it, both counts must be -1.
    """

    name: str
    num_partitions: int = USE_DEFAULT
    replication_factor: int = USE_DEFAULT
    assignments: tuple[tuple[int, tuple[int, ...]], ...] = ()
    configs: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class NewPartitions:
    """A topic to grow to `count` partitions; `assignments` holds the new ones' replicas."""

    name: str
    count: int
    assignments: tuple[tuple[int, ...], ...] | None = None


class FoundTopic(NamedTuple):
    """A topic whose logs lie in the data directories, put there by somebody else.

    `topic_id` is None where its directories do not say it. `leader_epochs` has the first leader
    epoch of each partition that is there, `NO_LEADER_EPOCH` where the log cannot be used as it is.
    `partition_count` is how many partitions an internal topic has had, if its records tell.
    """

    name: str
    topic_id: bytes | None
    leader_epochs: Mapping[int, int]
    partition_count: int = 0


class TopicToDelete(NamedTuple):
    """A topic to delete, by its name or by its id."""

    name: str | None = None
    topic_id: bytes | None = None


def is_internal_topic(name: str) -> bool:
    """Say whether the broker itself keeps its state in the topic of this name."""
    return name in INTERNAL_TOPICS


def is_valid_topic_name(name: str) -> bool:
    """Say whether a topic may have this name."""
    return _name_defect(name) is None


def validate_topic_name(name: str) -> None:
    """Refuse a name that no topic may have.

    Raises:
        KafkaError: INVALID_TOPIC_EXCEPTION.
    """
    defect = _name_defect(name)
    if defect is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {defect}")


def _name_defect(name: str) -> str | None:
    if not name:
        return "the empty string is not allowed"
    if name in (".", ".."):
        return f"'{name}' is not allowed"
    if len(name) > MAX_TOPIC_NAME_CHARACTERS:
        return (
            f"the length of '{name}' is longer than the max allowed length "
            f"{MAX_TOPIC_NAME_CHARACTERS}"
        )
    if _LEGAL_NAME.fullmatch(name) is None:
        return (
            f"'{name}' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'"
        )
    return None


def collision_index(topics: Iterable[str]) -> dict[str, str]:
    """Return the names that hold `.` or `_`, by their form with `_` only."""
    return {name.replace(".", "_"): name for name in topics if "." in name or "_" in name}


def validate_new_name(name: str, topics: Container[str], collisions: Mapping[str, str]) -> None:
    """Refuse a name that is bad, taken, or the same as another but for `.` and `_`.

    Metric names make no difference between the two characters, hence Kafka's rule.

    Args:
        name: The name of a topic to create.
        topics: The names that are taken.
        collisions: The `collision_index` of these.

    Raises:
        KafkaError: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION or TOPIC_ALREADY_EXISTS.
    """
    if name == CLUSTER_METADATA_TOPIC:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.",
        )
    validate_topic_name(name)
    if name in topics:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    if "." in name or "_" in name:
        other = collisions.get(name.replace(".", "_"))
        if other is not None:
            raise KafkaError(
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                f"Topic '{name}' collides with existing topic: {other}",
            )


def plan_partitions(
    topic: NewTopic,
    brokers: Mapping[int, BrokerImage],
    *,
    num_partitions: int,
    replication_factor: int,
    cap_replication_factor: bool,
) -> tuple[PartitionImage, ...]:
    """Lay out the partitions of a new topic.

    Args:
        topic: What is asked for.
        brokers: The live brokers.
        num_partitions: The default.
        replication_factor: The default.
        cap_replication_factor: Lower a factor above the number of live brokers to that number
            instead of refusing it.

    Raises:
        KafkaError: INVALID_REQUEST, INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR or
            INVALID_PARTITIONS.
    """
    if topic.assignments:
        return _plan_assigned(topic, brokers)
    factor, count = topic.replication_factor, topic.num_partitions
    if factor == 0 or factor < USE_DEFAULT:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if count == 0 or count < USE_DEFAULT:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        )
    factor = replication_factor if factor == USE_DEFAULT else factor
    count = num_partitions if count == USE_DEFAULT else count
    if cap_replication_factor:
        factor = min(factor, len(brokers))
    return place_partitions(range(count), factor, brokers)


def _plan_assigned(
    topic: NewTopic, brokers: Mapping[int, BrokerImage]
) -> tuple[PartitionImage, ...]:
    for what, value in (
        ("replication factor", topic.replication_factor),
        ("numPartitions", topic.num_partitions),
    ):
        if value != USE_DEFAULT:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"A manual partition assignment was specified, but {what} was not set to -1.",
            )
    replicas_of: dict[int, tuple[int, ...]] = {}
    factor: int | None = None
    for partition, replicas in topic.assignments:
        if partition in replicas_of:
            raise _bad_assignment(
                f"Found multiple manual partition assignments for partition {partition}"
            )
        validate_replicas(replicas, brokers, factor)
        factor = len(replicas)
        replicas_of[partition] = replicas
    if sorted(replicas_of) != list(range(len(replicas_of))):
        raise _bad_assignment("partitions should be a consecutive 0-based integer sequence")
    return tuple(new_partition(index, replicas_of[index]) for index in range(len(replicas_of)))


def validate_replicas(
    replicas: Sequence[int], brokers: Collection[int], replication_factor: int | None = None
) -> None:
    """Refuse a manual list of replicas that is empty, repeats a broker or names an unknown one.

    Args:
        replicas: The broker ids.
        brokers: The live brokers' ids.
        replication_factor: How many replicas the topic's other partitions have.

    Raises:
        KafkaError: INVALID_REPLICA_ASSIGNMENT.
    """
    if not replicas:
        raise _bad_assignment("The manual partition assignment includes an empty replica list.")
    previous: int | None = None
    for broker in sorted(replicas):
        if broker not in brokers:
            raise _bad_assignment(
                f"The manual partition assignment includes broker {broker}, but no such broker "
                "is registered."
            )
        if broker == previous:
            raise _bad_assignment(
                f"The manual partition assignment includes the broker {broker} more than once."
            )
        previous = broker
    if replication_factor is not None and len(replicas) != replication_factor:
        raise _bad_assignment(
            f"The manual partition assignment includes a partition with {len(replicas)} "
            f"replica(s), but this is not consistent with previous partitions, which have "
            f"{replication_factor} replica(s)."
        )


def _bad_assignment(message: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)


def place_partitions(
    partitions: range, replication_factor: int, brokers: Mapping[int, BrokerImage]
) -> tuple[PartitionImage, ...]:
    """Spread partitions over the brokers, each starting one broker later.

    Raises:
        KafkaError: INVALID_REPLICATION_FACTOR: there are fewer brokers than replicas.
    """
    ids = sorted(brokers)
    if replication_factor > len(ids):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): The target "
            f"replication factor of {replication_factor} cannot be reached because only "
            f"{len(ids)} broker(s) are registered or some brokers have all their log "
            "directories cordoned.",
        )
    return tuple(
        new_partition(
            index,
            tuple(ids[(index + step) % len(ids)] for step in range(replication_factor)),
        )
        for index in partitions
    )


def new_partition(partition: int, replicas: tuple[int, ...]) -> PartitionImage:
    """Return a partition that its first replica leads, with all replicas in sync."""
    leader = replicas[0] if replicas else NO_LEADER
    return PartitionImage(partition, leader, FIRST_LEADER_EPOCH, replicas, replicas)


def adopt(
    found: FoundTopic,
    known: TopicImage | None,
    new_id: bytes,
    node_id: int,
    configs: Mapping[str, str],
    min_partitions: int = 0,
) -> TopicImage:
    """Make a topic of logs that were found, or grow a known one by partitions that were found.

    This broker leads every partition. One whose log cannot be used has no leader epoch, until it
    is found again and can.

    Args:
        found: What is there.
        known: The topic of this id in the metadata, if there is one.
        new_id: Its id if the directories do not say one.
        node_id: This broker.
        configs: Settings of a new topic.
        min_partitions: How many partitions a new topic has at least.
    """
    count = max(min_partitions, max(found.leader_epochs) + 1)
    before = known.partitions if known is not None else ()
    epochs = found.leader_epochs
    kept = tuple(
        replace(partition, leader_epoch=epochs.get(partition.partition, NO_LEADER_EPOCH))
        if partition.leader_epoch == NO_LEADER_EPOCH
        else partition
        for partition in before
    )
    added = tuple(
        replace(
            new_partition(index, (node_id,)), leader_epoch=epochs.get(index, FIRST_LEADER_EPOCH)
        )
        for index in range(len(before), count)
    )
    if known is not None:
        return replace(known, partitions=kept + added)
    return TopicImage(found.name, found.topic_id or new_id, added, MappingProxyType(dict(configs)))


def grow(
    topic: TopicImage, wanted: NewPartitions, brokers: Mapping[int, BrokerImage]
) -> TopicImage:
    """Add partitions to a topic, with as many replicas as its first one has.

    Raises:
        KafkaError: INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR.
    """
    present = len(topic.partitions)
    if wanted.count == present:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {present} partition(s).")
    if wanted.count < present:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {topic.name} currently has {present} partition(s); {wanted.count} "
            "would not be an increase.",
        )
    factor = len(topic.partitions[0].replicas) if topic.partitions else 1
    added = range(present, wanted.count)
    if wanted.assignments is None:
        new = place_partitions(added, factor, brokers)
        return replace(topic, partitions=topic.partitions + new)
    if len(wanted.assignments) != len(added):
        raise _bad_assignment(
            f"Attempted to add {len(added)} additional partition(s), but only "
            f"{len(wanted.assignments)} assignment(s) were specified."
        )
    for replicas in wanted.assignments:
        validate_replicas(replicas, brokers, factor)
    new = tuple(map(new_partition, added, wanted.assignments))
    return replace(topic, partitions=topic.partitions + new)


def find_topics_to_delete(
    wanted: Sequence[TopicToDelete], image: MetadataImage
) -> list[TopicImage | KafkaError]:
    """Return, in the order of the request, the topics that deletions mean, or why not.

    A topic that is named more than once, or named and given by id, is not deleted at all.
    Errors: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID.
    """
    names = Counter(item.name for item in wanted if item.topic_id is None)
    ids = Counter(item.topic_id for item in wanted if item.name is None)
    return [_find_topic_to_delete(item, image, names, ids) for item in wanted]


def _find_topic_to_delete(
    item: TopicToDelete,
    image: MetadataImage,
    names: Counter[str | None],
    ids: Counter[bytes | None],
) -> TopicImage | KafkaError:
    if item.name is None and item.topic_id is None:
        return KafkaError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    if item.name is not None and item.topic_id is not None:
        return KafkaError(
            ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id."
        )
    if item.name is None:
        if ids[item.topic_id] > 1:
            return KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic id.")
        topic = image.topics_by_id.get(item.topic_id or b"")
        if topic is None:
            return KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
        twice = topic.name in names
    else:
        if names[item.name] > 1:
            return KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
        topic = image.topics.get(item.name)
        if topic is None:
            return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        twice = topic.topic_id in ids
    if twice:
        return KafkaError(
            ErrorCode.INVALID_REQUEST,
            "The provided topic name maps to an ID that was already supplied.",
        )
    return topic
