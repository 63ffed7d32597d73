"""ConsumerGroupHeartbeat (API key 68), versions 0-1: be a member of a consumer group (KIP-848).

One request does it all: join with epoch 0, stay with the epoch that the member was told, leave with
-1, and with -2 for a while. v1 adds subscriptions by regular expression, and lets the client choose
its member id.
"""

from pykbroker.coordinator.group.step import Caller
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pykbroker.request_context import Deferred, RequestContext


def handle(
    context: RequestContext, request: ConsumerGroupHeartbeatRequest
) -> ConsumerGroupHeartbeatResponse | Deferred[ConsumerGroupHeartbeatResponse]:
    """Let the group's coordinator answer.

    Errors: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID,
    FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED,
    INVALID_REGULAR_EXPRESSION, and those of every group request; UNSUPPORTED_VERSION while
    group.version is 0.
    """
    if not context.broker.metadata.image.features.has_consumer_groups:
        return error_response(request, ErrorCode.UNSUPPORTED_VERSION)
    caller = Caller(context.client_id, f"/{context.client_host}", context.api_version)
    return context.broker.groups.consumer_group_heartbeat(request, caller)


def error_response(
    request: ConsumerGroupHeartbeatRequest, code: ErrorCode, message: str | None = None
) -> ConsumerGroupHeartbeatResponse:
    """Answer with an error and no membership."""
    return ConsumerGroupHeartbeatResponse(error_code=code, error_message=message)
