"""Heartbeat (API key 12), versions 0-4: a member of a group lives.

v3 adds static membership (KIP-345), v4 is flexible. It never waits: not for other requests, not for
the disk.
"""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.request_context import RequestContext


def handle(context: RequestContext, request: HeartbeatRequest) -> HeartbeatResponse:
    """Let the group's coordinator answer.

    Errors: REBALANCE_IN_PROGRESS tells the member to rejoin; UNKNOWN_MEMBER_ID,
    FENCED_INSTANCE_ID, ILLEGAL_GENERATION, INVALID_GROUP_ID, and those of every group request.
    """
    return context.broker.groups.heartbeat(request)


def error_response(
    request: HeartbeatRequest, code: ErrorCode, message: str | None = None
) -> HeartbeatResponse:
    """Answer with an error."""
    return HeartbeatResponse(error_code=code)
