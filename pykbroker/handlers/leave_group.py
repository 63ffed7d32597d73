"""LeaveGroup (API key 13), versions 0-5: members go, or an administrator removes them.

Up to v2 one member leaves and an error is told at the top; v3+ (KIP-345) names many, by member id
or instance id, with an error each. v4 is flexible, v5 adds reasons (KIP-800).
"""

from typing import Final

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
)
from pykbroker.request_context import RequestContext

FIRST_BATCHED_VERSION: Final = 3  # KIP-345


async def handle(context: RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """Let the group's coordinator answer.

    Errors of a member: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. Errors at the top: INVALID_GROUP_ID,
    and those of every group request.
    """
    is_batched = context.api_version >= FIRST_BATCHED_VERSION
    if not is_batched:
        request.members = [MemberIdentity(member_id=request.member_id)]
    response = await context.broker.groups.leave_group(request)
    if not is_batched:
        (only,) = response.members
        return LeaveGroupResponse(error_code=only.error_code)
    return response


def error_response(
    request: LeaveGroupRequest, code: ErrorCode, message: str | None = None
) -> LeaveGroupResponse:
    """Answer with an error and no members."""
    return LeaveGroupResponse(error_code=code)
