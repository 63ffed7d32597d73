import logging
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pykbroker.commands.serve import (
    EPILOG,
    EXIT_CONFIG,
    EXIT_DATA,
    EXIT_DATA_IN_USE,
    EXIT_INCOMPLETE,
    EXIT_LISTEN,
    serve,
)
from pykbroker.protocol.compiled import RECORDS_CHECKED_BY
from tests.harness.running_server import a_running_server


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(*arguments: str) -> Result:
    """Run a command that is expected to fail before it serves."""
    return CliRunner().invoke(serve, ["--listen", "127.0.0.1:0", *arguments])


def test_an_unknown_setting_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    result = run("--data-dir", str(tmp_path), "--set", "num.partition=3")

    assert result.exit_code == EXIT_CONFIG
    assert "num.partition" in result.stderr
    assert "num.partitions" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_setting_is_refused(tmp_path: Path) -> None:
    result = run("--data-dir", str(tmp_path), "--set", "num.partitions=many")

    assert result.exit_code == EXIT_CONFIG
    assert "many" in result.stderr


def test_the_command_line_counts_more_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("num.partitions=bad\nlog.dirs=/nowhere\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        arguments = ["--config", str(file), "--set", "num.partitions=3", "--listen", address]
        result = CliRunner().invoke(serve, [*arguments, "--data-dir", str(tmp_path / "data")])

    # It came as far as the listener: neither value of the file has counted.
    assert result.exit_code == EXIT_LISTEN
    assert address in result.stderr
    assert "--listen" in result.stderr


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.properties"

    result = run("--config", str(missing))

    assert result.exit_code == EXIT_CONFIG
    assert f"--config {missing}: No such file or directory" in result.stderr


def test_a_file_that_is_no_properties_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("key=\\u12\n")

    result = run("--config", str(file))

    assert result.exit_code == EXIT_CONFIG
    assert "line 1" in result.stderr


def test_a_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    with a_running_server(tmp_path):
        result = run("--data-dir", str(tmp_path))

    assert result.exit_code == EXIT_DATA_IN_USE
    assert str(tmp_path) in result.stderr
    assert "--data-dir" in result.stderr


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    result = run("--data-dir", str(file / "data"))

    assert result.exit_code == EXIT_DATA
    assert str(file / "data") in result.stderr


def test_a_metadata_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "pykbroker-metadata.db").write_bytes(b"no database" * 1000)

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == EXIT_DATA
    assert "pykbroker-metadata.db" in result.stderr


def test_the_log_says_what_checks_records(tmp_path: Path) -> None:
    (tmp_path / "pykbroker-metadata.db").write_bytes(b"no database" * 1000)

    result = run("--data-dir", str(tmp_path))

    assert f"records checked_by={RECORDS_CHECKED_BY}\n" in result.stderr


def test_an_ephemeral_directory_is_removed_after_a_failed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = run("--ephemeral", "--set", "num.partitions=0")

    assert result.exit_code == EXIT_CONFIG
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--ephemeral", "--data-dir", "x"], "--ephemeral keeps no data"),
        (["--listen", "127.0.0.1:port"], "'127.0.0.1:port' is not HOST:PORT"),
        (["--control", "127.0.0.1:port"], "--control: '127.0.0.1:port' is not HOST:PORT"),
        (["--set", "num.partitions"], "expected KEY=VALUE"),
        (["--log-level", "loud"], "'loud'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments: list[str], reason: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_control_interface_is_for_this_machine_alone(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra `control` is not installed")
    result = run("--data-dir", str(tmp_path), "--control", "0.0.0.0:0")

    assert result.exit_code == EXIT_LISTEN
    assert "take a loopback address" in result.stderr


def test_a_control_interface_needs_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("pykbroker.control")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    result = run("--data-dir", str(tmp_path), "--control", "127.0.0.1:0")

    assert result.exit_code == 2
    assert "pip install 'pykbroker[control]'" in result.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        ('{"topic": "t"}\n{', "line 2: "),
        ('{"topic": "t", "configs": {"no.such": 1}}', "topic t: INVALID_CONFIG"),
    ],
)
def test_a_seed_that_does_not_fit_ends_the_start(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "seed.jsonl"
    if text is not None:
        file.write_text(text)
    for _ in range(2):  # the second start finds a directory that was closed
        result = run("--data-dir", str(tmp_path / "data"), "--seed", str(file))
        assert result.exit_code == EXIT_CONFIG
        assert f"--seed {file}: " in result.stderr
        assert reason in result.stderr


def test_the_help_names_every_exit_code() -> None:
    codes = {int(code) for code in re.findall(r"^  (\d)  ", EPILOG, re.M)}

    assert codes == {
        0,
        1,
        2,
        EXIT_CONFIG,
        EXIT_LISTEN,
        EXIT_DATA_IN_USE,
        EXIT_DATA,
        EXIT_INCOMPLETE,
    }
    assert f"{EXIT_LISTEN}  an address is taken" in CliRunner().invoke(serve, ["--help"]).output
