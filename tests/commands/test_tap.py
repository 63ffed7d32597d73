import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pykbroker.client import Client
from pykbroker.commands.tap import tap
from pykbroker.testing import Broker


@pytest.mark.slow
def test_what_passes_is_printed() -> None:
    with Broker() as broker:
        broker.create_topic("t")
        command = [sys.executable, "-m", "pykbroker", "tap", "--upstream", broker.bootstrap_servers]
        with subprocess.Popen(
            [*command, "--api", "ListOffsets", "--topic", "t*"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            address = process.stderr.readline().removeprefix("listening on ").strip()
            with Client(address) as client:
                client.offsets(client.topic("t"), [0], -1)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    (line,) = output.splitlines()
    assert json.loads(line)["response"]["topics"][0]["partitions"][0]["offset"] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        ([], 2, "either --upstream or --control"),
        (["--upstream", "x:1", "--control", "x:1"], 2, "either --upstream or --control"),
        (["--control", "x:1", "--listen", "x:1"], 2, "--listen is for --upstream"),
        (["--control", "x:y"], 2, "--control: 'x:y' is not HOST:PORT"),
        (["--upstream", "x:y"], 2, "--upstream: 'x:y' is not HOST:PORT"),
        (["--upstream", "x:1", "--listen", "x:y"], 2, "--listen: 'x:y' is not HOST:PORT"),
        (["--upstream", "x:1", "--api", "Fetsch"], 2, "--api: Kafka has no API Fetsch"),
        (["--upstream", "x:1", "--last", "0"], 2, "--last"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    arguments: list[str], status: int, reason: str
) -> None:
    result = CliRunner().invoke(tap, arguments)
    assert result.exit_code == status
    assert reason in result.stderr


def test_an_address_may_be_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(tap, ["--upstream", "127.0.0.1:1", "--listen", address])
    assert result.exit_code == 1
    assert f"cannot listen on {address}: " in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("last", [None, 1])
def test_a_broker_tells_it_itself(tmp_path: Path, last: int | None) -> None:
    pytest.importorskip("aiohttp", reason="the extra `control` is not installed")
    from tests.harness.controlled_server import a_controlled_server

    with a_controlled_server(tmp_path) as control:
        command = [sys.executable, "-m", "pykbroker", "tap", "--api", "ListOffsets"]
        command += ["--control", str(control.server.control)]
        with subprocess.Popen(
            command if last is None else [*command, "--last", str(last)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            assert process.stderr.readline() == f"listening to {control.server.control}\n"
            with Client(control.bootstrap_servers) as client:
                for _ in range(2):
                    client.offsets(client.topic("t", may_create=True), [0], -1)
            told = [process.stdout.readline() for _ in range(2)] if last is None else []
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    told += output.splitlines()
    assert [json.loads(line)["api"] for line in told] == ["ListOffsets"] * (last or 2)


def test_a_broker_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    result = CliRunner().invoke(tap, ["--control", address])
    assert result.exit_code == 1
    assert f"the control interface {address}: " in result.stderr
