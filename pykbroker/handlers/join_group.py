"""JoinGroup (API key 11), versions 0-9: become, or remain, a member of a group.

v1 adds the rebalance timeout (KIP-62; v0 uses the session timeout for it), v4 sends a client
without member id back with one (KIP-394), v5 adds static membership (KIP-345), v6 is flexible, v7
tells the protocol type and may leave the protocol name out (KIP-559), v8 adds the client's reason
(KIP-800), v9 lets a leader skip the assignment (KIP-814).

The request waits until the join phase of the rebalance ends.
"""

from typing import Final

from pykbroker.coordinator.group.step import Caller
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pykbroker.request_context import Deferred, RequestContext

FIRST_VERSION_WITH_REBALANCE_TIMEOUT: Final = 1
FIRST_VERSION_WITH_NULLABLE_PROTOCOL: Final = 7


def handle(
    context: RequestContext, request: JoinGroupRequest
) -> JoinGroupResponse | Deferred[JoinGroupResponse]:
    """Let the group's coordinator answer.

    Errors: INVALID_GROUP_ID, INVALID_SESSION_TIMEOUT, INCONSISTENT_GROUP_PROTOCOL,
    UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED, and those of
    every group request: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
    """
    if context.api_version < FIRST_VERSION_WITH_REBALANCE_TIMEOUT:
        request.rebalance_timeout_ms = request.session_timeout_ms
    caller = Caller(context.client_id, f"/{context.client_host}", context.api_version)
    # Without a generation there is no protocol: null, or "" where null cannot be said.
    is_nullable = context.api_version >= FIRST_VERSION_WITH_NULLABLE_PROTOCOL
    no_protocol = None if is_nullable else ""
    try:
        answer = context.broker.groups.join_group(request, caller)
    except KafkaError as error:
        return JoinGroupResponse(error_code=error.code, protocol_name=no_protocol)

    def response() -> JoinGroupResponse:
        try:
            found = answer.result()
        except KafkaError as error:
            found = JoinGroupResponse(error_code=error.code)
        found.protocol_name = found.protocol_name or no_protocol
        return found

    return response() if answer.done() else Deferred([answer], response)


def error_response(
    request: JoinGroupRequest, code: ErrorCode, message: str | None = None
) -> JoinGroupResponse:
    """Answer with an error and no membership."""
    return JoinGroupResponse(error_code=code)
