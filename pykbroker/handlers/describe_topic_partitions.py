"""DescribeTopicPartitions (API key 75), version 0 (KIP-966).

Topics come in the order of their names, an empty list asks for all of them, and one answer holds at
most `max.request.partition.size.limit` partitions: the next one continues at its cursor. Without
followers there are no eligible leader replicas, so these lists are empty.

An impossible topic name is answered with INVALID_TOPIC_EXCEPTION for that topic; Kafka fails the
whole request with UNKNOWN_SERVER_ERROR.
"""

from pykbroker.broker import Broker
from pykbroker.leadership import offline_replicas
from pykbroker.metadata.image import (
    NO_LEADER,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from pykbroker.metadata.topics import is_internal_topic, is_valid_topic_name
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from pykbroker.request_context import RequestContext
from pykbroker.security.operations import TOPIC_OPERATIONS


def handle(
    context: RequestContext, request: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse:
    """Describe one page of partitions.

    Errors of a topic: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION.

    Raises:
        KafkaError: INVALID_REQUEST for a cursor that is negative or at a topic not asked for.
    """
    image = context.broker.metadata.image
    names, first_partition = _start(image, request)
    limit = context.broker.config.max_request_partition_size_limit
    # As in Kafka a limit below one partition still makes progress.
    room = max(1, min(limit, request.response_partition_limit))

    response = DescribeTopicPartitionsResponse()
    for name in names:
        if room == 0:
            response.next_cursor = Cursor(topic_name=name, partition_index=0)
            break
        topic = image.topic(name)
        if topic is None:
            response.topics.append(_unknown(name))
        else:
            last_partition = first_partition + room
            page = topic.partitions[first_partition:last_partition]
            response.topics.append(_describe(context.broker, topic, page))
            room -= len(page)
            if last_partition < len(topic.partitions):
                response.next_cursor = Cursor(topic_name=name, partition_index=last_partition)
                break
        first_partition = 0
    return response


def error_response(
    request: DescribeTopicPartitionsRequest, code: ErrorCode, message: str | None = None
) -> DescribeTopicPartitionsResponse:
    """Answer every topic of the request with the same error: the API has no other place."""
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsResponseTopic(error_code=code, name=topic.name)
            for topic in request.topics
        ]
    )


def _start(image: MetadataImage, request: DescribeTopicPartitionsRequest) -> tuple[list[str], int]:
    """Return the names from the cursor on, and the first partition of the first of them."""
    names = sorted({topic.name for topic in request.topics} or image.topics)
    cursor = request.cursor
    if cursor is None:
        return names, 0
    if cursor.partition_index < 0:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "The cursor's partition is negative.")
    if request.topics and cursor.topic_name not in names:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "The cursor is at a topic that is not in the request."
        )
    names = [name for name in names if name >= cursor.topic_name]
    # The topic of the cursor may have been deleted since the last page.
    is_same_topic = bool(names) and names[0] == cursor.topic_name
    return names, cursor.partition_index if is_same_topic else 0


def _unknown(name: str) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        error_code=(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if is_valid_topic_name(name)
            else ErrorCode.INVALID_TOPIC_EXCEPTION
        ),
        name=name,
        is_internal=is_internal_topic(name),
        topic_authorized_operations=TOPIC_OPERATIONS,
    )


def _describe(
    broker: Broker, topic: TopicImage, page: tuple[PartitionImage, ...]
) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[_describe_partition(broker, topic.name, partition) for partition in page],
        topic_authorized_operations=TOPIC_OPERATIONS,
    )


def _describe_partition(
    broker: Broker, topic: str, partition: PartitionImage
) -> DescribeTopicPartitionsResponsePartition:
    has_leader = partition.leader in broker.metadata.image.brokers
    return DescribeTopicPartitionsResponsePartition(
        error_code=ErrorCode.NONE if has_leader else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=partition.partition,
        leader_id=partition.leader if has_leader else NO_LEADER,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
        eligible_leader_replicas=[],
        last_known_elr=[],
        offline_replicas=offline_replicas(broker, topic, partition),
    )
