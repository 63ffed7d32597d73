"""OffsetDelete (API key 47), version 0 (KIP-496): forget committed offsets."""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from pykbroker.request_context import RequestContext


async def handle(context: RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse:
    """Delete what the metadata knows, and answer for the rest.

    Errors of a partition: UNKNOWN_TOPIC_OR_PARTITION, GROUP_SUBSCRIBED_TO_TOPIC. Errors at the top:
    GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, INVALID_GROUP_ID, and those of every group request.
    """
    image = context.broker.metadata.image
    unknown: dict[str, list[int]] = {}
    known: list[OffsetDeleteRequestTopic] = []
    for topic in request.topics:
        if image.topic(topic.name) is None:
            unknown.setdefault(topic.name, [])  # It is told of even where no partition is named.
        existing = []
        for partition in topic.partitions:
            if image.partition(topic.name, partition.partition_index) is None:
                unknown.setdefault(topic.name, []).append(partition.partition_index)
            else:
                existing.append(partition)
        if existing:
            known.append(OffsetDeleteRequestTopic(name=topic.name, partitions=existing))
    response = await context.broker.groups.delete_offsets(
        OffsetDeleteRequest(group_id=request.group_id, topics=known)
    )
    by_name = {topic.name: topic for topic in response.topics}
    for name, indexes in unknown.items():
        if name not in by_name:
            by_name[name] = OffsetDeleteResponseTopic(name=name)
            response.topics.append(by_name[name])
        by_name[name].partitions.extend(
            OffsetDeleteResponsePartition(
                partition_index=index, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            )
            for index in indexes
        )
    return response


def error_response(
    request: OffsetDeleteRequest, code: ErrorCode, message: str | None = None
) -> OffsetDeleteResponse:
    """Answer with an error and no topics."""
    return OffsetDeleteResponse(error_code=code)
