"""CreatePartitions (API key 37), versions 0-3 (KIP-195).

v2 is flexible, v3 is for quotas. The versions differ in nothing else. A topic that the request
holds twice is refused, once. A timeout of 0 or less fails with REQUEST_TIMED_OUT and changes
nothing. This and an unknown topic are answered without a word, as in Kafka.
"""

from pykbroker.metadata.topics import NewPartitions
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from pykbroker.request_context import RequestContext


async def handle(
    context: RequestContext, request: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    """Give each topic more partitions, or only say whether it could have them.

    Errors of a topic: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS,
    INVALID_REPLICA_ASSIGNMENT, POLICY_VIOLATION; REQUEST_TIMED_OUT for all when the timeout leaves
    no time.
    """
    if request.timeout_ms <= 0:
        return error_response(request, ErrorCode.REQUEST_TIMED_OUT)
    outcomes = await context.broker.metadata.create_partitions(
        [_new_partitions(topic) for topic in request.topics], validate_only=request.validate_only
    )
    # One row for a name, however often the request has it.
    results: dict[str, CreatePartitionsTopicResult] = {}
    for topic, outcome in zip(request.topics, outcomes, strict=True):
        if isinstance(outcome, KafkaError):
            is_unknown = outcome.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            message = None if is_unknown else outcome.message
            results[topic.name] = _result(topic.name, outcome.code, message)
        else:
            results[topic.name] = _result(topic.name)
    return CreatePartitionsResponse(results=list(results.values()))


def error_response(
    request: CreatePartitionsRequest, code: ErrorCode, message: str | None = None
) -> CreatePartitionsResponse:
    """Answer every topic of the request with the same error: the API has no other place."""
    return CreatePartitionsResponse(
        results=[_result(topic.name, code, message) for topic in request.topics]
    )


def _new_partitions(topic: CreatePartitionsTopic) -> NewPartitions:
    assignments = topic.assignments
    return NewPartitions(
        name=topic.name,
        count=topic.count,
        assignments=(
            None
            if assignments is None
            else tuple(tuple(assignment.broker_ids) for assignment in assignments)
        ),
    )


def _result(
    name: str, code: ErrorCode = ErrorCode.NONE, message: str | None = None
) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(name=name, error_code=code, error_message=message)
