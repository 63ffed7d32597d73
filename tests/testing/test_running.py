"""What holds for every way of running."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pykbroker.client import Client
from pykbroker.config.keys import ConfigError
from pykbroker.server import ListenError
from pykbroker.testing.broker_log import BrokerLog, LogFile
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.running import Running, StartError
from pykbroker.testing.settings import broker_settings

TIMEOUT_S = 20.0

Make = Callable[[Path], Running]


def in_thread(_: Path) -> Running:
    return ServerThread(BrokerLog())


def in_process(log: Path) -> Running:
    return ServerProcess(LogFile(lambda: log))


every_way = pytest.mark.parametrize("make", [in_thread, in_process])


@every_way
def test_it_starts_and_stops_again_and_again(make: Make, tmp_path: Path) -> None:
    running = make(tmp_path / "log")
    cluster_ids = set()
    for _ in range(2):
        port = running.start(broker_settings({}, tmp_path / "data", 0), TIMEOUT_S)
        with Client(f"127.0.0.1:{port}") as client:
            cluster_ids.add(client.metadata([]).cluster_id)
        running.stop()
        running.stop()
        assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert len(cluster_ids) == 1


@every_way
def test_a_wrong_setting_is_named(make: Make, tmp_path: Path) -> None:
    running = make(tmp_path / "log")
    with pytest.raises(ConfigError, match=r"num\.partition"):
        running.start(broker_settings({"num.partition": 3}, tmp_path, 0), TIMEOUT_S)
    running.stop()


@every_way
def test_it_says_what_keeps_it_from_starting(make: Make, tmp_path: Path) -> None:
    running = make(tmp_path / "log")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises((ListenError, StartError), match="is in use"):
            running.start(broker_settings({}, tmp_path, port), TIMEOUT_S)
    running.stop()
