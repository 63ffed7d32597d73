import gc
import os
import signal
import socket
from pathlib import Path

import pytest

from pykbroker.testing.broker_log import LogFile
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.running import StartError
from pykbroker.testing.settings import broker_settings

TIMEOUT_S = 20.0


def a_process(directory: Path) -> ServerProcess:
    return ServerProcess(LogFile(lambda: directory / "log"))


@pytest.mark.slow
def test_a_killed_process_is_gone(tmp_path: Path) -> None:
    running = a_process(tmp_path)
    port = running.start(broker_settings({}, tmp_path / "data", 0), TIMEOUT_S)
    pid = running.pid
    assert pid is not None

    running.kill()

    assert running.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()


def test_a_process_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    running = a_process(tmp_path)
    with pytest.raises(StartError, match="was not ready in time"):
        running.start(broker_settings({}, tmp_path / "data", 0), 0.001)
    assert running.pid is None


@pytest.mark.slow
def test_what_killed_it_does_not_keep_it_from_being_stopped(tmp_path: Path) -> None:
    running = a_process(tmp_path)
    running.start(broker_settings({}, tmp_path / "data", 0), TIMEOUT_S)
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    running.stop()


@pytest.mark.slow
def test_a_forgotten_process_is_killed(tmp_path: Path) -> None:
    running = a_process(tmp_path)
    running.start(broker_settings({}, tmp_path / "data", 0), TIMEOUT_S)
    pid = running.pid
    assert pid is not None
    del running
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
