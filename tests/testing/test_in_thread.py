"""A broker in a thread is a guest of the process: what it changes, and what it leaves."""

import asyncio
import gc
import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pykbroker.client import Client
from pykbroker.config.broker import BrokerConfig
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from pykbroker.server import DRAIN_TIMEOUT_S, Server
from pykbroker.testing import Broker, StartError
from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.settings import broker_settings
from pykbroker.testing.waiting import NotYet, wait_for

ROUNDS = 200


def a_parked_fetch(port: int) -> socket.socket:
    """A client that waits for records that never come."""
    partition = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)
    request = FetchRequest(
        max_wait_ms=60_000,
        min_bytes=1,
        max_bytes=1000,
        topics=[FetchTopic(topic="t", partitions=[partition])],
    )
    header = RequestHeader(request.API_KEY, 12, 1, "parked")
    frame = encode_request_header(header) + b"".join(request.encode(12))
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(len(frame).to_bytes(4, "big") + frame)
    return client


def open_files() -> list[str]:
    """What every file descriptor stands for, sockets and pipes without their numbers."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}").partition(":")[0])
        except FileNotFoundError:
            continue  # the one that listed them
    return sorted(found)


@pytest.mark.slow
def test_200_rounds_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and errors nobody could raise fail a test here: filterwarnings is `error`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Broker():
        pass  # imports, and what is made once for all
    gc.collect()
    threads, files = set(threading.enumerate()), open_files()

    for _ in range(ROUNDS):
        with Broker() as broker, socket.create_connection(("127.0.0.1", broker.port)):
            pass

    gc.collect()
    assert set(threading.enumerate()) == threads
    assert open_files() == files
    assert list(tmp_path.iterdir()) == []


def test_clients_that_are_connected_do_not_delay_the_stop(tmp_path: Path) -> None:
    servers = []

    def make(config: BrokerConfig) -> Server:
        servers.append(Server(config))
        return servers[0]

    def parked() -> int | NotYet:
        count = len(servers[0].broker.parked)
        return count if count == 3 else NotYet(f"{count} are parked")

    running = ServerThread(BrokerLog(), make)
    port = running.start(broker_settings({}, tmp_path, 0), 10)
    with Client(f"127.0.0.1:{port}") as client:
        client.topic("t", may_create=True)
        clients = [a_parked_fetch(port) for _ in range(3)]
        wait_for(parked, 10)
        started = time.monotonic()
        running.stop()
        assert time.monotonic() - started < DRAIN_TIMEOUT_S
    for parked_client in clients:
        assert len(parked_client.recv(1000)) > 4, "it is answered"
        assert parked_client.recv(1000) == b""
        parked_client.close()


def test_signals_are_the_programs_own() -> None:
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    with Broker():
        assert [signal.getsignal(number) for number in signal.valid_signals()] == before


def test_it_may_be_started_beside_a_running_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Broker() as broker:
            assert asyncio.get_running_loop() is loop
            _, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_who_waits_for_a_start_in_vain_hears_of_it(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(config: BrokerConfig) -> Server:
        go_on.wait()
        return Server(config)

    running = ServerThread(BrokerLog(), slow)
    with pytest.raises(StartError, match=r"not ready after 0\.01 s"):
        running.start(broker_settings({}, tmp_path, 0), 0.01)
    go_on.set()
    running.stop()


def test_a_failure_after_the_start_is_told_at_the_stop(tmp_path: Path) -> None:
    class Failing(Server):
        async def stop(self) -> None:
            await super().stop()
            raise RuntimeError("the disk is gone")

    running = ServerThread(BrokerLog(), Failing)
    running.start(broker_settings({}, tmp_path, 0), 10)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        running.stop()


def test_a_thread_cannot_be_killed() -> None:
    with Broker() as broker, pytest.raises(RuntimeError, match="process=True"):
        broker.kill()
