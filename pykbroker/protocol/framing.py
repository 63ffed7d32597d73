"""Splitting a byte stream into requests, without I/O.

Every request and response on a connection is an int32 size (big-endian) and that many bytes, the
frame. `FrameReader` owns the buffer that a connection receives into and hands out frames as views
of it, so that record bytes are not copied between the socket and the log:

    view = reader.get_buffer()          # receive into it
    reader.received(number_of_bytes)
    while (frame := reader.next_frame()) is not None:
        ...                             # frame is valid until the next get_buffer()

These are the steps of `asyncio.BufferedProtocol`. The order is the contract: `get_buffer` moves and
replaces bytes, so it must not be called while a frame that was handed out is needed. Frames that
arrived behind it stay in the buffer meanwhile.

A size is checked as soon as its four bytes are there. The buffer grows only as bytes arrive, by
doubling up to the frame's size: a peer that announces 100 MB and sends nothing costs nothing.
"""

from struct import Struct
from typing import Final

from pykbroker.protocol.errors import ProtocolError

SIZE_BYTES: Final = 4
INITIAL_BUFFER_BYTES: Final = 64 * 1024

# Above this a buffer is given back as soon as the large frame is done; below, when this many small
# frames in a row did not need it.
_KEPT_BUFFER_BYTES: Final = 2 * 1024 * 1024
_SMALL_FRAMES_BEFORE_SHRINKING: Final = 32
# Less free space than this is not worth a system call.
_MIN_RECEIVE_BYTES: Final = 4096

_DESCRIBED_BYTES: Final = 64

_SIZE: Final = Struct(">i")
_API_KEY: Final = Struct(">h")


class InvalidFrameSizeError(ProtocolError):
    """A frame announces a negative size."""


class FrameTooLargeError(ProtocolError):
    """A frame announces more bytes than the limit (`socket.request.max.bytes`)."""


class FrameReader:
    """The receive buffer of one connection, and the frames in it.

    Attributes:
        max_frame_bytes: The largest frame that is accepted, without its size field.
    """

    __slots__ = (
        "_buffer",
        "_end",
        "_initial_bytes",
        "_small_frames",
        "_start",
        "_view",
        "max_frame_bytes",
    )

    def __init__(self, max_frame_bytes: int, initial_bytes: int = INITIAL_BUFFER_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._initial_bytes = max(initial_bytes, SIZE_BYTES)
        self._small_frames = 0  # handed out since the last one that needed the large buffer
        self._start = 0  # of the first byte that was not handed out
        self._end = 0  # behind the last byte that was received
        self._allocate(self._initial_bytes)

    @property
    def capacity_bytes(self) -> int:
        """The memory that the buffer takes at the moment."""
        return len(self._buffer)

    @property
    def buffered_bytes(self) -> int:
        """How many bytes were received and not handed out yet."""
        return self._end - self._start

    @property
    def missing_bytes(self) -> int:
        """How many bytes the next frame needs, as far as is known; 0 if it is complete.

        Raises:
            ProtocolError: As `next_frame`.
        """
        buffered = self._end - self._start
        if buffered < SIZE_BYTES:
            return SIZE_BYTES - buffered
        return max(0, SIZE_BYTES + self._next_size() - buffered)

    @property
    def awaited_frame_bytes(self) -> int:
        """The size of the frame that has begun to arrive; 0 if none has, or not its size.

        Raises:
            ProtocolError: As `next_frame`.
        """
        return self._next_size() if self._end - self._start >= SIZE_BYTES else 0

    @property
    def first_bytes(self) -> bytes:
        """Up to 64 bytes from the front of the buffer, for `describe_foreign_protocol`.

        While the first frame is received and worked on, they are the first of the connection.
        """
        return bytes(self._view[: min(self._end, _DESCRIBED_BYTES)])

    @property
    def next_api_key(self) -> int | None:
        """The API that the next frame asks for; None until it is complete, or if it is too short.

        Raises:
            ProtocolError: As `next_frame`.
        """
        start = self._start + SIZE_BYTES
        if start > self._end:
            return None
        size = self._next_size()
        if size < _API_KEY.size or start + size > self._end:
            return None
        (api_key,) = _API_KEY.unpack_from(self._buffer, start)
        return int(api_key)

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Free space to receive into, never empty. Ends the validity of all frames.

        Args:
            sizehint: Not used; there because `asyncio.BufferedProtocol` passes it.

        Raises:
            ProtocolError: As `next_frame`.
        """
        if self._start == self._end:
            self._start = self._end = 0
            self._maybe_shrink()
            return self._view
        free = len(self._buffer) - self._end
        if free < max(self.missing_bytes, _MIN_RECEIVE_BYTES):
            self._make_room()
        return self._view[self._end :]

    def received(self, number_of_bytes: int) -> None:
        """Count bytes that were written to the start of the last `get_buffer`."""
        self._end += number_of_bytes

    def next_frame(self) -> memoryview | None:
        """Hand out the next frame, without its size field; None until it is complete.

        The view is writable, and valid until the next `get_buffer`.

        Raises:
            InvalidFrameSizeError: The frame's size is negative.
            FrameTooLargeError: The frame's size is above the limit.
        """
        start = self._start + SIZE_BYTES
        if start > self._end:
            return None
        size = self._next_size()
        end = start + size
        if end > self._end:
            return None
        self._start = end
        if size > self._initial_bytes:
            self._small_frames = 0
        else:
            self._small_frames += 1
        return self._view[start:end]

    def _next_size(self) -> int:
        """The size field of the next frame, which must have arrived."""
        (size,) = _SIZE.unpack_from(self._buffer, self._start)
        if 0 <= size <= self.max_frame_bytes:
            return int(size)
        if size < 0:
            raise InvalidFrameSizeError(f"a frame cannot have {size} bytes")
        raise FrameTooLargeError(
            f"a frame of {size} bytes is larger than the limit of {self.max_frame_bytes}"
        )

    def _make_room(self) -> None:
        """Move what is buffered to the front; if the buffer is full, double it."""
        old = self._view
        start, end = self._start, self._end
        buffered = end - start
        if buffered == len(old):
            # Not much more than the frame needs; rounded up, so that the next one, which may be a
            # little larger, fits as well.
            wanted = buffered + max(self.missing_bytes, _MIN_RECEIVE_BYTES)
            wanted = -(-wanted // self._initial_bytes) * self._initial_bytes
            self._allocate(min(2 * len(old), wanted))
        elif start == 0:
            return
        # Both views may be of the same buffer: memoryview copies overlapping bytes correctly.
        self._view[:buffered] = old[start:end]
        self._start, self._end = 0, buffered

    def _maybe_shrink(self) -> None:
        """Give a large buffer back when it is empty and not needed any more."""
        if len(self._buffer) <= self._initial_bytes:
            return
        if (
            len(self._buffer) > _KEPT_BUFFER_BYTES
            or self._small_frames >= _SMALL_FRAMES_BEFORE_SHRINKING
        ):
            self._allocate(self._initial_bytes)

    def _allocate(self, capacity: int) -> None:
        # A new bytearray, because one with views on it cannot be resized.
        self._buffer = bytearray(capacity)
        self._view = memoryview(self._buffer)
        self._small_frames = 0


_HTTP_METHODS: Final = (
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI * HTTP/2",
)
_SMTP_COMMANDS: Final = (b"EHLO", b"HELO", b"LHLO")
_PROXY_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_TLS_HANDSHAKE: Final = b"\x16\x03"
_TLS_CLIENT_HELLO: Final = 1
# A PostgreSQL client sends a length and then one of: protocol 3.x with its first parameter, the
# request for TLS, the request for GSSAPI, a cancellation.
_POSTGRESQL_CODES: Final = (
    b"\x04\xd2\x16\x2f",
    b"\x04\xd2\x16\x30",
    b"\x04\xd2\x16\x2e",
)
_POSTGRESQL_STARTUP: Final = (b"\x00\x03\x00\x00user", b"\x00\x03\x00\x00database")


def describe_foreign_protocol(first_bytes: bytes) -> str | None:
    """Say which other protocol a connection speaks, by its first bytes (64 are enough).

    Meant for the log line of a connection that is closed because its bytes are no request.

    Returns:
        Words that fit behind "this is", or None if nothing is recognised.
    """
    if first_bytes[:2] == _TLS_HANDSHAKE and first_bytes[5:6] in (b"", bytes([_TLS_CLIENT_HELLO])):
        return "a TLS handshake: the client uses SSL, but this listener is PLAINTEXT"
    if first_bytes.startswith(_HTTP_METHODS):
        return "an HTTP request: the port speaks Kafka's protocol, not HTTP"
    if first_bytes.startswith(b"SSH-"):
        return "an SSH client"
    if first_bytes.startswith(b"AMQP"):
        return "an AMQP client"
    if first_bytes.startswith((_PROXY_V2_SIGNATURE, b"PROXY ")):
        return "a load balancer's PROXY protocol header"
    if first_bytes[4:8] in _POSTGRESQL_CODES or first_bytes[4:].startswith(_POSTGRESQL_STARTUP):
        return "a PostgreSQL client"
    if first_bytes[:1] == b"\x10" and b"MQTT" in first_bytes[:10]:
        return "an MQTT client"
    if first_bytes[:1] == b"*" and first_bytes[1:2].isdigit():
        return "a Redis client"
    if first_bytes[:4].upper() in _SMTP_COMMANDS:
        return "an SMTP client"
    if len(first_bytes) >= SIZE_BYTES and first_bytes.isascii():
        line = first_bytes.decode("ascii").splitlines()[0]
        if line.isprintable():
            return f"a text protocol ({line[:20]!r})"
    return None
