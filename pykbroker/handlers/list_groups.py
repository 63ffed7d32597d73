"""ListGroups (API key 16), versions 0-5: the groups that this broker coordinates.

v3 is flexible, v4 filters by state (KIP-518), v5 by type (KIP-848).
"""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from pykbroker.request_context import RequestContext


async def handle(context: RequestContext, request: ListGroupsRequest) -> ListGroupsResponse:
    """List the groups that pass the filters; an empty filter lets all pass.

    Raises:
        KafkaError: COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
    """
    groups = await context.broker.groups.list_groups(request.states_filter, request.types_filter)
    return ListGroupsResponse(groups=groups)


def error_response(
    request: ListGroupsRequest, code: ErrorCode, message: str | None = None
) -> ListGroupsResponse:
    """Answer with an error and no groups."""
    return ListGroupsResponse(error_code=code)
