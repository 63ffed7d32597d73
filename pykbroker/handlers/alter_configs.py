"""AlterConfigs (API key 33), versions 0-2: replace all settings of a resource.

Superseded by IncrementalAlterConfigs (KIP-339), but old clients know only this. v1 is the same as
v0, v2 is flexible. Settings that are not in the request lose their value. Resources are topics,
this broker, all brokers (""), groups and client metrics subscriptions; not loggers, as in Kafka.

A resource that the request holds twice is refused each time; Kafka never answers such a request.
"""

from pykbroker.metadata.config_changes import ConfigReplacement
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)
from pykbroker.request_context import RequestContext


async def handle(context: RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse:
    """Replace the settings of each resource, or only say whether they could be.

    Errors of a resource: INVALID_REQUEST, INVALID_CONFIG, INVALID_TOPIC_EXCEPTION,
    UNKNOWN_TOPIC_OR_PARTITION.
    """
    replacements = [
        ConfigReplacement(
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=tuple((config.name, config.value) for config in resource.configs),
        )
        for resource in request.resources
    ]
    outcomes = await context.broker.metadata.alter_configs(
        replacements, validate_only=request.validate_only
    )
    return AlterConfigsResponse(
        responses=[
            _response(resource)
            if outcome is None
            else _response(resource, outcome.code, outcome.message)
            for resource, outcome in zip(request.resources, outcomes, strict=True)
        ]
    )


def error_response(
    request: AlterConfigsRequest, code: ErrorCode, message: str | None = None
) -> AlterConfigsResponse:
    """Answer every resource of the request with the same error: the API has no other place."""
    return AlterConfigsResponse(
        responses=[_response(resource, code, message) for resource in request.resources]
    )


def _response(
    resource: AlterConfigsResource, code: ErrorCode = ErrorCode.NONE, message: str | None = None
) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=code,
        error_message=message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )
