import json
import sys
from pathlib import Path

import pytest

from compat.__main__ import main
from compat.processes import LineProcess, eventually

SUITE = """
title = "one test"
seconds = 60
ci = {ci}
needs = []
targets = ["pykbroker"]
ci_arguments = ["-k", "quick"]
"""
CONFTEST = "def pytest_addoption(parser):\n    parser.addoption('--target')\n"


@pytest.fixture
def suites(tmp_path: Path) -> list[str]:
    """Options that name a directory with suites: one passes and is part of CI, one fails."""
    directory = tmp_path / "suites"
    for name, ci, test in (
        ("good", "true", "def test_quick(): pass\ndef test_slow(): pass\n"),
        ("bad", "false", "def test_fails(): assert False, 'broken'\n"),
    ):
        folder = directory / name
        folder.mkdir(parents=True)
        (folder / "suite.toml").write_text(SUITE.format(ci=ci))
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_it.py").write_text(test)
    return ["--directory", str(directory)]


def test_without_a_command_the_suites_are_listed(
    suites: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(suites) == 0
    assert "| `good` | one test |" in capsys.readouterr().out


def test_a_failed_suite_does_not_keep_others_from_running(
    suites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outcome.json"

    assert main([*suites, "run", "--all", "--json", str(path)]) == 1

    outcome = json.loads(path.read_text())
    counts = [(each["name"], each["passed"], each["failed"]) for each in outcome["suites"]]
    assert counts == [("bad", 0, 1), ("good", 2, 0)]
    said = capsys.readouterr().out
    assert "test_fails: AssertionError: broken" in said
    (log,) = [line.split()[-1] for line in said.splitlines() if "all of its output" in line]
    assert "broken" in Path(log).read_text()


def test_the_part_for_ci_has_arguments_of_its_own_and_may_run_twice(
    suites: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*suites, "run", "--ci", "--twice"]) == 0
    said = capsys.readouterr().out
    assert "[1/2] good: 1 passed, 0 failed, 0 skipped" in said
    assert "[2/2] good: 1 passed, 0 failed, 0 skipped" in said


def test_several_suites_may_run_at_a_time(
    suites: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*suites, "run", "--all", "--jobs", "2"]) == 1
    said = capsys.readouterr().out
    assert "[1/2] bad: 0 passed, 1 failed, 0 skipped" in said
    assert "[2/2] good: 2 passed, 0 failed, 0 skipped" in said


@pytest.mark.parametrize("arguments", [["run"], ["run", "unknown"], ["run", "--target", "rabbit"]])
def test_wrong_arguments_are_refused(suites: list[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*suites, *arguments])
    assert refused.value.code == 2


def test_a_suite_that_cannot_be_understood_is_named(suites: list[str], tmp_path: Path) -> None:
    (tmp_path / "suites" / "good" / "suite.toml").write_text("title = 1\n")

    with pytest.raises(SystemExit) as refused:
        main(suites)

    assert refused.value.code == 2


def test_what_ends_the_command_ends_its_suite(tmp_path: Path) -> None:
    pids = []
    for name in ("hangs", "hangs_too", "waits"):
        folder = tmp_path / "suites" / name
        folder.mkdir(parents=True)
        (folder / "suite.toml").write_text(SUITE.format(ci="true"))
        (folder / "conftest.py").write_text(CONFTEST)
        pids.append(tmp_path / f"{name}.pid")
        test = f"import os, pathlib\npathlib.Path({str(pids[-1])!r}).write_text(str(os.getpid()))\n"
        (folder / "test_it.py").write_text(test + "import time\ntime.sleep(300)\n")
    command = [sys.executable, "-m", "compat", "--directory", str(tmp_path / "suites")]
    process = LineProcess([*command, "run", "--all", "--jobs", "2"])
    for pid in pids[:2]:
        eventually(pid.exists, what="a suite", seconds=60)

    process.stop(seconds=60)

    for pid in pids[:2]:
        eventually(lambda: not Path(f"/proc/{pid.read_text()}").exists(), what="a suite's end")  # noqa: B023
    assert not pids[2].exists()
