"""DescribeGroups (API key 15), versions 0-6: state, members and assignment of classic groups.

v3 adds authorized operations (KIP-430), v4 instance ids (KIP-345), v5 is flexible, v6 adds an error
message and GROUP_ID_NOT_FOUND for a missing group (KIP-1043), which is a Dead one without an error
before.
"""

from typing import Final

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from pykbroker.request_context import RequestContext
from pykbroker.security.operations import GROUP_OPERATIONS

FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND: Final = 6  # KIP-1043


async def handle(context: RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
    """Describe each group; errors are per group: those of every group request."""
    described = [await _describe(context, group_id) for group_id in request.groups]
    if request.include_authorized_operations:
        for group in described:
            if group.error_code == ErrorCode.NONE:
                group.authorized_operations = GROUP_OPERATIONS
    return DescribeGroupsResponse(groups=described)


def error_response(
    request: DescribeGroupsRequest, code: ErrorCode, message: str | None = None
) -> DescribeGroupsResponse:
    """Answer with the same error for every group."""
    return DescribeGroupsResponse(
        groups=[DescribedGroup(group_id=group_id, error_code=code) for group_id in request.groups]
    )


async def _describe(context: RequestContext, group_id: str) -> DescribedGroup:
    try:
        described = await context.broker.groups.describe_group(group_id)
    except KafkaError as error:
        return DescribedGroup(group_id=group_id, error_code=error.code)
    if context.api_version < FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND:
        # A missing group is told by its state alone.
        described.error_code = ErrorCode.NONE
        described.error_message = None
    return described
