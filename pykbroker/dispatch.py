"""From a request frame to the bytes of its answer, through the table of APIs.

The only place that turns exceptions into answers:

- `ProtocolError` (the frame cannot be understood; unknown API or version): passed on, the
  connection is closed. ApiVersions alone answers an unknown version (KIP-511).
- `CloseConnection`: passed on.
- `KafkaError`: the API's own error response.
- anything else is our bug: traceback in the log, UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, cast

from pykbroker.handlers import APIS, LoadedApi, Message, load
from pykbroker.metrics import ApiMetrics
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.headers import decode_client_id, skip_tagged_fields
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import (
    CloseConnection,
    ConnectionInfo,
    Deferred,
    RequestContext,
)
from pykbroker.watching import Result, Watch, watched

if TYPE_CHECKING:
    from pykbroker.broker import Broker
    from pykbroker.protocol.produce_layout import ProduceLayout

log = logging.getLogger(__name__)

# size, correlation id; a flexible header adds an empty tag buffer
RESPONSE_PREFIX: Final = struct.Struct(">ii")
FLEXIBLE_RESPONSE_PREFIX: Final = struct.Struct(">iiB")
_SIZE_BYTES: Final = 4
REQUEST_HEADER_START: Final = struct.Struct(">hhi")

# What carries records or members' bytes may be as large as `socket.request.max.bytes`. The rest
# consists of small fields, each of which takes memory and time: it is limited well above all that
# clients send.
APIS_WITH_PAYLOAD: Final = frozenset((ApiKey.PRODUCE, ApiKey.JOIN_GROUP, ApiKey.SYNC_GROUP))
MAX_BYTES_WITHOUT_PAYLOAD: Final = 8 * 1024 * 1024


class Dispatcher:
    """Decodes requests, calls their handlers and encodes the answers."""

    def __init__(self, broker: Broker) -> None:
        self.metrics: dict[int, ApiMetrics] = {}
        self._broker = broker
        self._loaded: dict[int, LoadedApi] = {}
        self._intercept: Callable[[LoadedApi], LoadedApi] | None = None
        self._watch: Watch | None = None

    def dispatch(self, frame: memoryview, connection: ConnectionInfo) -> Result:
        """Answer one request.

        Args:
            frame: The request without its size field; it must stay as it is until the answer is
                complete or is a `Deferred`, for decoded records are slices of it.
            connection: Where it came from.

        Returns:
            The buffers of the answer with its size field; or a `Deferred` or an awaitable of them
            when the request has to wait; or None when the protocol wants no answer (Produce with
            acks=0).

        Raises:
            ProtocolError: The connection must be closed: the request cannot be understood.
            CloseConnection: The connection must be closed: there is no way to say the error.
        """
        watch = self._watch
        if watch is None or len(frame) < REQUEST_HEADER_START.size:
            return self._dispatch(frame, connection)
        return watched(partial(self._dispatch, frame, connection), watch(frame, connection))

    def _dispatch(self, frame: memoryview, connection: ConnectionInfo) -> Result:
        started_ns = perf_counter_ns()
        if len(frame) < REQUEST_HEADER_START.size:
            raise ProtocolError(f"a request of {len(frame)} bytes has no room for a header")
        api_key, version, correlation_id = REQUEST_HEADER_START.unpack_from(frame)
        loaded = self._loaded.get(api_key) or self._load(api_key)
        is_known = loaded.api.min_version <= version <= loaded.api.max_version
        if not is_known and api_key != ApiKey.API_VERSIONS:
            raise ProtocolError(f"{loaded.api.name} version {version} is not supported")
        if len(frame) > MAX_BYTES_WITHOUT_PAYLOAD and api_key not in APIS_WITH_PAYLOAD:
            raise ProtocolError(f"{loaded.api.name} of {len(frame)} bytes")

        layout = connection.produce_layout if api_key == ApiKey.PRODUCE else None
        request = layout.read(frame) if layout is not None else None
        if layout is not None and request is not None:
            client_id = layout.client_id
        else:
            layout = None
            client_id, position = _decode_header(loaded, frame, version)
            if not is_known:
                return _answer_unknown_version(correlation_id)
            try:
                request = loaded.decode(frame, version, position)
            except ProtocolError as error:
                raise ProtocolError(f"{loaded.api.name} v{version}: {error}") from error
            if api_key == ApiKey.PRODUCE:
                _learn_layout(connection, frame, version, client_id, position, request)
        context = RequestContext(self._broker, version, client_id, connection.peer_host, connection)
        metrics = self.metrics[api_key]
        metrics.requests += 1
        metrics.request_bytes += len(frame)

        try:
            result = loaded.handle(context, request)
        except (CloseConnection, ProtocolError):
            raise
        except Exception as error:
            result = self._error_response(loaded, request, context, error)
        if result is None:
            metrics.total_time_ns += perf_counter_ns() - started_ns
            return None

        given = (loaded, request, context, layout, correlation_id, started_ns)
        if isinstance(result, loaded.response_type):
            return self._encode(*given, result)
        if isinstance(result, Deferred):
            return result.then(partial(self._encode_deferred, *given))
        later = cast("Awaitable[Message | None]", result)
        return self._answer_later(loaded, request, context, correlation_id, later, started_ns)

    async def _answer_later(
        self,
        loaded: LoadedApi,
        request: Any,
        context: RequestContext,
        correlation_id: int,
        awaitable: Awaitable[Message | None],
        started_ns: int,
    ) -> list[Buffer] | None:
        metrics = self.metrics[loaded.api.key]
        response: Message | None
        try:
            response = await awaitable
        except CloseConnection:
            raise
        except Exception as error:
            response = self._error_response(loaded, request, context, error)
        if response is None:
            metrics.total_time_ns += perf_counter_ns() - started_ns
            return None
        return self._encode(loaded, request, context, None, correlation_id, started_ns, response)

    def _encode_deferred(
        self,
        loaded: LoadedApi,
        request: Any,
        context: RequestContext,
        layout: ProduceLayout | None,
        correlation_id: int,
        started_ns: int,
        answer: Callable[[], Message],
    ) -> list[Buffer]:
        """Encode what `answer` gives, as `_encode` does."""
        try:
            response = answer()
        except CloseConnection:
            raise
        except Exception as error:
            response = self._error_response(loaded, request, context, error)
        return self._encode(loaded, request, context, layout, correlation_id, started_ns, response)

    def _encode(
        self,
        loaded: LoadedApi,
        request: Any,
        context: RequestContext,
        layout: ProduceLayout | None,
        correlation_id: int,
        started_ns: int,
        response: Message,
    ) -> list[Buffer]:
        """Encode a response; one that its version cannot say is our bug, and answered as such.

        Args:
            layout: That of the request, if it is known.

        Raises:
            CloseConnection: Not even the error can be said: it repeats a name of the request that
                was no UTF-8, and has grown too long by its substitutes.
        """
        version, metrics = context.api_version, self.metrics[loaded.api.key]
        if layout is not None:
            answer = layout.answer(correlation_id, cast("Any", response))
            if answer is not None:
                metrics.response_bytes += len(answer) - _SIZE_BYTES
                metrics.total_time_ns += perf_counter_ns() - started_ns
                return [answer]
        try:
            return _encode(loaded, version, correlation_id, response, metrics, started_ns)
        except Exception as error:
            response = self._error_response(loaded, request, context, error)
            try:
                return _encode(loaded, version, correlation_id, response, metrics, started_ns)
            except ValueError as error:
                raise CloseConnection(f"{loaded.api.name}: {error}") from error

    def add(self, loaded: LoadedApi) -> None:
        """Serve an API through this handler from now on."""
        self._loaded[loaded.api.key] = loaded
        self.metrics.setdefault(loaded.api.key, ApiMetrics())

    def watch(self, watch: Watch | None) -> None:
        """Have somebody hear what comes of each request, or None for nobody; from any thread."""
        self._watch = watch

    def intercept(self, intercept: Callable[[LoadedApi], LoadedApi] | None) -> None:
        """Put something before all handlers, or None for nothing; from any thread.

        Without it requests take the way that they take when there has never been anything.
        """
        # In this order: what is loaded meanwhile goes to the old table, see `_load`.
        self._intercept = intercept
        self._loaded = {}

    def preload(self, api_key: int) -> None:
        """Import what an API needs before its first request comes."""
        if api_key not in self._loaded:
            self._load(api_key)

    def _load(self, api_key: int) -> LoadedApi:
        api = APIS.get(api_key)
        if api is None:
            raise ProtocolError(f"unknown API key {api_key}")
        table = self._loaded
        loaded = load(api)
        if self._intercept is not None:
            loaded = self._intercept(loaded)
        table[api_key] = loaded
        self.metrics.setdefault(api_key, ApiMetrics())
        return loaded

    def _error_response(
        self, loaded: LoadedApi, request: Any, context: RequestContext, error: Exception
    ) -> Message:
        """Turn what a handler raised into the API's error response."""
        if isinstance(error, KafkaError):
            code, message = error.code, error.message
            log.debug(
                "request refused api=%s version=%d client=%s error=%s message=%s",
                loaded.api.name,
                context.api_version,
                context.client_id,
                code.name,
                message,
            )
        else:
            code, message = ErrorCode.UNKNOWN_SERVER_ERROR, None
            log.error(
                "request failed api=%s version=%d client=%s peer=%s",
                loaded.api.name,
                context.api_version,
                context.client_id,
                context.client_host,
                exc_info=error,
            )
        self.metrics[loaded.api.key].count_error(code)
        return loaded.error_response(request, code, message)


def _decode_header(loaded: LoadedApi, frame: memoryview, version: int) -> tuple[str, int]:
    """Return the client id, empty for none, and where the header ends."""
    client_id, position = decode_client_id(frame, REQUEST_HEADER_START.size)
    if version >= loaded.first_flexible_version:
        position = skip_tagged_fields(frame, position)
    return client_id or "", position


def _learn_layout(
    connection: ConnectionInfo,
    frame: memoryview,
    version: int,
    client_id: str,
    position: int,
    request: Any,
) -> None:
    """Remember what a produce request was like; a client that varies them is given up for once."""
    if connection.produce_layout is not None:
        connection.produce_layout = None
        return
    from pykbroker.protocol.produce_layout import ProduceLayout

    connection.produce_layout = ProduceLayout.of(frame, version, client_id, position, request)


def _encode(
    loaded: LoadedApi,
    version: int,
    correlation_id: int,
    response: Message,
    metrics: ApiMetrics,
    started_ns: int,
) -> list[Buffer]:
    """Put size and header before an encoded response."""
    buffers = response.encode(version)
    body_bytes = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
    # The client cannot know yet whether we speak flexible versions when it asks for them (KIP-511).
    if version >= loaded.first_flexible_version and loaded.api.key != ApiKey.API_VERSIONS:
        size_bytes = body_bytes + 5
        prefix = FLEXIBLE_RESPONSE_PREFIX.pack(size_bytes, correlation_id, 0)
    else:
        size_bytes = body_bytes + 4
        prefix = RESPONSE_PREFIX.pack(size_bytes, correlation_id)
    buffers[0] = prefix + buffers[0]
    metrics.response_bytes += size_bytes
    metrics.total_time_ns += perf_counter_ns() - started_ns
    return buffers


def _answer_unknown_version(correlation_id: int) -> list[Buffer]:
    from pykbroker.handlers.api_versions import unsupported_version_response

    body = b"".join(unsupported_version_response().encode(0))
    return [RESPONSE_PREFIX.pack(len(body) + 4, correlation_id) + body]
