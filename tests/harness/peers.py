"""A connection over real sockets, with handlers that the test controls."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from pykbroker.connection import Connection
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.produce import ProduceRequest
from tests.harness.loop import until
from tests.harness.shell import RecordingOwner, a_dispatcher, a_heartbeat, framed

MAX_FRAME_BYTES = 100_000
# Of event loops.
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

Handle = Callable[[Any, HeartbeatRequest], Any]
Produce = Callable[[Any, ProduceRequest], Any]


def run_on(loop: str, test: Awaitable[None]) -> None:
    """Run a test's coroutine on one kind of event loop."""

    async def within_limit() -> None:
        async with asyncio.timeout(10):
            await test

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(within_limit())


class Peer:
    """The client's end and the server's end of one connection."""

    def __init__(
        self, owner: RecordingOwner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.owner = owner
        self.reader = reader
        self.writer = writer

    @property
    def connection(self) -> Connection:
        (connection,) = self.owner.open
        assert isinstance(connection, Connection)
        return connection

    async def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(map(framed, requests)))
        await self.writer.drain()

    async def receive(self) -> tuple[int, int]:
        """Read one Heartbeat response: correlation id and error code (version 0)."""
        size, correlation_id, code = struct.unpack(">iih", await self.reader.readexactly(10))
        assert size == 6
        return correlation_id, code

    async def receive_produced(self) -> int:
        """Read one Produce response of version 3 without topics; returns its correlation id."""
        size, correlation_id, *_ = struct.unpack(">iiii", await self.reader.readexactly(16))
        assert size == 12
        return int(correlation_id)

    async def is_closed_by_broker(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def connected(
    handle: Handle, owner: RecordingOwner | None = None, produce: Produce | None = None
) -> AsyncIterator[Peer]:
    """Open a connection to a server whose Heartbeat is `handle`."""
    owner = owner or RecordingOwner()
    loop = asyncio.get_running_loop()
    dispatcher = a_dispatcher(handle, produce)
    server = await loop.create_server(
        lambda: Connection(owner, dispatcher, "PLAINTEXT", MAX_FRAME_BYTES, loop), "127.0.0.1", 0
    )
    host, port = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    peer = Peer(owner, reader, writer)
    try:
        yield peer
    finally:
        writer.close()
        server.close()
        await until(lambda: len(owner.closed) == len(owner.open))
        await server.wait_closed()


def answer_at_once(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
    return HeartbeatResponse(error_code=0)


def v0(correlation_id: int) -> bytes:
    """Return a Heartbeat request of version 0."""
    return a_heartbeat(version=0, correlation_id=correlation_id)
