"""ListConfigResources (API key 74), versions 0-1 (KIP-1142).

v0 was called ListClientMetricsResources and lists client metrics subscriptions alone (KIP-714); v1
asks by type, and an empty list of types means all of them. Groups and subscriptions are listed when
they have settings of their own, topics and brokers always.
"""

from collections.abc import Iterable
from typing import Final

from pykbroker.metadata.image import MetadataImage, ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_BY_TYPE: Final = 1
# In Kafka's order.
LISTED_TYPES: Final = (
    ResourceType.GROUP,
    ResourceType.CLIENT_METRICS,
    ResourceType.BROKER_LOGGER,
    ResourceType.BROKER,
    ResourceType.TOPIC,
)


def handle(
    context: RequestContext, request: ListConfigResourcesRequest
) -> ListConfigResourcesResponse:
    """List the names of everything that has settings.

    Raises:
        KafkaError: UNSUPPORTED_VERSION for a type that is not known.
    """
    image = context.broker.metadata.image
    if context.api_version < FIRST_VERSION_BY_TYPE:
        types: set[int] = {ResourceType.CLIENT_METRICS}
    else:
        types = set(request.resource_types) or set(LISTED_TYPES)
    unknown = types.difference(LISTED_TYPES)
    if unknown:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"unknown resource types {unknown}")
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(resource_name=name, resource_type=resource_type)
            for resource_type in LISTED_TYPES
            if resource_type in types
            for name in _names(image, resource_type)
        ]
    )


def error_response(
    request: ListConfigResourcesRequest, code: ErrorCode, message: str | None = None
) -> ListConfigResourcesResponse:
    """Answer with an error and no resources."""
    return ListConfigResourcesResponse(error_code=code)


def _names(image: MetadataImage, resource_type: ResourceType) -> Iterable[str]:
    if resource_type is ResourceType.TOPIC:
        return image.topics
    if resource_type in (ResourceType.BROKER, ResourceType.BROKER_LOGGER):
        return map(str, image.brokers)
    return image.configs_by_name(resource_type)
