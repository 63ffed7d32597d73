"""A whole server over real sockets, in this process."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.server import SPARE_DESCRIPTORS, ListenError, Server, run
from pykbroker.storage.data_directory import DataDirectoryInUseError
from tests.harness.batches import a_batch, a_record
from tests.harness.loop import run as run_in_loop
from tests.harness.loop import until
from tests.harness.servers import Client, a_config, a_server

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")


async def create_topic(client: Client, name: str) -> None:
    request = CreateTopicsRequest(
        topics=[CreatableTopic(name=name, num_partitions=1, replication_factor=1)], timeout_ms=1000
    )
    response = await client.call(request, 5, CreateTopicsResponse)
    assert [topic.error_code for topic in response.topics] == [ErrorCode.NONE]


def a_produce(topic: str, *, acks: int = -1) -> ProduceRequest:
    data = PartitionProduceData(index=0, records=a_batch(records=2).data)
    return ProduceRequest(
        acks=acks,
        timeout_ms=5000,
        topic_data=[TopicProduceData(name=topic, partition_data=[data])],
    )


def a_fetch(topic: str, offset: int, max_wait_ms: int = 0) -> FetchRequest:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=1 << 20,
        topics=[FetchTopic(topic=topic, partitions=[partition])],
    )


def fetched_bytes(response: FetchResponse) -> bytes:
    (topic,) = response.responses
    (partition,) = topic.partitions
    assert partition.error_code == ErrorCode.NONE
    return bytes(partition.records or b"")


def test_records_are_there_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_server(tmp_path) as server, await Client.connect(server) as client:
            await create_topic(client, "t")
            for number in range(3):
                response = await client.call(a_produce("t"), 9, ProduceResponse)
                (partition,) = response.responses[0].partition_responses
                assert (partition.error_code, partition.base_offset) == (0, 2 * number)
            before = fetched_bytes(await client.call(a_fetch("t", 0), 12, FetchResponse))
        async with a_server(tmp_path) as server, await Client.connect(server) as client:
            after = fetched_bytes(await client.call(a_fetch("t", 0), 12, FetchResponse))
        assert before == after != b""

    run_in_loop(main())


def test_a_parked_fetch_is_woken_by_a_produce_on_another_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            a_server(tmp_path) as server,
            await Client.connect(server) as consumer,
            await Client.connect(server) as producer,
        ):
            await create_topic(producer, "t")
            fetch = a_fetch("t", 0, max_wait_ms=60_000)
            await consumer.send(fetch, 12)
            await until(lambda: len(server.broker.parked) == 1)
            await producer.call(a_produce("t", acks=1), 9, ProduceResponse)
            assert fetched_bytes(await consumer.receive(fetch, 12, FetchResponse)) != b""

    run_in_loop(main())


def test_a_stop_answers_what_is_parked(tmp_path: Path) -> None:
    async def main() -> None:
        server = Server(a_config(tmp_path))
        await server.start()
        async with await Client.connect(server) as client:
            await create_topic(client, "t")
            fetch = a_fetch("t", 0, max_wait_ms=60_000)
            await client.send(fetch, 12)
            await until(lambda: len(server.broker.parked) == 1)
            stopping = asyncio.create_task(server.stop())
            assert fetched_bytes(await client.receive(fetch, 12, FetchResponse)) == b""
            assert await client.is_closed_by_server()
            await stopping
        assert (tmp_path / ".kafka_cleanshutdown").exists()

    run_in_loop(main())


def test_the_advertised_address_is_the_one_the_client_connected_to(tmp_path: Path) -> None:
    async def main() -> None:
        listeners = "ONE://127.0.0.1:0,TWO://[::1]:0,THREE://127.0.0.1:0"
        async with a_server(
            tmp_path,
            listeners=listeners,
            advertised_listeners="THREE://broker.example:19092",
            listener_security_protocol_map="ONE:PLAINTEXT,TWO:PLAINTEXT,THREE:PLAINTEXT",
        ) as server:
            seen = []
            for endpoint in list(server.endpoints):
                server.endpoints[0] = endpoint
                async with await Client.connect(server) as client:
                    metadata = await client.call(MetadataRequest(topics=[]), 9, MetadataResponse)
                (broker,) = metadata.brokers
                seen.append((broker.host, broker.port == endpoint.port))
            assert seen == [("127.0.0.1", True), ("::1", True), ("broker.example", False)]

    run_in_loop(main())


@pytest.mark.parametrize(
    "settings", [{"max_connections": 1}, {"max_connections_per_ip": 1}], ids=str
)
def test_connections_are_limited(
    tmp_path: Path, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_server(tmp_path, **settings) as server:
            async with await Client.connect(server) as first:
                await first.call(VERSIONS, 3, ApiVersionsResponse)
                for _ in range(3):
                    async with await Client.connect(server) as second:
                        assert await second.is_closed_by_server()
                await first.call(VERSIONS, 3, ApiVersionsResponse)
            assert server.metrics.refused == 3
            assert caplog.text.count("connection refused") == 1, "one line a minute"

    run_in_loop(main())


def test_connections_leave_descriptors_for_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2 * SPARE_DESCRIPTORS + 4, -1))

    async def main() -> None:
        async with a_server(tmp_path) as server, AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(await Client.connect(server)) for _ in range(3)
            ]
            assert await clients[2].is_closed_by_server()
            await clients[1].call(VERSIONS, 3, ApiVersionsResponse)

    run_in_loop(main())


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            a_server(tmp_path, connections_max_idle_ms=20) as server,
            await Client.connect(server) as client,
        ):
            await client.call(VERSIONS, 3, ApiVersionsResponse)
            assert await client.is_closed_by_server()
            assert server.metrics.closed_idle == 1

    run_in_loop(main())


def test_one_bad_client_does_not_disturb_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_server(tmp_path) as server, await Client.connect(server) as good:
            await create_topic(good, "t")
            for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xff\xff\xff", os.urandom(64)):
                async with await Client.connect(server) as bad:
                    bad._writer.write(b"\x80" + sent)
                    await bad.is_closed_by_server()
                response = await good.call(a_produce("t"), 9, ProduceResponse)
                assert response.responses[0].partition_responses[0].error_code == 0

    run_in_loop(main())


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = Server(a_config(tmp_path, listeners=f"PLAINTEXT://127.0.0.1:{port}"))
            with pytest.raises(ListenError, match=f"127.0.0.1:{port} is in use .* --listen"):
                await server.start()
        # Everything was let go again.
        async with a_server(tmp_path):
            pass

    run_in_loop(main())


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        server = Server(a_config(tmp_path, listeners="PLAINTEXT://192.0.2.1:9092"))
        with pytest.raises(ListenError, match="not an address of this machine"):
            await server.start()

    run_in_loop(main())


def test_a_data_directory_serves_one_broker(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_server(tmp_path):
            with pytest.raises(DataDirectoryInUseError, match="use"):
                await Server(a_config(tmp_path)).start()

    run_in_loop(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server(
    tmp_path: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(a_config(tmp_path))
    ready = []

    def on_ready(server: Server) -> None:
        ready.append(str(server.endpoints[0]))
        signal.raise_signal(number)

    with caplog.at_level(logging.INFO, logger="pykbroker"):
        run(server, on_ready)

    assert len(ready) == 1
    assert ready[0].startswith("127.0.0.1:")
    assert f"stopping signal={number.name}" in caplog.text
    assert (tmp_path / ".kafka_cleanshutdown").exists()


def test_answers_are_small_while_many_clients_do_not_read_theirs(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            a_server(tmp_path, pykbroker_queued_max_response_bytes=1000) as server,
            await Client.connect(server) as client,
        ):
            await create_topic(client, "t")
            produce = ProduceRequest(acks=1, timeout_ms=5000)
            batch = a_batch(records=[a_record(value=bytes(50_000))]).data
            data = PartitionProduceData(index=0, records=batch)
            produce.topic_data = [TopicProduceData(name="t", partition_data=[data])]
            for _ in range(3):
                await client.call(produce, 9, ProduceResponse)
            everything = fetched_bytes(await client.call(a_fetch("t", 0), 12, FetchResponse))
            server.unsent_bytes += 1001
            little = fetched_bytes(await client.call(a_fetch("t", 0), 12, FetchResponse))
            assert len(everything) == 3 * len(batch)
            # As much as fits; what is cut off is fetched again.
            assert len(batch) <= len(little) <= 64 * 1024

    run_in_loop(main())


def test_a_server_that_is_suspended_is_gone_for_its_clients(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_server(tmp_path) as server:
            (endpoint,) = server.endpoints
            async with await Client.connect(server) as peer:
                server.suspend()
                assert await peer.is_closed_by_server()
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(server)
            await server.resume()
            assert server.endpoints == [endpoint]
            async with await Client.connect(server) as peer:
                await peer.call(ApiVersionsRequest(), 0, ApiVersionsResponse)

    run_in_loop(main())
