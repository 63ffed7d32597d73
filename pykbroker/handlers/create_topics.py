"""CreateTopics (API key 19), versions 2-7.

v4 lets partitions and replicas be -1 for the broker's defaults (KIP-464), and so do v2 and v3, as
in Kafka; v5 is flexible and answers what was created, with its settings (KIP-525); v6 is for
quotas; v7 adds the topic id (KIP-516).

- A name that the request holds twice is refused, once.
- A timeout of 0 or less fails with REQUEST_TIMED_OUT, without a word, and creates nothing, as in
  Kafka 4.3.
- A topic that is only validated gets an id that means nothing.
- When the answer comes, all requests see the topic; Kafka needs a moment more.
"""

from typing import Final

from pykbroker.metadata.image import TopicImage
from pykbroker.metadata.topics import NewTopic
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_CONFIGS: Final = 5


async def handle(context: RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse:
    """Create each topic, or only say whether it could be.

    Errors of a topic: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS,
    INVALID_CONFIG, INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT,
    POLICY_VIOLATION; REQUEST_TIMED_OUT for all when the timeout leaves no time.
    """
    if request.timeout_ms <= 0:
        return error_response(request, ErrorCode.REQUEST_TIMED_OUT)
    outcomes = await context.broker.metadata.create_topics(
        [_new_topic(topic) for topic in request.topics], validate_only=request.validate_only
    )
    # One row for a name, however often the request has it.
    results: dict[str, CreatableTopicResult] = {}
    for topic, outcome in zip(request.topics, outcomes, strict=True):
        if isinstance(outcome, KafkaError):
            results[topic.name] = _failure(topic.name, outcome.code, outcome.message)
        else:
            results[topic.name] = _success(context, outcome)
    return CreateTopicsResponse(topics=list(results.values()))


def error_response(
    request: CreateTopicsRequest, code: ErrorCode, message: str | None = None
) -> CreateTopicsResponse:
    """Answer every topic of the request with the same error: the API has no other place."""
    return CreateTopicsResponse(
        topics=[_failure(topic.name, code, message) for topic in request.topics]
    )


def _new_topic(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        name=topic.name,
        num_partitions=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments=tuple(
            (assignment.partition_index, tuple(assignment.broker_ids))
            for assignment in topic.assignments
        ),
        configs=tuple((config.name, config.value) for config in topic.configs),
    )


def _success(context: RequestContext, topic: TopicImage) -> CreatableTopicResult:
    result = CreatableTopicResult(
        name=topic.name,
        topic_id=topic.topic_id,
        error_message=None,
        num_partitions=len(topic.partitions),
        replication_factor=len(topic.partitions[0].replicas),
    )
    if context.api_version >= FIRST_VERSION_WITH_CONFIGS:
        result.configs = [
            CreatableTopicConfigs(
                name=config.name,
                value=config.value,
                read_only=config.is_read_only,
                config_source=config.source,
                is_sensitive=config.is_sensitive,
            )
            for config in context.broker.metadata.describe_topic_configs(topic)
        ]
    return result


def _failure(name: str, code: ErrorCode, message: str | None) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=message)
