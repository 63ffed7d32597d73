"""DescribeConfigs (API key 32), versions 1-4.

v1 tells where a value comes from, and the synonyms when asked (KIP-226); v3 the type, and the
documentation when asked (KIP-569); v4 is flexible. A null or empty list of settings means all;
names that do not exist are left out without a word. Resources are topics, this broker, what is
dynamic for all brokers (""), the loggers of this broker (KIP-412), client metrics subscriptions
(KIP-714) and groups (KIP-1043); the last two need not exist. Any other type fails the whole
request, as in Kafka.
"""

from typing import Final

from pykbroker import loggers
from pykbroker.config.sources import UNKNOWN_TYPE, ConfigSource, DescribedConfig
from pykbroker.metadata.image import ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from pykbroker.request_context import RequestContext

DESCRIBED_TYPES: Final = frozenset(set(ResourceType) - {ResourceType.UNKNOWN})
# Kafka's words for a resource that has to have a name.
NAMED: Final = {
    ResourceType.BROKER_LOGGER: "Broker id",
    ResourceType.CLIENT_METRICS: "Client metrics subscription name",
    ResourceType.GROUP: "Group name",
}

# As many as there may be changes in one request (QuorumController.MAX_RECORDS_PER_USER_OP).
MAX_RESOURCES: Final = 10_000


def handle(context: RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse:
    """Describe the settings of each resource.

    Errors of a resource: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION.

    Raises:
        KafkaError: INVALID_REQUEST for a type of resource that has no settings.
    """
    for resource in request.resources:
        if resource.resource_type not in DESCRIBED_TYPES:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"Unsupported resource type {resource.resource_type}"
            )
    # Each once: no client asks twice, and a broker's settings make 45 kB of answer from 6 bytes.
    distinct = {
        (each.resource_type, each.resource_name, _wanted(each)): each for each in request.resources
    }
    if len(distinct) > MAX_RESOURCES:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"At most {MAX_RESOURCES} resources can be described"
        )
    return DescribeConfigsResponse(
        results=[
            _describe_or_refuse(context, request, resource, wanted)
            for (_, _, wanted), resource in distinct.items()
        ]
    )


def error_response(
    request: DescribeConfigsRequest, code: ErrorCode, message: str | None = None
) -> DescribeConfigsResponse:
    """Answer every resource of the request with the same error: the API has no other place."""
    return DescribeConfigsResponse(
        results=[_failure(resource, code, message) for resource in request.resources]
    )


def _failure(
    resource: DescribeConfigsResource, code: ErrorCode, message: str | None
) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=code,
        error_message=message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def _wanted(resource: DescribeConfigsResource) -> frozenset[str]:
    """Return the names of the settings that are asked for; none means all."""
    return frozenset(resource.configuration_keys or ())


def _describe_or_refuse(
    context: RequestContext,
    request: DescribeConfigsRequest,
    resource: DescribeConfigsResource,
    wanted: frozenset[str],
) -> DescribeConfigsResult:
    try:
        described = _describe(context, resource)
    except KafkaError as error:
        return _failure(resource, error.code, error.message)
    return DescribeConfigsResult(
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=[
            _result(request, config) for config in described if not wanted or config.name in wanted
        ],
    )


def _describe(context: RequestContext, resource: DescribeConfigsResource) -> list[DescribedConfig]:
    kind, name = ResourceType(resource.resource_type), resource.resource_name
    if not name and kind in NAMED:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{NAMED[kind]} must not be empty")
    metadata = context.broker.metadata
    if kind is not ResourceType.BROKER_LOGGER:
        return metadata.describe_configs(kind, name)
    if not name.isdecimal():
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}"
        )
    node_id = metadata.image.node_id
    if int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id} but received {name}",
        )
    return [_described_logger(*logger) for logger in loggers.levels().items()]


def _described_logger(name: str, level: str) -> DescribedConfig:
    return DescribedConfig(
        name=name,
        value=level,
        source=ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG,
        config_type=UNKNOWN_TYPE,
        is_read_only=False,
        is_sensitive=False,
        synonyms=(),
        documentation="",
    )


def _result(
    request: DescribeConfigsRequest, config: DescribedConfig
) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=config.name,
        value=config.value,
        read_only=config.is_read_only,
        config_source=config.source,
        is_sensitive=config.is_sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
            for synonym in (config.synonyms if request.include_synonyms else ())
        ],
        config_type=config.config_type,
        documentation=config.documentation if request.include_documentation else None,
    )
