import socket
import struct
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pykbroker.commands import container
from pykbroker.commands.health import health, reachable
from pykbroker.config.listeners import Listener
from pykbroker.protocol.errors import ErrorCode
from tests.harness.running_server import a_running_server


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(health, arguments, env=environment)


@pytest.fixture(autouse=True)
def _nothing_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MOUNTED_FILE", str(tmp_path / "server.properties"))


def test_a_broker_that_answers_is_healthy(tmp_path: Path) -> None:
    with a_running_server(tmp_path) as address:
        result = run("--bootstrap", address)

    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"healthy: {address} answered ApiVersions in ")


def test_nobody_there_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"

    result = run("--bootstrap", address)

    assert result.exit_code == 1
    assert f"no broker at {address}" in result.output


def test_a_broker_that_does_not_answer_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = run("--bootstrap", address, "--timeout", "0.05")

    assert result.exit_code == 1
    assert f"{address}: no answer in time" in result.output


def test_an_error_is_told_by_its_name() -> None:
    def refuse(server: socket.socket) -> None:
        accepted, _ = server.accept()
        with accepted:
            accepted.recv(1000)
            # Correlation id 0, the error, no APIs, throttle time, no tagged fields.
            body = struct.pack(">ihBib", 0, ErrorCode.UNSUPPORTED_VERSION, 1, 0, 0)
            accepted.sendall(struct.pack(">i", len(body)) + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=refuse, args=(server,))
        answering.start()
        result = run("--bootstrap", f"127.0.0.1:{server.getsockname()[1]}")
        answering.join()

    assert result.exit_code == 1
    assert "UNSUPPORTED_VERSION" in result.output


def test_an_address_that_is_none_is_refused() -> None:
    result = run("--bootstrap", "host:port")

    assert result.exit_code == 1
    assert "'host:port' is not HOST:PORT" in result.output


def test_a_container_checks_its_own_listeners(tmp_path: Path) -> None:
    with a_running_server(tmp_path / "a") as first, a_running_server(tmp_path / "b") as second:
        ports = [address.rpartition(":")[2] for address in (first, second)]
        result = run(
            "--container",
            KAFKA_LISTENERS=f"A://:{ports[0]},C://:1,B://127.0.0.1:{ports[1]}",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT",
            KAFKA_CONTROLLER_LISTENER_NAMES="C",
        )

    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.output.splitlines()] == [first, second]


def test_a_container_with_a_wrong_setting_is_not_healthy() -> None:
    result = run("--container", KAFKA_LISTENERS="nonsense")

    assert result.exit_code == 1
    assert "nonsense" in result.output


def test_a_controller_is_healthy_by_being_there() -> None:
    result = run("--container", KAFKA_PROCESS_ROLES="controller")

    assert (result.exit_code, result.output.split(":")[0]) == (0, "healthy")


def test_all_interfaces_are_reached_by_the_loopback_one() -> None:
    hosts = ["", "0.0.0.0", "::", "kafka"]

    assert [
        host for host, _ in reachable([Listener("A", "PLAINTEXT", host, 9092) for host in hosts])
    ] == ["127.0.0.1", "127.0.0.1", "::1", "kafka"]
