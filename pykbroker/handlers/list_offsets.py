"""ListOffsets (API key 2), versions 1-11.

v2 isolation level; v4 leader epochs (KIP-320); v5 OFFSET_NOT_AVAILABLE (KIP-207), which a single
replica never needs; v6 flexible; v7 max timestamp (KIP-734); v8 earliest local offset and v9 last
tiered offset (KIP-405); v10 timeout (KIP-1075); v11 earliest offset that is not uploaded yet
(KIP-1023). There is no tiered storage: local is all there is, and nothing is uploaded.

A timestamp of 0 or more asks for the first record at or after that time; that may have to read the
disk, so it runs in a thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from pykbroker.leadership import led_log
from pykbroker.protocol.errors import CorruptBatchError, ErrorCode, KafkaError
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from pykbroker.request_context import RequestContext
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.log_search import TimestampedOffset
from pykbroker.storage.partition_log import PartitionLog

logger = logging.getLogger(__name__)

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
EARLIEST_PENDING_UPLOAD: Final = -6
# The version from which each of them may be asked for.
FIRST_VERSION_WITH: Final = {
    LATEST: 1,
    EARLIEST: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL: 8,
    LATEST_TIERED: 9,
    EARLIEST_PENDING_UPLOAD: 11,
}

READ_COMMITTED: Final = 1
CONSUMER_REPLICA_ID: Final = -1
UNKNOWN: Final = -1

# An answer, or how to get it in a thread.
Lookup = Callable[[], TimestampedOffset | None]
Search = tuple[ListOffsetsPartitionResponse, Lookup]


def handle(
    context: RequestContext, request: ListOffsetsRequest
) -> ListOffsetsResponse | Awaitable[ListOffsetsResponse]:
    """Find offsets by time.

    Per partition: INVALID_REQUEST (named twice), UNSUPPORTED_VERSION (a special timestamp that the
    version does not have), UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
    FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR. What is not found has offset -1.
    """
    if request.topics and request.isolation_level not in (0, READ_COMMITTED):
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "the isolation level must be 0 or 1")
    searches: list[Search] = []
    topics = _distinct(request)
    response = ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=name,
                partitions=[
                    _duplicate(asked)
                    if is_duplicate
                    else _find(context, request, name, asked, searches)
                    for asked, is_duplicate in partitions.values()
                ],
            )
            for name, partitions in topics.items()
            if partitions
        ]
    )
    return _search(response, searches) if searches else response


def error_response(
    request: ListOffsetsRequest, code: ErrorCode, message: str | None = None
) -> ListOffsetsResponse:
    """Answer with the same error for every partition."""
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[
                    ListOffsetsPartitionResponse(asked.partition_index, code)
                    for asked in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def _distinct(
    request: ListOffsetsRequest,
) -> dict[str, dict[int, tuple[ListOffsetsPartition, bool]]]:
    """Return each partition once, with whether it was named more than once."""
    topics: dict[str, dict[int, tuple[ListOffsetsPartition, bool]]] = {}
    for topic in request.topics:
        partitions = topics.setdefault(topic.name, {})
        for asked in topic.partitions:
            is_duplicate = asked.partition_index in partitions
            partitions[asked.partition_index] = (asked, is_duplicate)
    return topics


def _duplicate(asked: ListOffsetsPartition) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(asked.partition_index, ErrorCode.INVALID_REQUEST)


def _find(
    context: RequestContext,
    request: ListOffsetsRequest,
    topic: str,
    asked: ListOffsetsPartition,
    searches: list[Search],
) -> ListOffsetsPartitionResponse:
    """Answer one partition, or leave the answer to a search that is added to `searches`."""
    response = ListOffsetsPartitionResponse(asked.partition_index)
    timestamp = asked.timestamp
    if timestamp < 0 and context.api_version < FIRST_VERSION_WITH.get(timestamp, 1 << 15):
        response.error_code = ErrorCode.UNSUPPORTED_VERSION
        return response
    epoch = asked.current_leader_epoch
    try:
        log = led_log(
            context.broker, topic, asked.partition_index, None if epoch == UNKNOWN else epoch
        )
    except KafkaError as error:
        response.error_code = error.code
        return response

    up_to = _end_for(request, log)
    if timestamp == LATEST:
        response.offset, response.leader_epoch = up_to, log.leader_epoch
    elif timestamp in (EARLIEST, EARLIEST_LOCAL):
        response.offset = log.log_start_offset
        response.leader_epoch = _epoch_of_start(log)
    elif timestamp == MAX_TIMESTAMP:
        searches.append((response, lambda: log.max_timestamp_offset(up_to)))
    elif timestamp >= 0 and log.log_start_offset < up_to:
        searches.append((response, lambda: log.offset_for_timestamp(timestamp, up_to)))
    return response


def _end_for(request: ListOffsetsRequest, log: PartitionLog) -> int:
    """Return the offset that the client may read up to."""
    if request.replica_id != CONSUMER_REPLICA_ID:
        return log.log_end_offset
    if request.isolation_level == READ_COMMITTED:
        return log.last_stable_offset
    return log.high_watermark


def _epoch_of_start(log: PartitionLog) -> int:
    """Return the epoch of the log start offset; where nothing is, the next record's epoch."""
    epoch = log.epoch_at(log.log_start_offset)
    return log.leader_epoch if epoch < 0 else epoch


async def _search(response: ListOffsetsResponse, searches: list[Search]) -> ListOffsetsResponse:
    """Run the searches one after another in a thread."""
    for partition, lookup in searches:
        try:
            found = await asyncio.to_thread(lookup)
        except (OSError, CorruptBatchError, DamagedSegmentError) as error:
            logger.error("search failed partition=%d error=%s", partition.partition_index, error)
            partition.error_code = ErrorCode.KAFKA_STORAGE_ERROR
            continue
        if found is not None:
            partition.offset = found.offset
            partition.timestamp = found.timestamp
            partition.leader_epoch = found.leader_epoch
    return response
