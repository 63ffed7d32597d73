"""A whole server in this process, and a client that speaks in messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from pykbroker.config.broker import BrokerConfig
from pykbroker.protocol.headers import (
    RequestHeader,
    decode_response_header,
    encode_request_header,
)
from pykbroker.protocol.primitives import Buffer
from pykbroker.server import Server

T = TypeVar("T")


class Request(Protocol):
    """A generated request."""

    @property
    def API_KEY(self) -> int:  # noqa: N802
        """The API's number."""

    def encode(self, version: int) -> list[Buffer]:
        """Return the bytes of the request."""


class Client:
    """One connection that sends requests and decodes the answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._correlation_id = 0

    @classmethod
    async def connect(cls, server: Server) -> Self:
        endpoint = server.endpoints[0]
        return cls(*await asyncio.open_connection(endpoint.host, endpoint.port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, request: Request, version: int) -> None:
        self._correlation_id += 1
        header = RequestHeader(request.API_KEY, version, self._correlation_id, "test")
        frame = encode_request_header(header) + b"".join(request.encode(version))
        self._writer.write(len(frame).to_bytes(4, "big") + frame)
        await self._writer.drain()

    async def receive(self, request: Request, version: int, response_type: type[T]) -> T:
        size = int.from_bytes(await self._reader.readexactly(4), "big")
        frame = memoryview(await self._reader.readexactly(size))
        correlation_id, position = decode_response_header(frame, request.API_KEY, version)
        assert correlation_id == self._correlation_id
        decoded: T = response_type.decode(frame, version, position)  # type: ignore[attr-defined]
        return decoded

    async def call(self, request: Request, version: int, response_type: type[T]) -> T:
        await self.send(request, version)
        return await self.receive(request, version, response_type)

    async def is_closed_by_server(self) -> bool:
        try:
            return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True


def a_config(data_directory: Path, **settings: Any) -> BrokerConfig:
    """Make the settings of a server on a free port; `_` stands for `.` in names."""
    given = {name.replace("_", "."): str(value) for name, value in settings.items()}
    defaults = {
        "listeners": "PLAINTEXT://127.0.0.1:0",
        "log.dirs": str(data_directory),
        "offsets.topic.num.partitions": "4",
    }
    return BrokerConfig.from_settings(defaults | given)


@asynccontextmanager
async def a_server(data_directory: Path, **settings: Any) -> AsyncIterator[Server]:
    """Start a server and stop it in the end."""
    server = Server(a_config(data_directory, **settings))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
