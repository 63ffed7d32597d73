"""Runs a suite as a pytest process of its own, within its time limit, and says what came of it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from compat import runtimes
from compat.suites import COMPAT_DIR, Suite

GRACE_SECONDS = 20.0
"""How long a suite that is told to end may take to stop its brokers."""

# "compat/kcat/test_kcat.py::test_eof[fresh] PASSED   [ 12%]"
_OUTCOME = re.compile(r"^(?:(\S.*) )?(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*\[ *\d+%\]$")
_TEST = re.compile(r"^(\S+\.py::\S.*?) *$")

NO_TESTS = 5
"""Exit status of pytest that has found no test to run."""


@dataclass(frozen=True)
class Case:
    """A test that failed or was skipped, and why."""

    test: str
    reason: str


@dataclass
class Result:
    """What came of one run of a suite.

    Attributes:
        log: The whole output, where something failed.
    """

    suite: Suite
    passed: int = 0
    failures: list[Case] = field(default_factory=list)
    skips: list[Case] = field(default_factory=list)
    seconds: float = 0.0
    log: Path | None = None


class Runs:
    """The processes of the suites that run now, so that all of them can be ended at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._is_over = False

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a suite, with a process group of its own.

        Raises:
            RuntimeError: All of them were ended.
        """
        root = str(COMPAT_DIR.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with self._lock:
            if self._is_over:
                raise RuntimeError("all suites were ended")
            process = subprocess.Popen(
                command,
                cwd=root,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._processes.append(process)
        return process

    def end(self) -> None:
        """End every suite that runs, and start no other one."""
        with self._lock:
            self._is_over = True
        for process in self._processes:
            _end(process)


class Progress:
    """The state of a running suite, from the lines that pytest prints."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.running = ""

    def line(self, line: str) -> None:
        if outcome := _OUTCOME.match(line):
            self.counts[outcome[2]] += 1
            self.running = ""
        elif test := _TEST.match(line):
            self.running = test[1]

    def text(self) -> str:
        failed = self.counts["FAILED"] + self.counts["ERROR"]
        skipped = self.counts["SKIPPED"] + self.counts["XFAIL"]
        return f"{self.counts['PASSED']} passed, {failed} failed, {skipped} skipped"


def run_suite(
    suite: Suite,
    target: str,
    logs: Path,
    runs: Runs,
    *,
    arguments: Sequence[str] = (),
    show: Callable[[str], object] = lambda _: None,
) -> Result:
    """Run a suite against a target.

    Args:
        logs: Directory of the log, which is kept where something fails.
        runs: Suites that run at the same time.
        arguments: For pytest, on top.
        show: Is told how far the run is, whenever that changes.
    """
    if target not in suite.targets:
        return Result(suite, skips=[Case(suite.name, f"not for {target}")])
    missing = runtimes.missing(suite.needs)
    if missing:
        return Result(suite, skips=[Case(suite.name, f"no {', '.join(missing)} on this machine")])
    log, report = logs / f"{suite.name}.log", logs / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", str(suite.folder), "--target", target]
    command += ["-v", "--color=no", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
    progress = Progress()
    started = time.monotonic()
    with log.open("w") as output:
        take = partial(_take, output=output, progress=progress, show=show)
        status = _run(runs.start(command), suite.seconds, take)
    result = _read_report(suite, report) if report.exists() else Result(suite)
    result.seconds = time.monotonic() - started
    report.unlink(missing_ok=True)
    if status is None:
        result.passed = max(result.passed, progress.counts["PASSED"])
        during = progress.running or "its end"
        reason = f"the suite's limit of {suite.seconds} s passed"
        result.failures.append(Case(during, reason))
    elif status != 0 and not result.failures and not (status == NO_TESTS and result.skips):
        reason = "no tests were found" if status == NO_TESTS else f"pytest ended with {status}"
        result.failures.append(Case(suite.name, reason))
    if result.failures:
        result.log = log
    else:
        log.unlink()
    return result


def _take(line: str, output: TextIO, progress: Progress, show: Callable[[str], object]) -> None:
    print(line, file=output, flush=True)
    before = progress.text()
    progress.line(line)
    if progress.text() != before:
        show(progress.text())


def _run(
    process: subprocess.Popen[str], seconds: float, take: Callable[[str], object]
) -> int | None:
    """The exit status of a process, None if it was ended for taking longer.

    Nothing is left of its process group in the end.
    """
    assert process.stdout is not None
    lines = process.stdout
    reader = threading.Thread(
        target=lambda: [take(line.rstrip("\n")) for line in lines], daemon=True
    )
    reader.start()
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)
        reader.join(timeout=GRACE_SECONDS)
        lines.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End the process, which may tidy up first, and then whatever is left of its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_report(suite: Suite, path: Path) -> Result:
    """What pytest has written about its tests; empty if it did not come to write all of it."""
    result = Result(suite)
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return result
    for case in root.iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}".removeprefix("::")
        failed = [each for kind in ("failure", "error") for each in case.iterfind(kind)]
        skipped = case.find("skipped")
        if failed:
            result.failures += [Case(test, _reason(each)) for each in failed]
        elif skipped is not None:
            result.skips.append(Case(test, _reason(skipped)))
        else:
            result.passed += 1
    return result


def _reason(outcome: ElementTree.Element) -> str:
    # A module that is skipped as a whole has its reason in the text only, as ('file', line, '...').
    said = outcome.get("message") or ""
    if said in ("collection skipped", "collection failure"):
        said = outcome.text or said
    if place := re.search(r"""Skipped: (.*?)['"]\)?$""", said):
        said = place[1]
    return said.strip()
