"""AlterPartitionReassignments (API key 45), versions 0-1 (KIP-455).

v1 can forbid that the number of replicas changes (KIP-860). Null replicas cancel a reassignment.
With one broker the only assignment possible is the one that every partition already has: it
succeeds and changes nothing, any other is refused, and there is never one in progress that could be
cancelled.
"""

from pykbroker.metadata.image import MetadataImage
from pykbroker.metadata.topics import validate_replicas
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from pykbroker.request_context import RequestContext


def handle(
    context: RequestContext, request: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    """Check each assignment; the good ones are in place already.

    Errors of a partition: UNKNOWN_TOPIC_OR_PARTITION, INVALID_REPLICA_ASSIGNMENT,
    NO_REASSIGNMENT_IN_PROGRESS; REQUEST_TIMED_OUT for all when the timeout leaves no time.
    """
    if request.timeout_ms <= 0:
        return error_response(request, ErrorCode.REQUEST_TIMED_OUT)
    image = context.broker.metadata.image
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change,
        # Kafka answers a request without topics early, and then with an empty message.
        error_message=None if request.topics else "",
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[
                    _reassign(image, topic.name, partition) for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ],
    )


def error_response(
    request: AlterPartitionReassignmentsRequest, code: ErrorCode, message: str | None = None
) -> AlterPartitionReassignmentsResponse:
    """Answer with an error at the top and for each partition of the request."""
    return AlterPartitionReassignmentsResponse(
        error_code=code,
        error_message=message,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[
                    ReassignablePartitionResponse(
                        partition_index=partition.partition_index,
                        error_code=code,
                        error_message=message,
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ],
    )


def _reassign(
    image: MetadataImage, topic: str, partition: ReassignablePartition
) -> ReassignablePartitionResponse:
    response = ReassignablePartitionResponse(
        partition_index=partition.partition_index, error_message=None
    )
    try:
        _validate(image, topic, partition)
    except KafkaError as error:
        response.error_code = error.code
        # That there is nothing to cancel comes without a word, as in Kafka.
        if error.code is not ErrorCode.NO_REASSIGNMENT_IN_PROGRESS:
            response.error_message = error.message
    return response


def _validate(image: MetadataImage, topic: str, partition: ReassignablePartition) -> None:
    index = partition.partition_index
    if image.topic(topic) is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {topic}."
        )
    if image.partition(topic, index) is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {topic}:{index}."
        )
    if partition.replicas is None:
        raise KafkaError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    validate_replicas(partition.replicas, image.brokers)
