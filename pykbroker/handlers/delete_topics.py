"""DeleteTopics (API key 20), versions 1-6.

v1-v5 name topics, v4 is flexible, v5 adds error messages, v6 gives each topic by name or by id
(KIP-516). Before v3 a disabled deletion is INVALID_REQUEST, then TOPIC_DELETION_DISABLED (KIP-322).

- What the request holds twice is refused, once: by its name and its id if it was given by both.
- A timeout of 0 or less fails with REQUEST_TIMED_OUT, without a word, and deletes nothing, as in
  Kafka 4.3.
- Results come in the order of the request; Kafka shuffles them.
"""

from typing import Final

from pykbroker.metadata.image import NULL_TOPIC_ID, TopicImage
from pykbroker.metadata.topics import TopicToDelete
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_DELETION_DISABLED: Final = 3


async def handle(context: RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """Delete each topic; when the answer comes, no request sees it any more.

    Errors of a topic: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID;
    TOPIC_DELETION_DISABLED for all while delete.topic.enable is off, REQUEST_TIMED_OUT for all when
    the timeout leaves no time.
    """
    if not context.broker.config.delete_topic_enable:
        return error_response(request, _deletion_disabled(context.api_version))
    if request.timeout_ms <= 0:
        return error_response(request, ErrorCode.REQUEST_TIMED_OUT)
    topics = _topics(request)
    outcomes = await context.broker.metadata.delete_topics(
        [
            TopicToDelete(
                name=topic.name,
                topic_id=None if topic.topic_id == NULL_TOPIC_ID else topic.topic_id,
            )
            for topic in topics
        ]
    )
    responses: list[DeletableTopicResult] = []
    answered: set[tuple[str | None, bytes]] = set()
    repeated = _given_by_name_and_by_id(context, topics)
    for topic, outcome in zip(topics, outcomes, strict=True):
        asked = topic.name, topic.topic_id
        if asked in answered or (topic.name is None and topic.topic_id in repeated.values()):
            continue
        if asked != (None, NULL_TOPIC_ID):
            answered.add(asked)
        result = _result(topic, outcome)
        if result.topic_id == NULL_TOPIC_ID:
            result.topic_id = repeated.get(topic.name, NULL_TOPIC_ID)
        responses.append(result)
    return DeleteTopicsResponse(responses=responses)


def error_response(
    request: DeleteTopicsRequest, code: ErrorCode, message: str | None = None
) -> DeleteTopicsResponse:
    """Answer every topic of the request with the same error: the API has no other place."""
    return DeleteTopicsResponse(
        responses=[
            DeletableTopicResult(
                name=topic.name, topic_id=topic.topic_id, error_code=code, error_message=message
            )
            for topic in _topics(request)
        ]
    )


def _topics(request: DeleteTopicsRequest) -> list[DeleteTopicState]:
    """Return the topics in the shape of v6; a request of an older version has names only."""
    return request.topics or [DeleteTopicState(name=name) for name in request.topic_names]


def _given_by_name_and_by_id(
    context: RequestContext, topics: list[DeleteTopicState]
) -> dict[str | None, bytes]:
    """Return the ids of the topics that are asked for in both ways, by name."""
    ids = {topic.topic_id for topic in topics if topic.name is None}
    image = context.broker.metadata.image
    named = [image.topic(topic.name) for topic in topics if topic.name and ids]
    return {topic.name: topic.topic_id for topic in named if topic and topic.topic_id in ids}


def _result(topic: DeleteTopicState, outcome: TopicImage | KafkaError) -> DeletableTopicResult:
    if isinstance(outcome, KafkaError):
        return DeletableTopicResult(
            name=topic.name,
            topic_id=topic.topic_id,
            error_code=outcome.code,
            error_message=outcome.message,
        )
    return DeletableTopicResult(name=outcome.name, topic_id=outcome.topic_id)


def _deletion_disabled(version: int) -> ErrorCode:
    if version < FIRST_VERSION_WITH_DELETION_DISABLED:
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.TOPIC_DELETION_DISABLED
