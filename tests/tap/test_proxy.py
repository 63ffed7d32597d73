import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pykbroker.faults.matching import Match
from pykbroker.protocol.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from pykbroker.protocol.primitives import Buffer
from pykbroker.server import Endpoint, Server
from pykbroker.tap.proxy import Proxy
from tests.harness.loop import run, until
from tests.harness.servers import Client, a_server


class Tap:
    """A proxy in front of a server, and what it tells."""

    def __init__(self, server: Server, last: int | None) -> None:
        self.told: list[dict[str, Any]] = []
        endpoint = server.endpoints[0]
        upstream = endpoint.host, endpoint.port
        self.proxy = Proxy(upstream, Match(), self.told.append, last)
        self.endpoints: list[Endpoint] = []  # as a server has them, for clients


@asynccontextmanager
async def a_tap(directory: Path, last: int | None = None) -> AsyncIterator[tuple[Tap, Any]]:
    async with a_server(directory, pykbroker_fsync="never") as server:
        tap = Tap(server, last)
        host, port = await tap.proxy.start("127.0.0.1", 0)
        tap.endpoints.append(Endpoint("TAP", host, port))
        try:
            yield tap, tap
        finally:
            await tap.proxy.stop()


def test_clients_see_the_addresses_of_the_proxy(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_tap(tmp_path) as (tap, server), await Client.connect(server) as peer:
            metadata = await peer.call(MetadataRequest(), 12, MetadataResponse)
            (broker,) = metadata.brokers
            assert (broker.host, broker.port) == ("127.0.0.1", tap.endpoints[0].port)
            request = FindCoordinatorRequest(key_type=0, coordinator_keys=["g"])
            found = await peer.call(request, 4, FindCoordinatorResponse)
            assert found.coordinators[0].port in (-1, tap.endpoints[0].port)
            said = tap.told[0]["response"]["brokers"][0]
            assert said["port"] != broker.port, "it tells what the broker has said"

    run(main())


def test_each_broker_has_a_listener(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_server(tmp_path, pykbroker_fsync="never") as server:
            port = server.endpoints[0].port
            # By another name it might be another broker.
            proxy = Proxy(("localhost", port), Match(), lambda told: None)
            host, first = await proxy.start("127.0.0.1", 0)
            tap = Tap(server, None)
            tap.endpoints.append(Endpoint("TAP", host, first))
            connected: Any = tap
            for _ in range(2):
                async with await Client.connect(connected) as peer:
                    metadata = await peer.call(MetadataRequest(), 12, MetadataResponse)
                    (broker,) = metadata.brokers
                    tap.endpoints[0] = Endpoint("TAP", broker.host, broker.port)
            assert broker.port not in (port, first)
            await proxy.stop()
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(connected)

    run(main())


def test_the_last_of_a_connection_are_told_when_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_tap(tmp_path, last=2) as (tap, server):
            async with await Client.connect(server) as peer:
                for _ in range(3):
                    await peer.call(HeartbeatRequest("g"), 4, HeartbeatResponse)
                assert tap.told == []
            await until(lambda: bool(tap.told))
            assert [each["correlation_id"] for each in tap.told] == [2, 3]

    run(main())


@pytest.mark.parametrize(
    "frame", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_kafkas_protocol_ends_the_connection(tmp_path: Path, frame: Buffer) -> None:
    async def main() -> None:
        async with a_tap(tmp_path) as (tap, _):
            endpoint = tap.endpoints[0]
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            writer.write(frame)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())


def test_a_connection_ends_when_the_broker_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            proxy = Proxy(closed.getsockname(), Match(), lambda told: None)
            host, port = await proxy.start("127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(host, port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            await proxy.stop()

    run(main())


def test_a_stop_ends_the_connections(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_tap(tmp_path, last=5) as (tap, server):
            async with await Client.connect(server) as peer:
                await peer.call(HeartbeatRequest("g"), 4, HeartbeatResponse)
                await tap.proxy.stop()
                assert await peer.is_closed_by_server()
            assert len(tap.told) == 1

    run(main())
