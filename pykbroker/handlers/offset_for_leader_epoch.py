"""OffsetForLeaderEpoch (API key 23), versions 2-4.

v2 current leader epoch (KIP-320); v3 replica id (KIP-392), which makes no difference here; v4
flexible. A consumer asks it after a change of leader, to see whether its position still exists.
"""

from typing import Final

from pykbroker.leadership import led_log
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from pykbroker.request_context import RequestContext

NO_EPOCH: Final = -1


def handle(
    context: RequestContext, request: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    """Tell where the largest epoch up to the one asked for ends; -1 and -1 if none is known.

    Per partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
    UNKNOWN_LEADER_EPOCH.
    """
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[_end_of(context, topic.topic, asked) for asked in topic.partitions],
            )
            for topic in request.topics
        ]
    )


def error_response(
    request: OffsetForLeaderEpochRequest, code: ErrorCode, message: str | None = None
) -> OffsetForLeaderEpochResponse:
    """Answer with the same error for every partition."""
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[EpochEndOffset(code, asked.partition) for asked in topic.partitions],
            )
            for topic in request.topics
        ]
    )


def _end_of(context: RequestContext, topic: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
    result = EpochEndOffset(partition=asked.partition)
    current = asked.current_leader_epoch
    try:
        log = led_log(
            context.broker, topic, asked.partition, None if current == NO_EPOCH else current
        )
    except KafkaError as error:
        result.error_code = error.code
        return result
    result.leader_epoch, result.end_offset = log.end_offset_for_epoch(asked.leader_epoch)
    return result
