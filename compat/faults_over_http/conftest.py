"""A broker with its control interface, as `pykbroker serve --control` starts it."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from compat.processes import LineProcess
from compat.targets import COMPAT_DIR


@dataclass(frozen=True)
class ControlledBroker:
    """Where Kafka's clients, and where the tests' demands go."""

    address: str
    control: str
    process: LineProcess


@pytest.fixture(scope="session")
def controlled_broker() -> Iterator[ControlledBroker]:
    """One for all tests: each has topics and groups of its own, and ends its rules."""
    command = [sys.executable, "-P", "-m", "pykbroker", "serve", "--ephemeral"]
    command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    command += ["--set", "group.initial.rebalance.delay.ms=0"]
    path = os.pathsep.join(filter(None, [str(COMPAT_DIR.parent), os.environ.get("PYTHONPATH")]))
    process = LineProcess(command, env={**os.environ, "PYTHONPATH": path})
    try:
        control = process.wait_for(re.compile(r"^control: (\S+)").search, what="'control:' line")
        process.seen = 0
        listening = process.wait_for(
            re.compile(r"listening on (\S+:\d+)$").search, what="'listening on' line"
        )
        yield ControlledBroker(listening[1], control[1], process)
    finally:
        process.kill()
