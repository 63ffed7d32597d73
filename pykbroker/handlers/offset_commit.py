"""OffsetCommit (API key 8), versions 2-10: remember how far a group has read.

v2-v4 may name how long the offset is kept (KIP-211 took that away), v6 adds the leader epoch
(KIP-320), v7 static membership (KIP-345), v8 is flexible, v9 adds member epochs and the error
GROUP_ID_NOT_FOUND (KIP-848), v10 names topics by id (KIP-848).
"""

from collections.abc import Callable
from typing import Final

from pykbroker.metadata.image import MetadataImage, TopicImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from pykbroker.request_context import Deferred, RequestContext

FIRST_VERSION_BY_TOPIC_ID: Final = 10  # KIP-848


def handle(
    context: RequestContext, request: OffsetCommitRequest
) -> OffsetCommitResponse | Deferred[OffsetCommitResponse]:
    """Commit what is known of the metadata, and answer for the rest.

    Errors are per partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID (v10+),
    OFFSET_METADATA_TOO_LARGE; on every known partition alike UNKNOWN_MEMBER_ID,
    ILLEGAL_GENERATION, FENCED_INSTANCE_ID, REBALANCE_IN_PROGRESS, GROUP_ID_NOT_FOUND (v9+), and
    those of every group request.
    """
    image = context.broker.metadata.image
    by_id = context.api_version >= FIRST_VERSION_BY_TOPIC_ID
    refused: list[OffsetCommitResponseTopic] = []
    known: list[OffsetCommitRequestTopic] = []
    for topic in request.topics:
        found = image.topics_by_id.get(topic.topic_id) if by_id else image.topic(topic.name)
        if found is None:
            code = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            refused.append(_refuse(topic, topic.partitions, code))
            continue
        topic.name, topic.topic_id = found.name, found.topic_id
        missing = [p for p in topic.partitions if not _exists(image, found, p)]
        if missing:
            refused.append(_refuse(topic, missing, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
            topic.partitions = [p for p in topic.partitions if _exists(image, found, p)]
        if topic.partitions:
            known.append(topic)
    if not known:
        return OffsetCommitResponse(topics=_merge(refused))

    request.topics = known

    def with_refused(make: Callable[[], OffsetCommitResponse]) -> OffsetCommitResponse:
        try:
            response = make()
        except KafkaError as error:
            response = error_response(request, error.code)
        return _with_refused(response, refused)

    try:
        answer = context.broker.groups.commit_offsets(request, context.api_version)
    except KafkaError as error:
        answer = error_response(request, error.code)
    if isinstance(answer, Deferred):
        return answer.then(with_refused)
    return _with_refused(answer, refused)


def error_response(
    request: OffsetCommitRequest, code: ErrorCode, message: str | None = None
) -> OffsetCommitResponse:
    """Answer with the same error on every partition."""
    return OffsetCommitResponse(
        topics=[_refuse(topic, topic.partitions, code) for topic in request.topics]
    )


def _with_refused(
    response: OffsetCommitResponse, refused: list[OffsetCommitResponseTopic]
) -> OffsetCommitResponse:
    """Answer for all; a topic that is named twice stands twice where all of it is known."""
    if not refused:
        return response
    return OffsetCommitResponse(topics=_merge(refused + response.topics))


def _exists(
    image: MetadataImage, topic: TopicImage, partition: OffsetCommitRequestPartition
) -> bool:
    return image.partition(topic.name, partition.partition_index) is not None


def _refuse(
    topic: OffsetCommitRequestTopic,
    partitions: list[OffsetCommitRequestPartition],
    code: ErrorCode,
) -> OffsetCommitResponseTopic:
    return OffsetCommitResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetCommitResponsePartition(partition_index=p.partition_index, error_code=code)
            for p in partitions
        ],
    )


def _merge(topics: list[OffsetCommitResponseTopic]) -> list[OffsetCommitResponseTopic]:
    """Put all partitions of one topic into one entry."""
    merged: dict[tuple[str, bytes], OffsetCommitResponseTopic] = {}
    for topic in topics:
        entry = merged.setdefault((topic.name, topic.topic_id), topic)
        if entry is not topic:
            entry.partitions.extend(topic.partitions)
    return list(merged.values())
