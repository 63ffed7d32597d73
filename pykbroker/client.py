"""A small synchronous client of the Kafka protocol, for the commands of this package.

One socket to each broker that is needed, one request at a time on each. The version of a request
is the newest one that both sides know, within `SPOKEN_VERSIONS` where a command fills a field that
exists in some versions only. Topics are named, never given by id.
"""

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, TypeVar

from pykbroker import __version__
from pykbroker.config.listeners import parse_address
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.headers import (
    RequestHeader,
    decode_response_header,
    encode_request_header,
)
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from pykbroker.protocol.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from pykbroker.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from pykbroker.protocol.primitives import Buffer

CLIENT_NAME: Final = "pykbroker-cli"
TIMEOUT_S: Final = 30.0
RETRY_INTERVAL_S: Final = 0.05
MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024

EARLIEST: Final = -2
"""The timestamp that asks ListOffsets for the first offset."""
LATEST: Final = -1
"""The timestamp that asks ListOffsets for the offset behind the last readable record."""

# API -> the first and the last version whose shape the commands fill.
SPOKEN_VERSIONS: Final[Mapping[int, tuple[int, int]]] = {
    ApiKey.PRODUCE: (3, 12),
    ApiKey.FETCH: (4, 12),
    ApiKey.METADATA: (4, 13),
    ApiKey.OFFSET_COMMIT: (2, 9),
    ApiKey.OFFSET_FETCH: (8, 9),
    ApiKey.FIND_COORDINATOR: (4, 6),
    ApiKey.CREATE_TOPICS: (4, 7),
    ApiKey.DELETE_TOPICS: (6, 6),
}

# A group's coordinator answers so while it is being found, or loads what it knows.
COORDINATOR_ERRORS: Final = (
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
)


class ClientError(Exception):
    """A broker cannot be reached, or cannot be talked to; the message says what to check."""


class Request(Protocol):
    """What the generated requests have in common."""

    API_KEY: ClassVar[int]
    MIN_VERSION: ClassVar[int]
    MAX_VERSION: ClassVar[int]

    def encode(self, version: int) -> list[Buffer]:
        """Write the message."""


class Response(Protocol):
    """What the generated responses have in common."""

    @classmethod
    def decode(cls, data: memoryview, version: int, position: int = 0) -> Self:
        """Read the message."""


R = TypeVar("R", bound=Response)
T = TypeVar("T")


def check(error_code: int, message: str | None = None) -> None:
    """Raise KafkaError for any error code but NONE; an unknown code is an unknown error."""
    if error_code == ErrorCode.NONE:
        return
    try:
        code = ErrorCode(error_code)
    except ValueError:
        code = ErrorCode.UNKNOWN_SERVER_ERROR
        message = message or f"error code {error_code}"
    raise KafkaError(code, message)


class Connection:
    """One socket to one broker, on which the versions of both sides have been compared."""

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        """Connect.

        Raises:
            ClientError: There is no broker at this address.
        """
        self.address = f"{host}:{port}"
        self._next_correlation_id = 0
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise ClientError(
                f"no broker at {self.address} ({error.strerror or error}); start one with "
                "'pykbroker serve', or name another with --bootstrap HOST:PORT"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._versions = self._ask_versions()
        except BaseException:
            self.close()
            raise

    def call(self, request: Request, response_type: type[R]) -> R:
        """Send a request and wait for its response.

        Raises:
            ClientError: The broker has no common version of this API, or the connection is lost.
        """
        version = self._version_of(request)
        return self._exchange(request, version, response_type)

    def send(self, request: Request) -> None:
        """Send a request that has no response (Produce with acks=0)."""
        self._write(request, self._version_of(request))

    def knows(self, api_key: int) -> bool:
        """Whether the broker serves an API at all."""
        return api_key in self._versions

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()

    def _ask_versions(self) -> dict[int, tuple[int, int]]:
        # Version 3 names us; every broker since Kafka 2.4 knows it.
        request = ApiVersionsRequest(
            client_software_name=CLIENT_NAME, client_software_version=__version__
        )
        response = self._exchange(request, 3, ApiVersionsResponse)
        check(response.error_code)
        return {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}

    def _version_of(self, request: Request) -> int:
        theirs = self._versions.get(request.API_KEY, (0, -1))
        spoken = SPOKEN_VERSIONS.get(request.API_KEY, (request.MIN_VERSION, request.MAX_VERSION))
        newest = min(theirs[1], spoken[1])
        if newest < max(theirs[0], spoken[0]):
            name = ApiKey(request.API_KEY).name
            raise ClientError(f"the broker at {self.address} has no version of {name} that we know")
        return newest

    def _exchange(self, request: Request, version: int, response_type: type[R]) -> R:
        correlation_id = self._write(request, version)
        try:
            frame = self._read_frame()
            answered, position = decode_response_header(frame, request.API_KEY, version)
            if answered != correlation_id:
                raise ProtocolError(f"answer to request {answered} instead of {correlation_id}")
            return response_type.decode(frame, version, position)
        except OSError as error:
            raise self._lost(error) from error
        except ProtocolError as error:
            raise ClientError(f"{self.address} answers what is not Kafka: {error}") from error

    def _write(self, request: Request, version: int) -> int:
        correlation_id = self._next_correlation_id
        self._next_correlation_id += 1
        header = RequestHeader(request.API_KEY, version, correlation_id, CLIENT_NAME)
        parts = [encode_request_header(header), *request.encode(version)]
        size = sum(len(part) for part in parts)
        try:
            self._socket.sendall(b"".join([size.to_bytes(4, "big"), *parts]))
        except OSError as error:
            raise self._lost(error) from error
        return correlation_id

    def _read_frame(self) -> memoryview:
        size = int.from_bytes(self._read_exactly(4), "big", signed=True)
        if not 0 <= size <= MAX_RESPONSE_BYTES:
            raise ProtocolError(f"a response of {size} bytes")
        return self._read_exactly(size)

    def _read_exactly(self, count: int) -> memoryview:
        data = memoryview(bytearray(count))
        position = 0
        while position < count:
            received = self._socket.recv_into(data[position:])
            if received == 0:
                raise ConnectionResetError("closed by the broker")
            position += received
        return data

    def _lost(self, error: OSError) -> ClientError:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return ClientError(f"lost the connection to {self.address}: {reason}")


class Client:
    """Finds the broker that a request belongs to, and asks it."""

    def __init__(self, bootstrap: str, timeout_s: float = TIMEOUT_S) -> None:
        """Connect to a first broker.

        Raises:
            ClientError: It is not there.
            ValueError: `bootstrap` is not HOST:PORT.
        """
        self.timeout_s = timeout_s
        self._first = Connection(*parse_address(bootstrap), timeout_s)
        self._by_node: dict[int, Connection] = {}
        self._addresses: dict[int, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        """Give itself; the end of the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in (self._first, *self._by_node.values()):
            connection.close()

    def call(self, request: Request, response_type: type[R], node_id: int | None = None) -> R:
        """Ask one broker (any of them if `node_id` is None). Raises ClientError."""
        return self.connection(node_id).call(request, response_type)

    def connection(self, node_id: int | None = None) -> Connection:
        """Return the connection to a broker that metadata has named, or to the first one."""
        if node_id is None:
            return self._first
        if node_id not in self._by_node:
            if node_id not in self._addresses:
                raise ClientError(f"the cluster has no broker {node_id}")
            self._by_node[node_id] = Connection(*self._addresses[node_id], self.timeout_s)
        return self._by_node[node_id]

    def metadata(
        self, topics: Sequence[str] | None = None, *, may_create: bool = False
    ) -> MetadataResponse:
        """Describe these topics, or all if None. Errors of topics are in the answer."""
        wanted = None
        if topics is not None:
            wanted = [MetadataRequestTopic(name=name) for name in topics]
        request = MetadataRequest(topics=wanted, allow_auto_topic_creation=may_create)
        response = self.call(request, MetadataResponse)
        check(response.error_code)
        self._addresses = {node.node_id: (node.host, node.port) for node in response.brokers}
        return response

    def topic(self, name: str, *, may_create: bool = False) -> MetadataResponseTopic:
        """Describe one topic, once each of its partitions has a leader.

        Raises:
            KafkaError: It does not exist, or has no leaders in time.
        """
        deadline = time.monotonic() + self.timeout_s
        while True:
            (topic,) = self.metadata([name], may_create=may_create).topics
            codes = [topic.error_code, *(part.error_code for part in topic.partitions)]
            failed = next((code for code in codes if code != ErrorCode.NONE), None)
            if failed is None:
                return topic
            waits = failed == ErrorCode.LEADER_NOT_AVAILABLE or (
                may_create and failed == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            )
            if not waits or time.monotonic() >= deadline:
                check(failed, f"topic {name}: {ErrorCode(failed).message}")
            time.sleep(RETRY_INTERVAL_S)

    def offsets(
        self, topic: MetadataResponseTopic, partitions: Iterable[int], timestamp: int
    ) -> dict[int, int]:
        """Return the first offset with this time or later, -1 if none, by partition.

        Args:
            topic: As `topic()` has returned it.
            timestamp: Milliseconds, or EARLIEST or LATEST.
        """
        by_leader: dict[int, list[int]] = {}
        leaders = leaders_of(topic)
        for partition in partitions:
            by_leader.setdefault(leaders[partition], []).append(partition)
        found: dict[int, int] = {}
        for leader, indexes in by_leader.items():
            asked = [
                ListOffsetsPartition(partition_index=index, timestamp=timestamp)
                for index in indexes
            ]
            request = ListOffsetsRequest(
                replica_id=-1, topics=[ListOffsetsTopic(name=topic.name or "", partitions=asked)]
            )
            response = self.call(request, ListOffsetsResponse, leader)
            for answer in response.topics[0].partitions:
                check(answer.error_code)
                found[answer.partition_index] = answer.offset
        return found

    def at_coordinator(self, group_id: str, ask: Callable[[int], T]) -> T:
        """Call `ask` with the node that coordinates a group, again while that one is not ready.

        Raises:
            KafkaError: What `ask` raises, or there is no ready coordinator in time.
        """
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                return ask(self._find_coordinator(group_id))
            except KafkaError as error:
                if error.code not in COORDINATOR_ERRORS or time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_INTERVAL_S)

    def _find_coordinator(self, group_id: str) -> int:
        request = FindCoordinatorRequest(coordinator_keys=[group_id])
        (found,) = self.call(request, FindCoordinatorResponse).coordinators
        check(found.error_code, found.error_message)
        self._addresses.setdefault(found.node_id, (found.host, found.port))
        return found.node_id


def leaders_of(topic: MetadataResponseTopic) -> dict[int, int]:
    """Return the leading node of each partition, in the order of the partitions."""
    partitions = sorted(topic.partitions, key=lambda partition: partition.partition_index)
    return {partition.partition_index: partition.leader_id for partition in partitions}


def partition_of_key(key: bytes, partitions: int) -> int:
    """Choose the partition of a record's key as Kafka's own clients do."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash a key as Kafka's `Utils.murmur2` does, as an unsigned 32-bit number."""
    length = len(data)
    multiplier = 0x5BD1E995
    state = 0x9747B28C ^ length
    whole = length & ~3
    for position in range(0, whole, 4):
        word = int.from_bytes(data[position : position + 4], "little")
        word = (word * multiplier) & 0xFFFFFFFF
        word = ((word ^ (word >> 24)) * multiplier) & 0xFFFFFFFF
        state = ((state * multiplier) & 0xFFFFFFFF) ^ word
    if whole < length:
        state ^= int.from_bytes(data[whole:], "little")
        state = (state * multiplier) & 0xFFFFFFFF
    state = ((state ^ (state >> 13)) * multiplier) & 0xFFFFFFFF
    return state ^ (state >> 15)
