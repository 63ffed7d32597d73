"""The last requests of a broker in this process, with their answers, to be read when a test fails.

They are kept as they came and decoded only when somebody looks.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, cast

from pykbroker.client import CLIENT_NAME, Response
from pykbroker.dispatch import REQUEST_HEADER_START
from pykbroker.handlers import APIS, load
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.headers import decode_request_header, decode_response_header
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import ConnectionInfo
from pykbroker.testing.message_text import message_text

MAX_EXCHANGES: Final = 500
# Of a request and of an answer; a longer one is not decoded.
MAX_BYTES: Final = 8 * 1024
_SIZE_BYTES: Final = 4


class Exchange:
    """A request and what came of it."""

    __slots__ = ("_answer", "_frame", "_request_bytes", "_started", "_took_ms", "client", "time_s")

    def __init__(self, frame: memoryview, client: str) -> None:
        self.client = client
        self.time_s = time.time()
        self._started = time.perf_counter()
        self._took_ms: float | None = None
        self._request_bytes = len(frame)
        self._frame = bytes(frame[:MAX_BYTES])
        self._answer: bytes | str = "no answer yet"

    def answered(self, buffers: Iterable[Buffer]) -> None:
        """Keep the answer, as far as it is in memory and small."""
        self._took_ms = (time.perf_counter() - self._started) * 1000
        parts = list(buffers)
        size = sum(map(len, parts))
        is_kept = size <= MAX_BYTES and all(
            isinstance(part, bytes | bytearray | memoryview) for part in parts
        )
        self._answer = b"".join(parts) if is_kept else f"{size} bytes"

    def ended(self, outcome: str) -> None:
        """Say what there is in place of an answer."""
        self._took_ms = (time.perf_counter() - self._started) * 1000
        self._answer = outcome

    @property
    def is_of_a_test_helper(self) -> bool:
        """Whether the client is our own, which looks at the broker for the test."""
        try:
            return decode_request_header(memoryview(self._frame))[0].client_id == CLIENT_NAME
        except ProtocolError:
            return False

    def text(self) -> str:
        """Return client, request and answer, without their times."""
        request, answer = self._decoded()
        return f"{self.client} {request} -> {answer}"

    def line(self, times: int) -> str:
        """Return all in one line, for so many of them that are alike."""
        at = datetime.fromtimestamp(self.time_s, UTC).isoformat(timespec="milliseconds")
        took = "" if self._took_ms is None else f" ({self._took_ms:.1f} ms)"
        repeated = f" ({times} times)" if times > 1 else ""
        return f"{at[11:23]}Z {self.text()}{took}{repeated}"

    def _decoded(self) -> tuple[str, str]:
        api_key, version, _ = REQUEST_HEADER_START.unpack_from(self._frame)
        answer = self._answer if isinstance(self._answer, str) else f"{len(self._answer)} bytes"
        if api_key not in APIS:
            return f"API {api_key} v{version}", answer
        loaded = load(APIS[api_key])
        name = f"{loaded.api.name} v{version}"
        if self._request_bytes > MAX_BYTES:
            return f"{name} {self._request_bytes} bytes", answer
        try:
            header, position = decode_request_header(memoryview(self._frame))
            request = loaded.decode(memoryview(self._frame), version, position)
            name = f"{header.client_id or '-'} {name} {message_text(request)}".rstrip()
            if isinstance(self._answer, bytes):
                frame = memoryview(self._answer)[_SIZE_BYTES:]
                _, position = decode_response_header(frame, api_key, version)
                response_type = cast("type[Response]", loaded.response_type)
                answer = message_text(response_type.decode(frame, version, position)) or "NONE"
        except ProtocolError as error:
            return name, f"{answer} ({error})"
        return name, answer


class RequestLog:
    """The last exchanges of one broker, each with a number that counts all of them."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=MAX_EXCHANGES)
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many exchanges there have been."""
        return self._count

    def append(self, exchange: Exchange) -> None:
        """Keep an exchange."""
        with self._lock:
            self._exchanges.append(exchange)
            self._count += 1

    def watch(self, frame: memoryview, connection: ConnectionInfo) -> Exchange:
        """Keep a request; what is returned wants to hear what comes of it."""
        exchange = Exchange(frame, f"{connection.peer_host}:{connection.peer_port}")
        self.append(exchange)
        return exchange

    def since(self, count: int) -> list[str]:
        """Return a line for each exchange after the first `count`, as far as they are kept.

        Those of our own helpers are left out, and what a client repeats is told once.
        """
        with self._lock:
            new = self._count - count
            exchanges = list(self._exchanges)[-new:] if new > 0 else []
        last_of_client: dict[str, tuple[str, list[Exchange]]] = {}
        alike: list[list[Exchange]] = []
        for exchange in exchanges:
            if exchange.is_of_a_test_helper:
                continue
            text = exchange.text()
            last_text, last = last_of_client.get(exchange.client, ("", []))
            if text == last_text:
                last.append(exchange)
                continue
            alike.append([exchange])
            last_of_client[exchange.client] = text, alike[-1]
        return [group[0].line(len(group)) for group in alike]
