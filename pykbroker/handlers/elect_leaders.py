"""ElectLeaders (API key 43), versions 0-2 (KIP-183, KIP-460).

v1 adds the unclean election and a top-level error; v2 is flexible. A null list asks for all
partitions, and then only those whose leader changed are answered: Kafka still lists every topic,
with no partitions in it. Every partition's only replica leads it, so no election is ever needed.
"""

from typing import Final

from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)
from pykbroker.request_context import RequestContext

PREFERRED: Final = 0
UNCLEAN: Final = 1


def handle(context: RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse:
    """Say for each partition why its leader stays.

    Errors of a partition: UNKNOWN_TOPIC_OR_PARTITION, ELECTION_NOT_NEEDED,
    PREFERRED_LEADER_NOT_AVAILABLE or ELIGIBLE_LEADERS_NOT_AVAILABLE for one without a live replica;
    REQUEST_TIMED_OUT for all when the timeout leaves no time.

    Raises:
        KafkaError: INVALID_REQUEST for an unknown type of election.
    """
    if request.election_type not in (PREFERRED, UNCLEAN):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown election type {request.election_type}"
        )
    if request.timeout_ms <= 0:
        return error_response(request, ErrorCode.REQUEST_TIMED_OUT)
    image = context.broker.metadata.image
    if request.topic_partitions is None:
        unchanged = [ReplicaElectionResult(topic=name) for name in image.topics]
        return ElectLeadersResponse(replica_election_results=unchanged)
    return ElectLeadersResponse(
        replica_election_results=[
            ReplicaElectionResult(
                topic=asked.topic,
                partition_result=[
                    _elect(image, request.election_type, asked.topic, partition)
                    for partition in asked.partitions
                ],
            )
            for asked in request.topic_partitions
        ]
    )


def error_response(
    request: ElectLeadersRequest, code: ErrorCode, message: str | None = None
) -> ElectLeadersResponse:
    """Answer with an error at the top and for each partition of the request."""
    return ElectLeadersResponse(
        error_code=code,
        replica_election_results=[
            ReplicaElectionResult(
                topic=asked.topic,
                partition_result=[
                    PartitionResult(partition_id=partition, error_code=code, error_message=message)
                    for partition in asked.partitions
                ],
            )
            for asked in request.topic_partitions or ()
        ],
    )


def _elect(image: MetadataImage, election_type: int, topic: str, partition: int) -> PartitionResult:
    code, message = _outcome(image, election_type, topic, partition)
    return PartitionResult(partition_id=partition, error_code=code, error_message=message)


def _outcome(
    image: MetadataImage, election_type: int, topic: str, partition: int
) -> tuple[ErrorCode, str]:
    if image.topic(topic) is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {topic}"
    found = image.partition(topic, partition)
    if found is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {topic}-{partition}"
    has_leader = found.leader in image.brokers
    if has_leader and (election_type == UNCLEAN or found.leader == found.replicas[0]):
        code = ErrorCode.ELECTION_NOT_NEEDED
    elif election_type == UNCLEAN:
        code = ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    else:
        code = ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
    return code, code.message
