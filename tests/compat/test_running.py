import os
import subprocess
import sys
from pathlib import Path

import pytest

from compat import running
from compat.processes import eventually
from compat.running import Case, Progress, Result, Runs, run_suite
from compat.suites import Suite

CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--target")
"""


def run(tmp_path: Path, test: str, *, seconds: int = 60, **changes: object) -> Result:
    """Run a suite of one file."""
    folder, logs = tmp_path / "that", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_that.py").write_text(test)
    values = {"title": "", "ci": False, "needs": (), "targets": ("pykbroker",), **changes}
    suite = Suite(folder=folder, seconds=seconds, **values)  # type: ignore[arg-type]
    return run_suite(suite, "pykbroker", logs, Runs())


def test_outcomes_are_counted_with_their_reasons(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        """
import pytest

def test_passes(pytestconfig):
    assert pytestconfig.getoption("--target") == "pykbroker"

def test_fails():
    assert 1 == 2, "one is not two"

@pytest.fixture
def broken():
    raise OSError("no broker")

def test_errs(broken):
    pass

def test_skips():
    pytest.skip("no java")
""",
    )

    assert result.passed == 1
    fails, errs = result.failures
    assert fails.test.endswith("::test_fails")
    assert "one is not two" in fails.reason
    assert errs.test.endswith("::test_errs")
    assert "no broker" in errs.reason
    (skip,) = result.skips
    assert skip.test.endswith("::test_skips")
    assert skip.reason == "no java"
    assert result.log is not None
    assert "one is not two" in result.log.read_text()


def test_a_suite_without_failures_leaves_no_log(tmp_path: Path) -> None:
    skipped = "import pytest\npytest.skip('not today', allow_module_level=True)\n"

    result = run(tmp_path, skipped)

    assert (result.passed, result.failures) == (0, [])
    assert [case.reason for case in result.skips] == ["not today"]
    assert result.log is None
    assert list((tmp_path / "logs").iterdir()) == []


LIMIT_SECONDS = 60


@pytest.fixture
def hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; when the suite has written it, its limit has passed."""
    file = tmp_path / "hangs"

    class Impatient(subprocess.Popen[str]):
        def wait(self, timeout: float | None = None) -> int:
            if timeout == LIMIT_SECONDS:
                eventually(file.exists, what="the test that hangs", seconds=LIMIT_SECONDS)
                raise subprocess.TimeoutExpired(self.args, timeout)
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Impatient)
    return file


def test_a_suite_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, hangs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GRACE_SECONDS", 1.0)
    result = run(
        tmp_path,
        f"""
import signal, subprocess

def test_passes():
    pass

def test_hangs():
    broker = subprocess.Popen([{sys.executable!r}, "-c", "import time; time.sleep(300)"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open({str(tmp_path / "pid")!r}, "w") as file:
        file.write(str(broker.pid))
    open({str(hangs)!r}, "w").close()
    broker.wait()
""",
        seconds=LIMIT_SECONDS,
    )

    assert result.passed == 1
    (failure,) = result.failures
    assert failure.test.endswith("::test_hangs")
    assert failure.reason == "the suite's limit of 60 s passed"
    assert not is_alive(int((tmp_path / "pid").read_text()))


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits for being reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def test_a_suite_that_hangs_may_tidy_up_first(tmp_path: Path, hangs: Path) -> None:
    result = run(
        tmp_path,
        f"""
import time, pathlib, pytest

@pytest.fixture
def broker():
    yield
    pathlib.Path({str(tmp_path / "tidied")!r}).touch()

def test_hangs(broker):
    open({str(hangs)!r}, "w").close()
    time.sleep(300)
""",
        seconds=LIMIT_SECONDS,
    )

    assert len(result.failures) == 1
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize(
    ("test", "reason"),
    [("", "no tests were found"), ("import os; os._exit(4)", "pytest ended with 4")],
)
def test_a_suite_that_does_not_run_has_failed(tmp_path: Path, test: str, reason: str) -> None:
    result = run(tmp_path, test)

    assert result.failures == [Case("that", reason)]


def test_a_suite_that_lacks_its_program_is_skipped(tmp_path: Path) -> None:
    result = run(tmp_path, "", needs=("sh", "no-such-program"))

    assert result.skips == [Case("that", "no no-such-program on this machine")]


def test_a_suite_for_another_target_is_skipped(tmp_path: Path) -> None:
    result = run(tmp_path, "", targets=("kafka",))

    assert result.skips == [Case("that", "not for pykbroker")]


def test_progress_is_read_from_the_lines_of_pytest() -> None:
    progress = Progress()
    for line in (
        "collected 3 items",
        "compat/kcat/test_kcat.py::test_eof[after SIGTERM] PASSED             [ 33%]",
        "compat/kcat/test_kcat.py::test_codec SKIPPED (no zstd)               [ 66%]",
        "compat/kcat/test_kcat.py::test_group[fresh] ",
    ):
        progress.line(line)

    assert progress.text() == "1 passed, 0 failed, 1 skipped"
    assert progress.running == "compat/kcat/test_kcat.py::test_group[fresh]"
