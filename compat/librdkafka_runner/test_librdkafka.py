"""librdkafka's own tests, one process for each file of them."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from compat.librdkafka import runner
from compat.targets import KAFKA_VERSION, Target

QUICK = """
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0020 0021 0022 0029 0030 0031
    0033 0034 0035 0036 0038 0039 0040 0041 0042 0044 0048 0051 0052 0054 0056 0057 0059 0060 0063
    0064 0065 0067 0069 0070 0073 0083 0084 0085 0086 0090 0091 0093 0099 0112 0113 0114 0118 0123
    0125 0127 0130 0137 0140
"""
# In quick mode these pass without having done anything.
NOT_QUICK = "0018 0019 0026 0045 0050 0061 0089 0102 0122 0132 0150"
ALLOWED = {**dict.fromkeys(QUICK.split(), "-Q"), **dict.fromkeys(NOT_QUICK.split(), "")}

FILE_SECONDS = 300
LEAST_SECONDS = 0.005
"""A file that is done sooner has done nothing."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SUMMARY = re.compile(r"^\|\s*(\d{4}_\w+)\s*\|\s*(\w+)\s*\|\s*([\d.]+)s", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """A line of the summary: "| 0012_produce_consume | PASSED | 1.234s |"."""

    test: str
    state: str
    seconds: float


@pytest.fixture(scope="session")
def tests() -> Path:
    return runner()


def outcomes(
    tests: Path, kafka_path: Path, broker: Target, number: str, mode: str
) -> list[Outcome]:
    """Run one file; what it prints is kept for pytest to show."""
    settings = broker.directory / "librdkafka.conf"
    settings.write_text(f"metadata.broker.list={broker.address}\ntest.timeout.multiplier=2\n")
    environment = {
        **os.environ,
        "BROKERS": broker.address,
        "KAFKA_PATH": str(kafka_path),
        "LD_LIBRARY_PATH": "../src:../src-cpp",
        "RDKAFKA_TEST_CONF": str(settings),
        "TESTS": number,
        "TEST_KAFKA_VERSION": KAFKA_VERSION,
        "TEST_LEVEL": "1",
    }
    # -E: no emulated sockets; -L: no tests without a broker; -p1: one at a time.
    command = ["./test-runner", *mode.split(), "-E", "-L", "-p1"]
    process = subprocess.Popen(
        command, cwd=tests, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=FILE_SECONDS)
    finally:
        if process.poll() is None:  # With the scripts that it has started.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    output = _ANSI.sub("", output)
    print(output)
    assert process.returncode == 0, f"status {process.returncode}"
    # Only the summary, which comes last, has such lines.
    return [Outcome(test, state, float(took)) for test, state, took in _SUMMARY.findall(output)]


@pytest.mark.parametrize("number", sorted(ALLOWED))
def test_file(
    tests: Path,
    kafka_path: Path,
    fresh_broker: Target,
    pytestconfig: pytest.Config,
    number: str,
) -> None:
    mode = ALLOWED[number] + (" -P" if pytestconfig.getoption("--idempotent") else "")
    found = outcomes(tests, kafka_path, fresh_broker, number, mode)
    ran = [each for each in found if each.state == "PASSED" and each.seconds >= LEAST_SECONDS]
    # A file may hold a test without a broker beside the one that counts: those are skipped.
    assert {each.state for each in found} <= {"PASSED", "SKIPPED"}, found
    if not ran:
        pytest.skip(f"it did nothing: {found}")
