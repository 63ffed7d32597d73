"""DescribeCluster (API key 60), versions 0-2 (KIP-700).

v1 can ask a controller instead of a broker (KIP-919), which a broker refuses; v2 can include fenced
brokers (KIP-1073), of which there are none.
"""

from typing import Final

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from pykbroker.request_context import RequestContext
from pykbroker.security.operations import CLUSTER_OPERATIONS

ENDPOINT_TYPE_BROKER: Final = 1
ENDPOINT_TYPE_CONTROLLER: Final = 2
FIRST_VERSION_WITH_ENDPOINT_TYPE: Final = 1


def handle(context: RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse:
    """List the live brokers with the addresses that this client should use.

    Raises:
        KafkaError: MISMATCHED_ENDPOINT_TYPE or UNSUPPORTED_ENDPOINT_TYPE when something else than
            brokers is asked for.
    """
    if context.api_version >= FIRST_VERSION_WITH_ENDPOINT_TYPE:
        _require_broker_endpoint(request.endpoint_type)
    image = context.broker.metadata.image
    host, port = context.broker.advertised_endpoint(context.connection)
    response = DescribeClusterResponse(
        cluster_id=image.cluster_id,
        controller_id=image.controller_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=image.node_id,
                host=host,
                port=port,
                rack=image.brokers[image.node_id].rack,
            )
        ],
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def error_response(
    request: DescribeClusterRequest, code: ErrorCode, message: str | None = None
) -> DescribeClusterResponse:
    """Answer with an error and no brokers."""
    return DescribeClusterResponse(error_code=code, error_message=message)


def _require_broker_endpoint(endpoint_type: int) -> None:
    if endpoint_type == ENDPOINT_TYPE_CONTROLLER:
        raise KafkaError(
            ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            "The request asks for controllers, but it was sent to a broker.",
        )
    if endpoint_type != ENDPOINT_TYPE_BROKER:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {endpoint_type}"
        )
