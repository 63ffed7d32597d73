"""OffsetCommit, TxnOffsetCommit, OffsetFetch and OffsetDelete for one group.

The handler has left out what the metadata does not know, and has given topics both their name and
their id.

Source: KIP-98, KIP-211, KIP-320, KIP-447, KIP-496; Kafka's OffsetMetadataManager and ClassicGroup.
"""

from typing import Final

from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.java_text import utf16_length
from pykbroker.coordinator.group.kinds import AnyGroup, kind_of
from pykbroker.coordinator.group.offsets import CommittedOffset, OffsetStore
from pykbroker.coordinator.group.records import (
    NO_EXPIRY,
    NO_LEADER_EPOCH,
    offset_commit_record,
    offset_tombstone,
)
from pykbroker.coordinator.group.step import Step
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitValue
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from pykbroker.protocol.primitives import NULL_UUID

NO_OFFSET: Final = -1
FIRST_VERSION_WITH_MEMBER_EPOCH: Final = 9  # KIP-848; it has GROUP_ID_NOT_FOUND too
DEFAULT_RETENTION: Final = -1  # the broker decides; OffsetCommit v2 to v4 may say otherwise


def _as_java_long(value: int) -> int:
    """Wrap around where Kafka's sums do; what has no room in a record could not be written."""
    return (value + 2**63) % 2**64 - 2**63


def commit(
    group: AnyGroup | None, step: Step, request: OffsetCommitRequest, *, api_version: int
) -> OffsetCommitResponse:
    """Write down the offsets; a commit also keeps the member's session alive.

    A group of None is one that does not exist: a commit by generation -1 creates it.

    Raises:
        KafkaError: What the kind of group refuses; for a missing group GROUP_ID_NOT_FOUND, or
            ILLEGAL_GENERATION before OffsetCommit v9.
    """
    limit = step.settings.offset_metadata_max_bytes
    is_old = api_version < FIRST_VERSION_WITH_MEMBER_EPOCH
    if group is not None:
        kind = kind_of(group)
        committer = Committer(
            request.member_id,
            request.group_instance_id,
            request.generation_id_or_member_epoch,
            partitions=(
                (topic.topic_id, partition.partition_index)
                for topic in request.topics
                for partition in topic.partitions
                if not _is_too_large(partition.committed_metadata, limit)
            ),
            knows_member_epochs=not is_old,
        )
        kind.check_commit(group, committer)
        kind.has_committed(group, step, request.member_id)
    elif request.generation_id_or_member_epoch >= 0:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION if is_old else ErrorCode.GROUP_ID_NOT_FOUND)

    expire_ms = NO_EXPIRY
    if request.retention_time_ms != DEFAULT_RETENTION:
        expire_ms = _as_java_long(step.now_ms + request.retention_time_ms)
    response = OffsetCommitResponse()
    for topic in request.topics:
        answer = OffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id)
        response.topics.append(answer)
        for partition in topic.partitions:
            error_code = ErrorCode.NONE
            if _is_too_large(partition.committed_metadata, limit):
                error_code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            else:
                value = _value(partition, topic.topic_id, step.now_ms, expire_ms)
                step.records.append(
                    offset_commit_record(
                        request.group_id, topic.name, partition.partition_index, value
                    )
                )
            answer.partitions.append(
                OffsetCommitResponsePartition(
                    partition_index=partition.partition_index, error_code=error_code
                )
            )
    return response


def commit_in_transaction(
    group: AnyGroup | None, step: Step, request: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Write down offsets of a transaction, which count from its commit marker on.

    No session is kept alive by that. The topics' ids are not written down, as in Kafka.

    Raises:
        KafkaError: What the kind of group refuses, but ILLEGAL_GENERATION for STALE_MEMBER_EPOCH,
            and for a member of a missing group: the request knows no member epochs.
    """
    limit = step.settings.offset_metadata_max_bytes
    if group is not None:
        committer = Committer(
            request.member_id,
            request.group_instance_id,
            request.generation_id,
            partitions=(
                (_topic_id(step, topic.name), partition.partition_index)
                for topic in request.topics
                for partition in topic.partitions
                if not _is_too_large(partition.committed_metadata, limit)
            ),
            is_transactional=True,
        )
        try:
            kind_of(group).check_commit(group, committer)
        except KafkaError as error:
            if error.code is ErrorCode.STALE_MEMBER_EPOCH:
                raise KafkaError(ErrorCode.ILLEGAL_GENERATION) from error
            raise
    elif request.generation_id >= 0:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)

    response = TxnOffsetCommitResponse()
    for topic in request.topics:
        answer = TxnOffsetCommitResponseTopic(name=topic.name)
        response.topics.append(answer)
        for partition in topic.partitions:
            index = partition.partition_index
            error_code = ErrorCode.NONE
            if _is_too_large(partition.committed_metadata, limit):
                error_code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            else:
                value = _value(partition, NULL_UUID, step.now_ms, NO_EXPIRY)
                step.records.append(
                    offset_commit_record(request.group_id, topic.name, index, value)
                )
            answer.partitions.append(
                TxnOffsetCommitResponsePartition(partition_index=index, error_code=error_code)
            )
    return response


def _topic_id(step: Step, name: str) -> bytes:
    topic = step.topics.topics.get(name)
    return NULL_UUID if topic is None else topic.topic_id


def _is_too_large(metadata: str | None, limit: int) -> bool:
    return metadata is not None and utf16_length(metadata) > limit


def _value(
    partition: OffsetCommitRequestPartition | TxnOffsetCommitRequestPartition,
    topic_id: bytes,
    now_ms: int,
    expire_ms: int,
) -> OffsetCommitValue:
    return OffsetCommitValue(
        offset=partition.committed_offset,
        leader_epoch=partition.committed_leader_epoch,
        metadata=partition.committed_metadata or "",
        commit_timestamp=now_ms,
        expire_timestamp=expire_ms,
        topic_id=topic_id,
    )


def fetch(
    group: AnyGroup | None,
    offsets: OffsetStore,
    request: OffsetFetchRequestGroup,
    *,
    require_stable: bool,
) -> OffsetFetchResponseGroup:
    """Return the offsets of the partitions asked for, or of all where none are named.

    A group or partition that is not known has the offset -1 and no error.

    Raises:
        KafkaError: Who asks says that it is a member, and is not.
    """
    if group is not None:
        kind_of(group).check_fetch(group, request)
    response = OffsetFetchResponseGroup(group_id=request.group_id)
    committed = offsets.of_group(request.group_id)
    if request.topics is None:
        for topic, partitions in committed.items():
            answer = OffsetFetchResponseTopics(name=topic)
            for index, offset in partitions.items():
                answer.topic_id = offset.topic_id
                is_unstable = require_stable and offsets.has_pending(request.group_id, topic, index)
                answer.partitions.append(_fetched(index, offset, is_unstable=is_unstable))
            response.topics.append(answer)
        return response

    for asked in request.topics:
        answer = OffsetFetchResponseTopics(name=asked.name, topic_id=asked.topic_id)
        for index in asked.partition_indexes:
            found = committed.get(asked.name, {}).get(index)
            if found is not None and not found.is_of_topic(asked.topic_id):
                found = None
            is_unstable = require_stable and offsets.has_pending(
                request.group_id, asked.name, index
            )
            answer.partitions.append(_fetched(index, found, is_unstable=is_unstable))
        response.topics.append(answer)
    return response


def _fetched(
    index: int, found: CommittedOffset | None, *, is_unstable: bool
) -> OffsetFetchResponsePartitions:
    if found is None or is_unstable:
        return OffsetFetchResponsePartitions(
            partition_index=index,
            committed_offset=NO_OFFSET,
            committed_leader_epoch=NO_LEADER_EPOCH,
            metadata="",
            error_code=ErrorCode.UNSTABLE_OFFSET_COMMIT if is_unstable else ErrorCode.NONE,
        )
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=found.offset,
        committed_leader_epoch=found.leader_epoch,
        metadata=found.metadata,
    )


def delete(
    group: AnyGroup, offsets: OffsetStore, step: Step, request: OffsetDeleteRequest
) -> OffsetDeleteResponse:
    """Forget offsets of topics that no member consumes.

    Raises:
        KafkaError: NON_EMPTY_GROUP for a group with members whose subscriptions are opaque.
    """
    kind = kind_of(group)
    kind.check_offset_delete(group)
    response = OffsetDeleteResponse()
    for topic in request.topics:
        is_consumed = kind.is_subscribed_to(group, topic.name)
        error_code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if is_consumed else ErrorCode.NONE
        answer = OffsetDeleteResponseTopic(name=topic.name)
        for partition in topic.partitions:
            index = partition.partition_index
            answer.partitions.append(
                OffsetDeleteResponsePartition(partition_index=index, error_code=error_code)
            )
            if not is_consumed and offsets.has_any(request.group_id, topic.name, index):
                step.records.append(offset_tombstone(request.group_id, topic.name, index))
        response.topics.append(answer)
    return response
