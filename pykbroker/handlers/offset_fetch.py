"""OffsetFetch (API key 9), versions 1-10: how far has a group read?

v2+ asks for all partitions with null and has an error at the top, v5 adds the leader epoch
(KIP-320), v6 is flexible, v7 can wait out open transactions (require_stable, KIP-447), v8+ asks for
many groups with an error each (KIP-709), v9 adds the member and its epoch (KIP-848; a classic group
does not look at them), v10 names topics by id (KIP-848).

All are served by the v8 shape. A partition without an offset, and one of a group that does not
exist, has the offset -1 and no error.
"""

from typing import Final

from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from pykbroker.protocol.primitives import NULL_UUID
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_TOP_LEVEL_ERROR: Final = 2
FIRST_BATCHED_VERSION: Final = 8  # KIP-709
FIRST_VERSION_BY_TOPIC_ID: Final = 10  # KIP-848
NO_OFFSET: Final = -1


async def handle(context: RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse:
    """Ask the coordinator of each group.

    Errors: UNKNOWN_TOPIC_ID (v10+) and UNSTABLE_OFFSET_COMMIT per partition; those of every group
    request per group. Clients do not know COORDINATOR_NOT_AVAILABLE here.
    """
    is_batched = context.api_version >= FIRST_BATCHED_VERSION
    asked = request.groups if is_batched else [_as_group(request)]
    answers = [await _fetch(context, group, request.require_stable) for group in asked]
    if is_batched:
        return OffsetFetchResponse(groups=answers)
    (only,) = answers
    topics = [_as_old_topic(topic) for topic in only.topics]
    if only.error_code and context.api_version < FIRST_VERSION_WITH_TOP_LEVEL_ERROR:
        return error_response(request, ErrorCode(only.error_code))
    return OffsetFetchResponse(error_code=only.error_code, topics=topics)


def error_response(
    request: OffsetFetchRequest, code: ErrorCode, message: str | None = None
) -> OffsetFetchResponse:
    """Answer with the same error for all groups; before v2 only partitions can tell it."""
    return OffsetFetchResponse(
        error_code=code,
        groups=[
            OffsetFetchResponseGroup(group_id=g.group_id, error_code=code) for g in request.groups
        ],
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=index,
                        committed_offset=NO_OFFSET,
                        metadata="",
                        error_code=code,
                    )
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or []
        ],
    )


async def _fetch(
    context: RequestContext, group: OffsetFetchRequestGroup, require_stable: bool
) -> OffsetFetchResponseGroup:
    image = context.broker.metadata.image
    unknown: list[OffsetFetchRequestTopics] = []
    by_id = context.api_version >= FIRST_VERSION_BY_TOPIC_ID
    if by_id and group.topics is not None:
        unknown = [topic for topic in group.topics if topic.topic_id not in image.topics_by_id]
        group.topics = [topic for topic in group.topics if topic.topic_id in image.topics_by_id]
        for topic in group.topics:
            topic.name = image.topics_by_id[topic.topic_id].name
    try:
        answer = await context.broker.groups.fetch_offsets(group, require_stable=require_stable)
    except KafkaError as error:
        return OffsetFetchResponseGroup(group_id=group.group_id, error_code=error.code)
    if by_id:
        answer.topics = _with_ids(image, answer.topics)
        answer.topics.extend(_unknown_id(topic) for topic in unknown)
    return answer


def _with_ids(
    image: MetadataImage, topics: list[OffsetFetchResponseTopics]
) -> list[OffsetFetchResponseTopics]:
    """Give topics their ids; one that is gone has none and is left out."""
    for topic in topics:
        found = image.topic(topic.name)
        if topic.topic_id == NULL_UUID and found is not None:
            topic.topic_id = found.topic_id
    return [topic for topic in topics if topic.topic_id != NULL_UUID]


def _unknown_id(topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        topic_id=topic.topic_id,
        partitions=[
            OffsetFetchResponsePartitions(
                partition_index=index,
                committed_offset=NO_OFFSET,
                metadata="",
                error_code=ErrorCode.UNKNOWN_TOPIC_ID,
            )
            for index in topic.partition_indexes
        ],
    )


def _as_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup:
    if request.topics is None:
        return OffsetFetchRequestGroup(group_id=request.group_id, topics=None)
    return OffsetFetchRequestGroup(
        group_id=request.group_id,
        topics=[
            OffsetFetchRequestTopics(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in request.topics
        ],
    )


def _as_old_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic:
    return OffsetFetchResponseTopic(
        name=topic.name,
        partitions=[
            OffsetFetchResponsePartition(
                partition_index=partition.partition_index,
                committed_offset=partition.committed_offset,
                committed_leader_epoch=partition.committed_leader_epoch,
                metadata=partition.metadata,
                error_code=partition.error_code,
            )
            for partition in topic.partitions
        ],
    )
