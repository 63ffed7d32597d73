"""FindCoordinator (API key 10), versions 0-6: which broker looks after a group or a transaction?

v0 knows groups only, v1 adds the key type and an error message, v3 is flexible, v4+ asks for many
keys and answers per key (KIP-699), v6 adds share groups (KIP-932). All are served by the v4 shape.

Deviation: where the internal topic does not exist yet Kafka answers COORDINATOR_NOT_AVAILABLE and
creates it meanwhile; here it is ready at once, so the first answer is the right one.
"""

from collections.abc import Awaitable
from enum import IntEnum
from typing import Final

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from pykbroker.protocol.uuids import uuid_from_text
from pykbroker.request_context import RequestContext

FIRST_BATCHED_VERSION: Final = 4  # KIP-699
FIRST_VERSION_WITH_SHARE_GROUPS: Final = 6  # KIP-932
NO_NODE: Final = -1
SHARED_PARTITION_PARTS: Final = 3


class CoordinatorType(IntEnum):
    """What a coordinator key names."""

    GROUP = 0
    TRANSACTION = 1
    SHARE = 2


INTERNAL_TOPICS: Final = {
    CoordinatorType.GROUP: "__consumer_offsets",
    CoordinatorType.TRANSACTION: "__transaction_state",
}


def handle(
    context: RequestContext, request: FindCoordinatorRequest
) -> FindCoordinatorResponse | Awaitable[FindCoordinatorResponse]:
    """Name the broker that coordinates each key, creating the internal topic when first needed.

    Errors of a key: COORDINATOR_NOT_AVAILABLE while nobody leads its partition, and for shared
    partitions, which are not served; INVALID_REQUEST for what does not name a shared partition.

    Raises:
        KafkaError: INVALID_REQUEST for an unknown key type.
    """
    try:
        kind = CoordinatorType(request.key_type)
    except ValueError:
        message = f"unknown coordinator type {request.key_type}"
        raise KafkaError(ErrorCode.INVALID_REQUEST, message) from None
    if kind is CoordinatorType.SHARE:
        return _find_shared(context, request)
    topic = INTERNAL_TOPICS[kind]
    if context.broker.metadata.image.topic(topic) is None:
        return _create_and_find(context, request, topic)
    return _find_all(context, request, topic)


def error_response(
    request: FindCoordinatorRequest, code: ErrorCode, message: str | None = None
) -> FindCoordinatorResponse:
    """Answer with the same error for every key, in both shapes."""
    text = message or code.message
    return FindCoordinatorResponse(
        error_code=code,
        error_message=text,
        node_id=NO_NODE,
        port=NO_NODE,
        coordinators=[_unavailable(key, code, text) for key in request.coordinator_keys],
    )


def _find_shared(
    context: RequestContext, request: FindCoordinatorRequest
) -> FindCoordinatorResponse:
    """Nobody coordinates shared partitions yet; before v6 one could not ask for them."""
    if context.api_version < FIRST_BATCHED_VERSION:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    is_known = context.api_version >= FIRST_VERSION_WITH_SHARE_GROUPS
    return FindCoordinatorResponse(
        coordinators=[
            _unavailable(
                key,
                ErrorCode.COORDINATOR_NOT_AVAILABLE
                if is_known and _names_shared_partition(key)
                else ErrorCode.INVALID_REQUEST,
            )
            for key in request.coordinator_keys
        ]
    )


def _names_shared_partition(key: str) -> bool:
    """Whether a key is `group:topic id:partition`; the group may hold colons itself."""
    parts = key.rsplit(":", 2)
    if len(parts) != SHARED_PARTITION_PARTS or not parts[0].strip():
        return False
    _, topic_id, partition = parts
    try:
        uuid_from_text(topic_id)
    except ValueError:
        return False
    digits = partition.removeprefix("-")
    return digits.isascii() and digits.isdigit()


async def _create_and_find(
    context: RequestContext, request: FindCoordinatorRequest, topic: str
) -> FindCoordinatorResponse:
    try:
        await context.broker.metadata.ensure_internal_topic(topic)
    except KafkaError as error:
        raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, error.message) from error
    return _find_all(context, request, topic)


def _find_all(
    context: RequestContext, request: FindCoordinatorRequest, topic: str
) -> FindCoordinatorResponse:
    if context.api_version >= FIRST_BATCHED_VERSION:
        return FindCoordinatorResponse(
            coordinators=[_find(context, topic, key) for key in request.coordinator_keys]
        )
    found = _find(context, topic, request.key)
    code = ErrorCode(found.error_code)
    return FindCoordinatorResponse(
        error_code=code,
        # Kafka says "NONE" in words too.
        error_message=code.name if code is ErrorCode.NONE else code.message,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )


def _find(context: RequestContext, topic_name: str, key: str) -> Coordinator:
    image = context.broker.metadata.image
    topic = image.topic(topic_name)
    if topic is None:
        return _unavailable(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    leader = topic.partitions[partition_for(key, len(topic.partitions))].leader
    if leader not in image.brokers:
        return _unavailable(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    host, port = context.broker.advertised_endpoint(context.connection)
    return Coordinator(key=key, node_id=leader, host=host, port=port)


def _unavailable(key: str, code: ErrorCode, message: str = "") -> Coordinator:
    return Coordinator(
        key=key, node_id=NO_NODE, port=NO_NODE, error_code=code, error_message=message
    )
