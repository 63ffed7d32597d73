"""DescribeProducers (API key 61), version 0 (KIP-664).

Who has written to a partition lately, and whose transaction is open there. `kafka-transactions`
finds hanging transactions with it.
"""

from typing import Final

from pykbroker.leadership import led_log
from pykbroker.metadata.topics import validate_topic_name
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicRequest,
    TopicResponse,
)
from pykbroker.request_context import RequestContext
from pykbroker.storage.producer_state import ProducerEntry

NO_OFFSET: Final = -1


def handle(context: RequestContext, request: DescribeProducersRequest) -> DescribeProducersResponse:
    """Describe the producers of each partition.

    Per partition: INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
    KAFKA_STORAGE_ERROR. Kafka says in words only what is wrong with a topic.
    """
    return DescribeProducersResponse(
        topics=[_describe_topic(context, topic) for topic in request.topics]
    )


def error_response(
    request: DescribeProducersRequest, code: ErrorCode, message: str | None = None
) -> DescribeProducersResponse:
    """Answer with the same error for every partition."""
    return DescribeProducersResponse(
        topics=[_refuse(topic, code, message) for topic in request.topics]
    )


def _describe_topic(context: RequestContext, topic: TopicRequest) -> TopicResponse:
    try:
        validate_topic_name(topic.name)
        if topic.name not in context.broker.metadata.image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    except KafkaError as error:
        return _refuse(topic, error.code, error.message)
    return TopicResponse(
        name=topic.name,
        partitions=[
            _describe_partition(context, topic.name, partition)
            for partition in topic.partition_indexes
        ],
    )


def _describe_partition(context: RequestContext, topic: str, partition: int) -> PartitionResponse:
    try:
        log = led_log(context.broker, topic, partition)
    except KafkaError as error:
        return PartitionResponse(partition_index=partition, error_code=error.code)
    return PartitionResponse(
        partition_index=partition,
        active_producers=[_describe(entry) for entry in log.producers.producers.values()],
    )


def _describe(entry: ProducerEntry) -> ProducerState:
    start = entry.transaction_first_offset
    return ProducerState(
        producer_id=entry.producer_id,
        producer_epoch=entry.epoch,
        last_sequence=entry.last_sequence,
        last_timestamp=entry.last_timestamp,
        coordinator_epoch=entry.coordinator_epoch,
        current_txn_start_offset=NO_OFFSET if start is None else start,
    )


def _refuse(topic: TopicRequest, code: ErrorCode, message: str | None) -> TopicResponse:
    return TopicResponse(
        name=topic.name,
        partitions=[
            PartitionResponse(partition_index=partition, error_code=code, error_message=message)
            for partition in topic.partition_indexes
        ],
    )
