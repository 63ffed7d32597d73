"""The outcome of a run of suites, for people (a table) and for programs (JSON)."""

import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from compat.running import Result
from compat.suites import COMPAT_DIR
from compat.targets import KAFKA_VERSION

LONGEST_REASON = 400

_HEADINGS = ("suite", "passed", "failed", "skipped", "seconds")


def table(results: Sequence[Result]) -> str:
    """A line for each suite, and one for all; below, why tests were skipped or failed."""
    counts = [
        (result.passed, len(result.failures), len(result.skips), round(result.seconds))
        for result in results
    ]
    rows = [list(_HEADINGS)]
    rows += [
        [result.suite.name, *map(str, numbers)]
        for result, numbers in zip(results, counts, strict=True)
    ]
    rows.append(["all", *(str(sum(column)) for column in zip(*counts, strict=True))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    return "\n".join([*lines, *_skips(results), *_failures(results)])


def _skips(results: Sequence[Result]) -> list[str]:
    reasons = Counter(
        (result.suite.name, case.reason) for result in results for case in result.skips
    )
    if not reasons:
        return []
    lines = [f"  {suite}: {count} x {reason}" for (suite, reason), count in reasons.items()]
    return ["", "skipped", *lines]


def _failures(results: Sequence[Result]) -> list[str]:
    lines = []
    for result in results:
        tests: dict[str, list[str]] = {}
        for case in result.failures:
            tests.setdefault(_short(case.reason), []).append(case.test)
        for reason, (first, *others) in tests.items():
            more = f" and {len(others)} more" if others else ""
            lines.append(f"  {result.suite.name}: {first}{more}: {reason}")
        if result.log is not None:
            lines.append(f"  {result.suite.name}: all of its output is in {result.log}")
    return ["", "failed", *lines] if lines else []


def _short(reason: str) -> str:
    reason = " ".join(reason.split())
    return reason[:LONGEST_REASON] + " ..." if len(reason) > LONGEST_REASON else reason


def as_json(results: Sequence[Result], target: str) -> dict[str, Any]:
    """The same for programs, with every reason in full."""
    return {
        "target": target,
        "version": KAFKA_VERSION if target == "kafka" else _own_version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "suites": [
            {
                "name": result.suite.name,
                "title": result.suite.title,
                "version": result.suite.version,
                "passed": result.passed,
                "failed": len(result.failures),
                "skipped": len(result.skips),
                "seconds": round(result.seconds, 1),
                "failures": [vars(case) for case in result.failures],
                "skips": [vars(case) for case in result.skips],
            }
            for result in results
        ],
    }


def _own_version() -> str:
    try:
        return version("pykbroker")
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit that is checked out, "-dirty" behind it if files differ; "" outside a clone."""
    command = ["git", "-C", str(COMPAT_DIR), "-c", "safe.directory=*"]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
