"""Processes with a transactional id each; a successor of one that is killed has the same id.

A process prints one JSON object a line (see `teller.py` and `worker.py`). It ends with status 0
after SIGTERM, and with AGAIN where only a new producer helps.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compat.jvm import java_process
from compat.processes import LineProcess, ProcessError
from compat.targets import COMPAT_DIR

FOLDER = Path(__file__).parent
AGAIN = 7
# The last ones where the signal comes before a process is ready for it.
ENDS = (0, AGAIN, -signal.SIGTERM, 128 + signal.SIGTERM)
END_SECONDS = 60.0
PROGRESS_SECONDS = 90.0

Start = Callable[[str], LineProcess]
"""Starts a process whose name is given."""


def in_python(role: str, *arguments: str) -> Start:
    """`python -m compat.transactions.ROLE NAME ARGUMENTS...`, on librdkafka."""
    environment = {**os.environ, "PYTHONPATH": str(COMPAT_DIR.parent)}
    command = [sys.executable, "-m", f"compat.transactions.{role}"]
    return lambda name: LineProcess([*command, name, *arguments], env=environment)


def in_java(role: str, *arguments: str) -> Start:
    """The Java program of this role."""
    main = role.capitalize()
    source = FOLDER / f"{main}.java"
    return lambda name: java_process(main, name, *arguments, sources=[source])


class Crew:
    """The processes of one kind.

    Attributes:
        said: What was printed so far, in the order of each process.
        restarts: How many ended because only a new producer helped.
    """

    def __init__(self, start: Start, names: list[str]) -> None:
        self.said: list[dict[str, Any]] = []
        self.restarts = 0
        self.names = names
        self._start = start
        self._lives = dict.fromkeys(names, 0)
        self._taken = dict.fromkeys(names, 0)
        self._processes: dict[str, LineProcess] = {}
        for name in names:
            self._begin(name)

    def kill(self, name: str) -> None:
        """End a process by SIGKILL and start its successor."""
        self._processes[name].kill()
        self._take_in(name)
        self._begin(name)

    def await_progress(self, key: str, count: int) -> None:
        """Return when so many more lines with this key were printed.

        Raises:
            ProcessError: A process has failed, or they do not get on.
        """
        wanted = self.count(key) + count
        deadline = time.monotonic() + PROGRESS_SECONDS
        while self.count(key) < wanted:
            self.take_in()
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.count(key)} of {wanted} {key}: {self.describe()}")
            time.sleep(0.02)

    def count(self, key: str) -> int:
        return sum(key in each for each in self.said)

    def take_in(self) -> None:
        """Take in what was printed, and start again whoever has asked for it."""
        for name, process in list(self._processes.items()):
            status = process.return_code
            self._take_in(name)
            if status is None:
                continue
            if status != AGAIN:
                raise ProcessError(process.describe())
            process.wait()
            self._take_in(name)
            self.restarts += 1
            self._begin(name)

    def finish(self) -> None:
        """Let all of them end what they have begun."""
        for process in self._processes.values():
            if process.return_code is None:
                os.kill(process.pid, signal.SIGTERM)
        for name, process in self._processes.items():
            status = process.wait(seconds=END_SECONDS)
            self._take_in(name)
            assert status in ENDS, process.describe()

    def close(self) -> None:
        """End everything that still runs."""
        for process in self._processes.values():
            if process.return_code is None:
                process.kill()

    def describe(self) -> str:
        return "\n".join(process.describe() for process in self._processes.values())

    def _begin(self, name: str) -> None:
        self._lives[name] += 1
        self._taken[name] = 0
        self._processes[name] = self._start(f"{name}.{self._lives[name]}")

    def _take_in(self, name: str) -> None:
        lines = self._processes[name].lines
        while self._taken[name] < len(lines):
            line = lines[self._taken[name]]
            self._taken[name] += 1
            # A process that is killed may leave half a line.
            if line.startswith("{") and line.endswith("}"):
                self.said.append(json.loads(line))
