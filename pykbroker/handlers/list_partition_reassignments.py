"""ListPartitionReassignments (API key 46), version 0 (KIP-455).

A reassignment to the same replicas ends at once, and there is no other broker to move a partition
to: nothing is ever in progress, for any topic. A timeout of 0 is no error here, as in Kafka.
"""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)
from pykbroker.request_context import RequestContext


def handle(
    context: RequestContext, request: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    """List no reassignments. Unknown topics are no error."""
    return ListPartitionReassignmentsResponse(error_message=None)


def error_response(
    request: ListPartitionReassignmentsRequest, code: ErrorCode, message: str | None = None
) -> ListPartitionReassignmentsResponse:
    """Answer with an error and no topics."""
    return ListPartitionReassignmentsResponse(error_code=code, error_message=message)
