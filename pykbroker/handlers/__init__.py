"""The table of APIs: the one place that says what this broker serves.

ApiVersions, dispatch, the metrics' names and the support table of the README derive from it. An API
is one row here, one handler module, one message module and one test module, all with the same stem.
Handlers and messages are imported when their API is first used, which keeps the start fast.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import RequestContext


class Message(Protocol):
    """A generated request or response."""

    def encode(self, version: int) -> list[Buffer]:
        """Return the bytes of this message in one version."""


# Requests and responses differ from API to API; each handler module is typed in itself, and
# tests/handlers/test_table.py checks that its functions fit its messages.
Handle = Callable[[RequestContext, Any], Message | Awaitable[Message | None] | None]
ErrorResponse = Callable[[Any, ErrorCode, str | None], Message]
Decode = Callable[[memoryview, int, int], Any]


@dataclass(frozen=True, slots=True)
class Api:
    """One row: which versions of an API are served, and which are advertised.

    They differ for Produce alone: librdkafka up to 2.10 takes gzip, snappy and lz4 for unsupported
    unless version 0 is advertised, so Kafka advertises versions that it refuses (KAFKA-18659).
    """

    key: ApiKey
    min_version: int
    max_version: int
    advertised_min_version: int

    @property
    def stem(self) -> str:
        """Name of the modules of this API, e.g. `list_offsets`."""
        return self.key.stem

    @property
    def name(self) -> str:
        """Kafka's name of this API, e.g. `ListOffsets`."""
        return self.key.display_name


@dataclass(frozen=True, slots=True)
class LoadedApi:
    """An API whose modules have been imported: all that dispatch needs of it."""

    api: Api
    decode: Decode
    handle: Handle
    error_response: ErrorResponse
    response_type: type[Message]
    # The version from which headers are flexible; above every version where there is none.
    first_flexible_version: int


NEVER_FLEXIBLE: Final = 1 << 15


def _api(key: ApiKey, first: int, last: int, *, advertised_from: int | None = None) -> Api:
    return Api(key, first, last, first if advertised_from is None else advertised_from)


APIS: Final[dict[int, Api]] = {
    api.key: api
    for api in (
        _api(ApiKey.PRODUCE, 3, 13, advertised_from=0),
        _api(ApiKey.FETCH, 4, 18),
        _api(ApiKey.LIST_OFFSETS, 1, 11),
        _api(ApiKey.METADATA, 0, 13),
        _api(ApiKey.OFFSET_COMMIT, 2, 10),
        _api(ApiKey.OFFSET_FETCH, 1, 10),
        _api(ApiKey.FIND_COORDINATOR, 0, 6),
        _api(ApiKey.JOIN_GROUP, 0, 9),
        _api(ApiKey.HEARTBEAT, 0, 4),
        _api(ApiKey.LEAVE_GROUP, 0, 5),
        _api(ApiKey.SYNC_GROUP, 0, 5),
        _api(ApiKey.DESCRIBE_GROUPS, 0, 6),
        _api(ApiKey.LIST_GROUPS, 0, 5),
        _api(ApiKey.SASL_HANDSHAKE, 0, 1),
        _api(ApiKey.API_VERSIONS, 0, 4),
        _api(ApiKey.CREATE_TOPICS, 2, 7),
        _api(ApiKey.DELETE_TOPICS, 1, 6),
        _api(ApiKey.DELETE_RECORDS, 0, 2),
        _api(ApiKey.INIT_PRODUCER_ID, 0, 5),
        _api(ApiKey.OFFSET_FOR_LEADER_EPOCH, 2, 4),
        _api(ApiKey.ADD_PARTITIONS_TO_TXN, 0, 5),
        _api(ApiKey.ADD_OFFSETS_TO_TXN, 0, 4),
        _api(ApiKey.END_TXN, 0, 5),
        _api(ApiKey.WRITE_TXN_MARKERS, 1, 2),
        _api(ApiKey.TXN_OFFSET_COMMIT, 0, 5),
        _api(ApiKey.DESCRIBE_CONFIGS, 1, 4),
        _api(ApiKey.ALTER_CONFIGS, 0, 2),
        _api(ApiKey.DESCRIBE_LOG_DIRS, 1, 5),
        _api(ApiKey.SASL_AUTHENTICATE, 0, 2),
        _api(ApiKey.CREATE_PARTITIONS, 0, 3),
        _api(ApiKey.DELETE_GROUPS, 0, 2),
        _api(ApiKey.ELECT_LEADERS, 0, 2),
        _api(ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, 1),
        _api(ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0, 1),
        _api(ApiKey.LIST_PARTITION_REASSIGNMENTS, 0, 0),
        _api(ApiKey.OFFSET_DELETE, 0, 0),
        _api(ApiKey.UPDATE_FEATURES, 0, 2),
        _api(ApiKey.DESCRIBE_CLUSTER, 0, 2),
        _api(ApiKey.DESCRIBE_PRODUCERS, 0, 0),
        _api(ApiKey.DESCRIBE_TRANSACTIONS, 0, 0),
        _api(ApiKey.LIST_TRANSACTIONS, 0, 2),
        _api(ApiKey.CONSUMER_GROUP_HEARTBEAT, 0, 1),
        _api(ApiKey.CONSUMER_GROUP_DESCRIBE, 0, 1),
        _api(ApiKey.LIST_CONFIG_RESOURCES, 0, 1),
        _api(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, 0),
    )
}


# What every client sends first; the rest is imported with the first request for it.
WARM_UP_ORDER: Final = (
    ApiKey.API_VERSIONS,
    ApiKey.METADATA,
    ApiKey.PRODUCE,
    ApiKey.FETCH,
    ApiKey.LIST_OFFSETS,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.FIND_COORDINATOR,
    ApiKey.JOIN_GROUP,
    ApiKey.SYNC_GROUP,
    ApiKey.OFFSET_FETCH,
    ApiKey.OFFSET_COMMIT,
    ApiKey.HEARTBEAT,
    ApiKey.LEAVE_GROUP,
    ApiKey.CREATE_TOPICS,
)


def load(api: Api) -> LoadedApi:
    """Import an API's handler and messages."""
    messages = import_module(f"pykbroker.protocol.messages.{api.stem}")
    handler = import_module(f"pykbroker.handlers.{api.stem}")
    request_type = getattr(messages, f"{api.name}Request")
    first_flexible = request_type.FIRST_FLEXIBLE_VERSION
    return LoadedApi(
        api,
        decode=request_type.decode,
        handle=handler.handle,
        error_response=handler.error_response,
        response_type=getattr(messages, f"{api.name}Response"),
        first_flexible_version=NEVER_FLEXIBLE if first_flexible is None else first_flexible,
    )
