"""DeleteGroups (API key 42), versions 0-2 (KIP-229): forget empty groups and their offsets."""

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)
from pykbroker.request_context import RequestContext


async def handle(context: RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse:
    """Delete each group, one named twice once.

    Errors are per group: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, and those of every group request.
    """
    group_ids = dict.fromkeys(request.groups_names)
    return DeleteGroupsResponse(results=[await _delete(context, name) for name in group_ids])


def error_response(
    request: DeleteGroupsRequest, code: ErrorCode, message: str | None = None
) -> DeleteGroupsResponse:
    """Answer with the same error for every group."""
    return DeleteGroupsResponse(
        results=[
            DeletableGroupResult(group_id=group_id, error_code=code)
            for group_id in request.groups_names
        ]
    )


async def _delete(context: RequestContext, group_id: str) -> DeletableGroupResult:
    try:
        return await context.broker.groups.delete_group(group_id)
    except KafkaError as error:
        return DeletableGroupResult(group_id=group_id, error_code=error.code)
