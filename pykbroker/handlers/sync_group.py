"""SyncGroup (API key 14), versions 0-5: bring (the leader) or fetch the assignment.

v3 adds static membership (KIP-345), v4 is flexible, v5 makes protocol type and name mandatory in
the request and tells them in the answer (KIP-559). The request waits for the leader's.
"""

from typing import Final

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from pykbroker.request_context import Deferred, RequestContext

FIRST_VERSION_WITH_PROTOCOL: Final = 5


def handle(
    context: RequestContext, request: SyncGroupRequest
) -> SyncGroupResponse | Deferred[SyncGroupResponse]:
    """Let the group's coordinator answer.

    Errors: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS,
    INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID, and those of every group request.

    Raises:
        KafkaError: INCONSISTENT_GROUP_PROTOCOL, protocol type or name is missing.
    """
    has_protocol = request.protocol_type is not None and request.protocol_name is not None
    if context.api_version >= FIRST_VERSION_WITH_PROTOCOL and not has_protocol:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    answer = context.broker.groups.sync_group(request)
    return answer.result() if answer.done() else Deferred([answer], answer.result)


def error_response(
    request: SyncGroupRequest, code: ErrorCode, message: str | None = None
) -> SyncGroupResponse:
    """Answer with an error and an empty assignment."""
    return SyncGroupResponse(error_code=code)
