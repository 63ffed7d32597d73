"""Sockets to a broker on which any request can be sent, and what became of it seen.

Nothing here knows a policy: a request may be malformed, an answer may never come, and a broker may
close the connection. Answers are decoded by pykbroker's codec, and must be the very bytes that it
would have written: what is left over, or stands in a tag that it does not know, is an error.
"""

import socket
import time
from collections import deque
from importlib import import_module
from typing import Any, ClassVar, Protocol

from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.headers import (
    RequestHeader,
    decode_response_header,
    encode_request_header,
)
from pykbroker.protocol.primitives import Buffer

ANSWER_SECONDS = 60.0
CLIENT_ID = "differential"


class Request(Protocol):
    """What the generated requests have in common."""

    API_KEY: ClassVar[int]
    MIN_VERSION: ClassVar[int]
    MAX_VERSION: ClassVar[int]

    def encode(self, version: int) -> list[Buffer]: ...


class NoAnswer(Exception):  # noqa: N818 - one of two ways to have none, both of which may be right
    """A request has no answer."""

    outcome: ClassVar[str]


class ConnectionClosed(NoAnswer):
    """The broker closed the connection in place of an answer."""

    outcome = "closed"


class Silence(NoAnswer):
    """The broker neither answered nor closed the connection in time."""

    outcome = "silent"


class WrongAnswer(Exception):  # noqa: N818 - a broker's, not of this code
    """What came is no answer to the request, or not in the protocol."""


def response_type(request: Request) -> Any:
    """The class that decodes the answers to a request."""
    api = ApiKey(request.API_KEY)
    module = import_module(f"pykbroker.protocol.messages.{api.stem}")
    return getattr(module, f"{api.display_name}Response")


def frame(
    request: Request, version: int, correlation_id: int = 0, client_id: str | None = CLIENT_ID
) -> bytes:
    """A whole request as it goes over the wire, its size in front."""
    header = encode_request_header(
        RequestHeader(request.API_KEY, version, correlation_id, client_id)
    )
    return sized(b"".join([header, *request.encode(version)]))


def sized(body: bytes) -> bytes:
    """The bytes of a frame with their count in front."""
    return len(body).to_bytes(4, "big") + body


class Connection:
    """One socket to one broker; answers come in the order of the requests."""

    def __init__(self, host: str, port: int, client_id: str | None = CLIENT_ID) -> None:
        self.client_id = client_id
        self._socket = socket.create_connection((host, port), ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._next_correlation_id = 1
        self._waiting: deque[tuple[Request, int, int]] = deque()

    def close(self) -> None:
        self._socket.close()

    def write(self, request: Request, version: int, *, is_answered: bool = True) -> None:
        """Send a request; unless it is never answered, `read` gives its answer."""
        correlation_id = self._next_correlation_id
        self._next_correlation_id += 1
        if is_answered:
            self._waiting.append((request, version, correlation_id))
        self.write_bytes(frame(request, version, correlation_id, self.client_id))

    def write_bytes(self, data: bytes) -> None:
        """Send bytes of any kind."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionClosed(str(error)) from error

    def end_writing(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def read(self, seconds: float = ANSWER_SECONDS) -> Any:
        """The answer to the oldest request that has none yet.

        Raises:
            NoAnswer: It did not come; the request still waits if there was only silence.
            WrongAnswer: Something else came.
        """
        body = self.read_bytes(seconds)
        request, version, correlation_id = self._waiting.popleft()
        answered, position = decode_response_header(memoryview(body), request.API_KEY, version)
        if answered != correlation_id:
            raise WrongAnswer(f"an answer to request {answered} instead of {correlation_id}")
        return decode_answer(request, version, body[position:])

    def read_bytes(self, seconds: float = ANSWER_SECONDS) -> bytes:
        """The next frame, without its size. Raises NoAnswer."""
        deadline = time.monotonic() + seconds
        self._receive(4, deadline)
        size = int.from_bytes(self._received[:4], "big", signed=True)
        if size < 0:
            raise WrongAnswer(f"a frame of {size} bytes")
        self._receive(4 + size, deadline)
        body = bytes(self._received[4 : 4 + size])
        del self._received[: 4 + size]
        return body

    def _receive(self, count: int, deadline: float) -> None:
        while len(self._received) < count:
            # At least one look, however little time there is.
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(1 << 20)
            except TimeoutError:
                raise Silence("no answer in time") from None
            except OSError as error:
                raise ConnectionClosed(str(error)) from error
            if not data:
                raise ConnectionClosed("closed by the broker")
            self._received += data


def decode_answer(request: Request, version: int, body: bytes) -> Any:
    """Decode the body of an answer, all of it.

    Raises:
        WrongAnswer: It is not what our codec would have written for what it says.
    """
    answer_type = response_type(request)
    if request.API_KEY == ApiKey.API_VERSIONS and version > answer_type.MAX_VERSION:
        version = 0  # What does not know the asked version answers in the oldest.
    answer = answer_type.decode(memoryview(body), version)
    again = b"".join(answer.encode(version))
    if again != body:
        raise WrongAnswer(f"{answer} is written as {again.hex()}, not as {body.hex()}")
    return answer
