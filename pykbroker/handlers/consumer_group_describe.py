"""ConsumerGroupDescribe (API key 69), versions 0-1: epochs, members and assignments (KIP-848).

v1 tells which protocol each member speaks (KIP-1099).
"""

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from pykbroker.request_context import RequestContext
from pykbroker.security.operations import GROUP_OPERATIONS


async def handle(
    context: RequestContext, request: ConsumerGroupDescribeRequest
) -> ConsumerGroupDescribeResponse:
    """Describe each group.

    Errors are per group: GROUP_ID_NOT_FOUND, INVALID_GROUP_ID, and those of every group request;
    UNSUPPORTED_VERSION while group.version is 0.
    """
    if not context.broker.metadata.image.features.has_consumer_groups:
        return error_response(request, ErrorCode.UNSUPPORTED_VERSION)
    described = [await _describe(context, group_id) for group_id in request.group_ids]
    if request.include_authorized_operations:
        for group in described:
            if group.error_code == ErrorCode.NONE:
                group.authorized_operations = GROUP_OPERATIONS
    return ConsumerGroupDescribeResponse(groups=described)


def error_response(
    request: ConsumerGroupDescribeRequest, code: ErrorCode, message: str | None = None
) -> ConsumerGroupDescribeResponse:
    """Answer with the same error for every group."""
    return ConsumerGroupDescribeResponse(
        groups=[
            DescribedGroup(group_id=group_id, error_code=code, error_message=message)
            for group_id in request.group_ids
        ]
    )


async def _describe(context: RequestContext, group_id: str) -> DescribedGroup:
    try:
        return await context.broker.groups.describe_consumer_group(group_id)
    except KafkaError as error:
        # Of a group that is not there Kafka says more, of other errors nothing but the code.
        is_missing = error.code is ErrorCode.GROUP_ID_NOT_FOUND
        message = error.message if is_missing else None
        return DescribedGroup(group_id=group_id, error_code=error.code, error_message=message)
