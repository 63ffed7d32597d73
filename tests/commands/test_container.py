import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pykbroker.commands import container as module
from pykbroker.commands.container import EXIT_CONFIG, container, container_settings
from pykbroker.commands.serve import EXIT_CONFIG as EXIT_CONFIG_OF_SERVE
from pykbroker.config.keys import ConfigError

ROOT = Path(__file__).parent.parent.parent
READY = "ready: "


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the properties file would be mounted; nothing is there yet."""
    path = tmp_path / "server.properties"
    monkeypatch.setattr(module, "MOUNTED_FILE", str(path))
    return path


def run(*arguments: str, **environment: str) -> Result:
    """Run a command that is expected to fail before it serves."""
    return CliRunner().invoke(container, arguments, env=environment)


def start(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start it as a container does: with no more of an environment than an image has."""
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "pykbroker", "container", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**kept, **environment},
    )


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if word in line:
            return lines
    raise AssertionError(f"ended without {word!r}: {lines}")


def test_a_container_serves_what_its_variables_say_and_stops_cleanly(tmp_path: Path) -> None:
    environment = {
        "CLUSTER_ID": "ciWo7IWazngRchmPES6q5A",
        "KAFKA_LISTENERS": "INSIDE://127.0.0.1:0,CONTROLLER://127.0.0.1:1",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_LOG_DIRS": str(tmp_path / "unused"),
        "KAFKA_NODE_ID": "5",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_NO_SUCH": "1",
    }
    process = start(environment, f"KAFKA_LOG_DIRS={tmp_path / 'data'}")
    lines = lines_until(process, READY)
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)

    assert process.returncode == 0, rest
    assert "stopped" in rest
    assert any("setting ignored name=KAFKA_HEAP_OPTS reason=there is no JVM" in x for x in lines)
    assert any("setting ignored name=no.such reason=unknown setting" in line for line in lines)
    assert "[KafkaServer id=5] started" in lines[-1]
    identity = (tmp_path / "data" / "meta.properties").read_text()
    assert "cluster.id=ciWo7IWazngRchmPES6q5A" in identity
    assert "node.id=5" in identity
    assert not (tmp_path / "unused").exists()


def test_a_controller_stays_until_it_is_told_to_stop() -> None:
    process = start({"KAFKA_PROCESS_ROLES": "controller"})
    lines_until(process, "no broker here process.roles=controller")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "stopped signal=SIGTERM" in rest


def test_a_malformed_setting_is_refused_as_by_serve() -> None:
    result = run(KAFKA_NUM_PARTITIONS="many")

    assert result.exit_code == EXIT_CONFIG == EXIT_CONFIG_OF_SERVE
    assert "many" in result.stderr


def test_the_mounted_file_counts(mounted: Path) -> None:
    mounted.write_text("num.partitions=7\n")

    assert container_settings({}).settings["num.partitions"] == "7"


def test_a_mounted_file_that_cannot_be_read_is_named(mounted: Path) -> None:
    mounted.mkdir()

    with pytest.raises(ConfigError, match=f"cannot read {mounted}: Is a directory"):
        container_settings({})


def test_a_mounted_file_that_is_no_text_is_named(mounted: Path) -> None:
    mounted.write_bytes(b"\xff")

    result = run()

    assert result.exit_code == EXIT_CONFIG
    assert f"cannot read {mounted}: 'utf-8'" in result.stderr


def test_an_argument_is_a_variable() -> None:
    assert run("KAFKA_NUM_PARTITIONS=many").exit_code == EXIT_CONFIG
    assert run("nonsense").exit_code == 2
