"""`pykbroker groups reset-offsets`: where a group is to go on reading.

A target says one place for all partitions; what lies outside of a partition's log is moved to its
nearer end. Source: KIP-122, and what Kafka's consumer-groups tool does.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pykbroker.client import EARLIEST, LATEST, Client, check
from pykbroker.commands.group_views import Partition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.metadata import MetadataResponseTopic
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)

NO_GENERATION: Final = -1
NO_LEADER_EPOCH: Final = -1

_DURATION: Final = re.compile(
    r"P?(?:(?P<days>\d+)D)?T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)S)?",
    re.IGNORECASE,
)
_UNIT_MS: Final = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


class TargetError(Exception):
    """Where to go cannot be understood, or does not make sense; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: one of the fields is set, or neither for where the group is now."""

    place: int | None = None
    """EARLIEST or LATEST."""
    offset: int | None = None
    shift: int | None = None
    timestamp_ms: int | None = None
    """The first record of this time or later; the end where there is none."""


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one partition's offset."""

    topic: str
    partition: int
    current: int | None
    new: int
    end: int


def parse_topic(text: str) -> tuple[str, list[int] | None]:
    """Read `TOPIC` or `TOPIC:0,2`; no partitions means all.

    Raises:
        TargetError: What is behind the colon are no partitions.
    """
    topic, colon, rest = text.partition(":")
    if not colon:
        return topic, None
    try:
        return topic, sorted({int(part) for part in rest.split(",")})
    except ValueError:
        raise TargetError(f"{text}: expected TOPIC or TOPIC:0,1,2") from None


def parse_time(text: str) -> int:
    """Read `2026-11-21T10:00:00`, in UTC unless it says otherwise, as milliseconds.

    Raises:
        TargetError: It is no time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise TargetError(f"{text}: expected a time such as 2026-11-21T10:00:00") from None
    return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp() * 1000)


def parse_duration(text: str) -> int:
    """Read `PT1H30M` or `1h30m` as milliseconds.

    Raises:
        TargetError: It is no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise TargetError(f"{text}: expected a duration such as PT1H30M, 90m or 7d")
    parts = found.groupdict(default="0")
    return int(sum(float(parts[unit]) * ms for unit, ms in _UNIT_MS.items()))


def ago_ms(duration_ms: int) -> int:
    """The wall time so long before now."""
    return int(time.time() * 1000) - duration_ms


def plan(
    client: Client,
    topic: MetadataResponseTopic,
    partitions: Sequence[int],
    committed: Mapping[Partition, int],
    target: Target,
) -> list[Move]:
    """Find the new offset of each partition of one topic; nothing is changed.

    Raises:
        TargetError: A partition has no offset that could be kept or shifted.
        KafkaError: The topic's leader refused.
    """
    name = topic.name or ""
    starts = client.offsets(topic, partitions, EARLIEST)
    ends = client.offsets(topic, partitions, LATEST)
    found: Mapping[int, int] = {}
    if target.timestamp_ms is not None:
        found = client.offsets(topic, partitions, target.timestamp_ms)
    moves = []
    for index in partitions:
        current = committed.get((name, index))
        if target.place is not None:
            wanted = starts[index] if target.place == EARLIEST else ends[index]
        elif target.timestamp_ms is not None:
            wanted = found[index] if found[index] >= 0 else ends[index]
        elif target.offset is not None:
            wanted = target.offset
        elif current is None:
            raise TargetError(
                f"{name}:{index} has no committed offset to start from; name the partitions that "
                "have one, or choose another place"
            )
        else:
            wanted = current + (target.shift or 0)
        new = min(max(wanted, starts[index]), ends[index])
        moves.append(Move(name, index, current, new, ends[index]))
    return moves


def carry_out(client: Client, group_id: str, moves: Iterable[Move], coordinator: int) -> None:
    """Commit the new offsets in the name of a group that has no members.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, somebody has joined meanwhile; or what else was refused.
    """
    topics: dict[str, OffsetCommitRequestTopic] = {}
    for move in moves:
        topic = topics.setdefault(move.topic, OffsetCommitRequestTopic(name=move.topic))
        topic.partitions.append(
            OffsetCommitRequestPartition(
                partition_index=move.partition,
                committed_offset=move.new,
                committed_leader_epoch=NO_LEADER_EPOCH,
                committed_metadata="",
            )
        )
    request = OffsetCommitRequest(
        group_id=group_id,
        generation_id_or_member_epoch=NO_GENERATION,
        topics=list(topics.values()),
    )
    for answer in client.call(request, OffsetCommitResponse, coordinator).topics:
        for partition in answer.partitions:
            if partition.error_code == ErrorCode.UNKNOWN_MEMBER_ID:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, has_members(group_id))
            check(partition.error_code, f"{answer.name}:{partition.partition_index}")


def has_members(group_id: str) -> str:
    """Why offsets of a group that is read with are left alone, and what to do."""
    return (
        f"group {group_id} has members, which would commit over the new offsets; stop them first "
        f"('pykbroker groups describe {group_id}' shows them)"
    )
