"""The command line as a person meets it, in processes of its own where that matters."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pykbroker import __version__
from pykbroker.cli import COMMANDS, main
from pykbroker.commands.serve import EXIT_INCOMPLETE

ROOT = Path(__file__).parent.parent


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pykbroker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert (result.exit_code, result.output) == (0, f"pykbroker {__version__}\n")


def test_the_help_lists_every_command_without_importing_one() -> None:
    code = "import sys; from pykbroker.cli import main; main(['--help'], standalone_mode=False); "
    code += "assert not [name for name in sys.modules if name.startswith('pykbroker.commands')]"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    for name, (_, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", done.stdout, re.M)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])

    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["serv"])

    assert result.exit_code == 2
    assert "No such command 'serv'" in result.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_broker_says_where_it_listens_and_stops_cleanly(number: signal.Signals) -> None:
    process = start("serve", "--ephemeral", "--listen", "127.0.0.1:0")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("listening on "):
            break
    process.send_signal(number)
    rest, log = process.communicate(timeout=10)

    assert process.returncode == 0, log
    assert rest == ""
    assert lines[0] == f"pykbroker {__version__}"
    data = re.fullmatch(r"data directory: (\S+) \(temporary: removed at exit\)", lines[1])
    assert data is not None
    assert not Path(data.group(1)).exists()
    assert lines[2].startswith("durability: no fsync")
    assert re.fullmatch(r"connect: kcat -b 127\.0\.0\.1:\d+ -L", lines[3])
    assert re.fullmatch(r"listening on 127\.0\.0\.1:\d+", lines[4])
    assert "stopped" in log


def test_a_second_signal_ends_the_broker_at_once(tmp_path: Path) -> None:
    process = start("serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            break
    # Frozen, so that it meets both before it has done anything about the first.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)

    _, errors = process.communicate(timeout=30)

    # The system does not say which of the two comes first.
    assert process.returncode in (-signal.SIGTERM, -signal.SIGINT)
    assert "stopped at once" in errors


def test_json_logs_go_to_standard_error_only() -> None:
    process = start(
        "serve", "--ephemeral", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level",
        "debug",
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            break
    process.terminate()
    rest, log = process.communicate(timeout=10)

    assert (process.returncode, rest) == (0, "")
    assert log
    assert all(line.startswith('{"time": ') for line in log.splitlines())


def test_a_stop_that_could_not_save_everything_is_no_success(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start("serve", "--listen", "127.0.0.1:0", "--data-dir", str(data)) as broker:
        assert broker.stdout is not None
        while "listening on" not in broker.stdout.readline():
            assert broker.poll() is None
        shutil.rmtree(data)
        broker.terminate()
        _, errors = broker.communicate(timeout=20)

    assert broker.returncode == EXIT_INCOMPLETE
    assert "a disk refused" in errors
