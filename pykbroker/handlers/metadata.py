"""Metadata (API key 3), versions 0-13: which brokers and topics there are.

v0 asks for all topics with an empty list; v1+ with null, and an empty list means none (KIP-4); v1
adds controller, racks and internal topics, v2 the cluster id, v3 the throttle time, v4 the flag
that allows auto-creation (KIP-204: older clients always allow it), v5 offline replicas, v7 leader
epochs, v8 authorized operations (KIP-430; those of the cluster end with v10), v9 is flexible, v10
adds topic ids (KIP-516), v12 asks by them, v13 adds a top-level error (KIP-1102).

- A request that names any topic by id is answered by id alone, as Kafka does; names in it are
  ignored. Unknown id: UNKNOWN_TOPIC_ID, without a name.
- An unknown topic that may be auto-created is created with the broker's defaults before the answer,
  and shown in it without an error. Kafka answers UNKNOWN_TOPIC_OR_PARTITION and creates it later;
  the client would only have to ask again. Where the creation is refused the answer is Kafka's:
  UNKNOWN_TOPIC_OR_PARTITION, or INVALID_TOPIC_EXCEPTION for an impossible name.
- A topic listed twice is answered once.
- A malformed request is refused with the list of brokers all the same, where Kafka's is empty:
  librdkafka takes an answer without brokers for a cluster that has none.
"""

import logging
from collections.abc import Awaitable, Iterable
from typing import Final

from pykbroker.broker import Broker
from pykbroker.leadership import offline_replicas
from pykbroker.metadata.image import (
    NO_LEADER,
    NULL_TOPIC_ID,
    PartitionImage,
    TopicImage,
)
from pykbroker.metadata.topics import NewTopic, is_internal_topic, is_valid_topic_name
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from pykbroker.request_context import RequestContext
from pykbroker.security.operations import CLUSTER_OPERATIONS, TOPIC_OPERATIONS

log = logging.getLogger(__name__)

FIRST_VERSION_WITH_NULL_FOR_ALL: Final = 1
FIRST_VERSION_BY_TOPIC_ID: Final = 12


def handle(
    context: RequestContext, request: MetadataRequest
) -> MetadataResponse | Awaitable[MetadataResponse]:
    """Describe the brokers and the topics asked for, after creating those that may be.

    Never fails as a whole but for a malformed request (INVALID_REQUEST). Errors of a topic:
    UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, INVALID_TOPIC_EXCEPTION.
    """
    image = context.broker.metadata.image
    topics = request.topics
    if topics is None or (not topics and context.api_version < FIRST_VERSION_WITH_NULL_FOR_ALL):
        everything = [_describe(context.broker, topic) for topic in image.topics.values()]
        return _response(context, request, everything)
    if _is_malformed(context.api_version, topics):
        refused = error_response(request, ErrorCode.INVALID_REQUEST)
        response = _response(context, request, refused.topics)
        response.error_code = ErrorCode.INVALID_REQUEST
        return response
    ids = [topic.topic_id for topic in topics if topic.topic_id != NULL_TOPIC_ID]
    if ids:
        by_id = [_describe_by_id(context.broker, topic_id) for topic_id in dict.fromkeys(ids)]
        return _response(context, request, by_id)

    names = list(dict.fromkeys(topic.name for topic in topics if topic.name is not None))
    if request.allow_auto_topic_creation and context.broker.config.auto_create_topics_enable:
        missing = [
            name for name in names if image.topic(name) is None and is_valid_topic_name(name)
        ]
        if missing:
            return _create_and_describe(context, request, names, missing)
    return _response(context, request, (_describe_by_name(context.broker, name) for name in names))


def error_response(
    request: MetadataRequest, code: ErrorCode, message: str | None = None
) -> MetadataResponse:
    """Answer every topic of the request with the same error; before v13 it has no other place."""
    return MetadataResponse(
        topics=[
            MetadataResponseTopic(
                error_code=code,
                # A null name cannot be written before v12; Kafka answers an empty one too.
                name=topic.name or "",
                topic_id=topic.topic_id,
            )
            for topic in request.topics or ()
        ],
        error_code=code,
    )


def _is_malformed(version: int, topics: list[MetadataRequestTopic]) -> bool:
    if version < FIRST_VERSION_BY_TOPIC_ID:
        return any(topic.name is None or topic.topic_id != NULL_TOPIC_ID for topic in topics)
    return any(topic.name is None and topic.topic_id == NULL_TOPIC_ID for topic in topics)


async def _create_and_describe(
    context: RequestContext, request: MetadataRequest, names: list[str], missing: list[str]
) -> MetadataResponse:
    metadata = context.broker.metadata
    ordinary = [NewTopic(name) for name in missing if not is_internal_topic(name)]
    if ordinary:
        results = await metadata.create_topics(ordinary)
        for topic, result in zip(ordinary, results, strict=True):
            if isinstance(result, KafkaError):
                _log_refusal(topic.name, result)
    for name in filter(is_internal_topic, missing):
        try:
            await metadata.ensure_internal_topic(name)
        except KafkaError as error:
            _log_refusal(name, error)
    return _response(context, request, (_describe_by_name(context.broker, name) for name in names))


def _log_refusal(name: str, error: KafkaError) -> None:
    # When another client was faster the topic is there, which is all that was wanted.
    if error.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
        log.warning("auto-creation refused topic=%s reason=%s", name, error.message)


def _response(
    context: RequestContext, request: MetadataRequest, topics: Iterable[MetadataResponseTopic]
) -> MetadataResponse:
    image = context.broker.metadata.image
    host, port = context.broker.advertised_endpoint(context.connection)
    response = MetadataResponse(
        brokers=[
            MetadataResponseBroker(
                node_id=image.node_id,
                host=host,
                port=port,
                rack=image.brokers[image.node_id].rack,
            )
        ],
        cluster_id=image.cluster_id,
        controller_id=image.controller_id,
        topics=list(topics),
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    if request.include_topic_authorized_operations:
        for topic in response.topics:
            if topic.name is not None:  # as in Kafka: nothing is known of an unknown id
                topic.topic_authorized_operations = TOPIC_OPERATIONS
    return response


def _describe_by_name(broker: Broker, name: str) -> MetadataResponseTopic:
    topic = broker.metadata.image.topic(name)
    if topic is not None:
        return _describe(broker, topic)
    return MetadataResponseTopic(
        error_code=(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if is_valid_topic_name(name)
            else ErrorCode.INVALID_TOPIC_EXCEPTION
        ),
        name=name,
        is_internal=is_internal_topic(name),
    )


def _describe_by_id(broker: Broker, topic_id: bytes) -> MetadataResponseTopic:
    topic = broker.metadata.image.topic_by_id(topic_id)
    if topic is not None:
        return _describe(broker, topic)
    return MetadataResponseTopic(
        error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id
    )


def _describe(broker: Broker, topic: TopicImage) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[
            _describe_partition(broker, topic.name, partition) for partition in topic.partitions
        ],
    )


def _describe_partition(
    broker: Broker, topic: str, partition: PartitionImage
) -> MetadataResponsePartition:
    has_leader = partition.leader in broker.metadata.image.brokers
    return MetadataResponsePartition(
        error_code=ErrorCode.NONE if has_leader else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=partition.partition,
        leader_id=partition.leader if has_leader else NO_LEADER,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
        offline_replicas=offline_replicas(broker, topic, partition),
    )
