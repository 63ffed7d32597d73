"""IncrementalAlterConfigs (API key 44), versions 0-1 (KIP-339).

v1 is flexible. Each setting is set, deleted, or as a list appended to or subtracted from. Resources
are topics, this broker, all brokers (""), groups (KIP-1043), client metrics subscriptions (KIP-714)
and the loggers of this broker (KIP-412), whose levels last until the process ends.

A resource that the request holds twice is refused each time. An unknown operation is
INVALID_REQUEST; Kafka says UNKNOWN_SERVER_ERROR.
"""

from collections import Counter
from typing import Final

from pykbroker import loggers
from pykbroker.metadata.config_changes import AlterOperation, ConfigChange, ConfigOperation
from pykbroker.metadata.image import ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pykbroker.request_context import RequestContext

REPEATED: Final = "Each resource must appear at most once."


async def handle(
    context: RequestContext, request: IncrementalAlterConfigsRequest
) -> IncrementalAlterConfigsResponse:
    """Change the settings of each resource, or only say whether they could be.

    Errors of a resource: INVALID_REQUEST, INVALID_CONFIG, INVALID_TOPIC_EXCEPTION,
    UNKNOWN_TOPIC_OR_PARTITION.
    """
    stored = [resource for resource in request.resources if not _is_logger(resource)]
    outcomes = iter(
        await context.broker.metadata.incremental_alter_configs(
            [_change(resource) for resource in stored], validate_only=request.validate_only
        )
        if stored
        else ()
    )
    node_id = context.broker.metadata.image.node_id
    logger_names = Counter(
        resource.resource_name for resource in request.resources if _is_logger(resource)
    )
    responses = []
    for resource in request.resources:
        if not _is_logger(resource):
            outcome = next(outcomes)
        elif logger_names[resource.resource_name] > 1:
            outcome = KafkaError(ErrorCode.INVALID_REQUEST, REPEATED)
        else:
            outcome = _alter_loggers(resource, node_id, validate_only=request.validate_only)
        responses.append(
            _response(resource)
            if outcome is None
            else _response(resource, outcome.code, outcome.message)
        )
    return IncrementalAlterConfigsResponse(responses=responses)


def error_response(
    request: IncrementalAlterConfigsRequest, code: ErrorCode, message: str | None = None
) -> IncrementalAlterConfigsResponse:
    """Answer every resource of the request with the same error: the API has no other place."""
    return IncrementalAlterConfigsResponse(
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


def _change(resource: AlterConfigsResource) -> ConfigChange:
    return ConfigChange(
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        operations=tuple(
            ConfigOperation(config.name, config.config_operation, config.value)
            for config in resource.configs
        ),
    )


def _is_logger(resource: AlterConfigsResource) -> bool:
    return resource.resource_type == ResourceType.BROKER_LOGGER


def _alter_loggers(
    resource: AlterConfigsResource, node_id: int, *, validate_only: bool
) -> KafkaError | None:
    """Change levels of loggers, all or none of them; return why not."""
    try:
        _validate_node(resource.resource_name, node_id)
        names = [config.name for config in resource.configs]
        if len(set(names)) != len(names):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
        for config in resource.configs:
            _validate_level(config)
    except KafkaError as error:
        return error
    if not validate_only:
        for config in resource.configs:
            if config.config_operation == AlterOperation.DELETE:
                loggers.clear_level(config.name)
            else:
                loggers.set_level(config.name, config.value or "")
    return None


def _validate_node(name: str, node_id: int) -> None:
    if not name.isdecimal():
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        )
    if int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected node id. Expected {node_id}, but received {name}",
        )


def _validate_level(config: AlterableConfig) -> None:
    """Refuse a change that Kafka's `RuntimeLoggerManager.validateLogLevelConfigs` refuses."""
    name, level = config.name, config.value
    if config.config_operation == AlterOperation.SET:
        if level is None:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {name}")
        if level not in loggers.LEVELS:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Cannot set the log level of {name} to {level} as it is not a supported log "
                f"level. Valid log levels are {', '.join(sorted(loggers.LEVELS))}",
            )
    elif config.config_operation == AlterOperation.DELETE:
        if name == loggers.ROOT_LOGGER:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                "Removing the log level of the root logger is not allowed",
            )
    else:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"{_operation_name(config.config_operation)} operation is not allowed for the "
            "BROKER_LOGGER resource",
        )
    if not loggers.exists(name):
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Logger {name} does not exist!")


def _operation_name(operation: int) -> str:
    known = operation in AlterOperation.__members__.values()
    return AlterOperation(operation).name if known else str(operation)
