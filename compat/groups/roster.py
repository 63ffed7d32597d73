"""Members of a group that a test starts, lets leave and kills, and what they have said so far.

A member of a Python client is a process (`python -m compat.groups.CLIENT_member ADDRESS GROUP
TOPIC SETTINGS`). Members of the Java client share a JVM (`Churn.java`), in which one that is to be
killed is closed without a word to the broker, which then sees what it sees of a dead one.

Each line is a JSON object with the member's clock in `at`: {"assigned": [0]}, {"revoked": [0]},
{"lost": [0]}, {"record": [0, 17]}, and {"closing": true} before it leaves.
"""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from compat.groups.ownership import Ownership
from compat.jvm import compiled, java_command
from compat.processes import LineProcess, ProcessError
from compat.runtimes import require
from compat.targets import COMPAT_DIR, Target, kafka_libs

CHURN = Path(__file__).parent / "Churn.java"
LEAVE_SECONDS = 60.0
READY = json.dumps({"ready": True})


@dataclass(frozen=True, slots=True)
class Way:
    """One client with the settings that its members have, in the client's own names."""

    client: str
    settings: Mapping[str, Any] = field(default_factory=dict)


class Roster(ABC):
    """The members of one group.

    Attributes:
        alive: Names of the members that were neither told to leave nor killed.
        ownership: What they have said; `take_in` brings it up to date.
    """

    def __init__(self) -> None:
        self.alive: list[str] = []
        self.ownership = Ownership()
        self._numbers = count(1)

    def start(self) -> str:
        """Start one more member; it joins as soon as it can."""
        name = f"m{next(self._numbers)}"
        self._start(name)
        self.alive.append(name)
        return name

    def leave(self, name: str) -> None:
        """Let a member close its consumer, and wait until it has."""
        self.alive.remove(name)
        self._leave(name)
        self.take_in()

    def kill(self, name: str) -> None:
        """End a member without a word to the broker."""
        self.alive.remove(name)
        self.take_in()
        at_ns = time.monotonic_ns()
        self._kill(name)
        self.take_in()
        self.ownership.end(name, at_ns)

    @abstractmethod
    def take_in(self) -> None:
        """Take in what the members have printed since the last time.

        Raises:
            ProcessError: One of them has ended by itself.
        """

    @abstractmethod
    def close(self) -> None:
        """End everything that still runs."""

    @abstractmethod
    def describe(self) -> str:
        """The last lines of all members, for a failure's message."""

    @abstractmethod
    def _start(self, name: str) -> None: ...

    @abstractmethod
    def _leave(self, name: str) -> None: ...

    @abstractmethod
    def _kill(self, name: str) -> None: ...


class ProcessRoster(Roster):
    """Members that are processes of their own; of several ways each member has the next one."""

    def __init__(self, broker: Target, group: str, topic: str, ways: list[Way]) -> None:
        super().__init__()
        self._arguments = (broker.address, group, topic)
        self._ways = ways
        self._processes: dict[str, LineProcess] = {}
        self._taken: dict[str, int] = {}

    def _start(self, name: str) -> None:
        way = self._ways[len(self._processes) % len(self._ways)]
        environment = {**os.environ, "PYTHONPATH": str(COMPAT_DIR.parent)}
        module = f"compat.groups.{way.client}_member"
        command = [sys.executable, "-m", module, *self._arguments, json.dumps(way.settings)]
        process = self._processes[name] = LineProcess(command, env=environment)
        self._taken[name] = 0
        # Before that a SIGTERM would be its end.
        process.wait_for(lambda line: line == READY or None, what="the member's start")

    def _leave(self, name: str) -> None:
        process = self._processes[name]
        if process.stop(seconds=LEAVE_SECONDS) != 0:
            raise ProcessError(process.describe())

    def _kill(self, name: str) -> None:
        self._processes[name].kill()

    def take_in(self) -> None:
        for name, process in self._processes.items():
            lines = process.lines[self._taken[name] :]
            self._taken[name] += len(lines)
            for line in lines:
                if line.startswith("{"):
                    self.ownership.take(name, json.loads(line))
            if name in self.alive and process.return_code is not None:
                raise ProcessError(f"{name} has ended: {process.describe()}")

    def close(self) -> None:
        for process in self._processes.values():
            if process.return_code is None:
                process.kill()

    def describe(self) -> str:
        return "\n".join(self._processes[name].describe() for name in self.alive)


class JavaRoster(Roster):
    """Members of the Java client in one JVM."""

    def __init__(self, broker: Target, group: str, topic: str, way: Way) -> None:
        super().__init__()
        require("javac")
        libs = kafka_libs()
        class_path: list[str | Path] = [f"{libs}/*", compiled("churn", [CHURN], libs)]
        settings = [f"{key}={value}" for key, value in way.settings.items()]
        command = java_command(
            "Churn", broker.address, group, topic, *settings, class_path=class_path
        )
        self._process = LineProcess(command, takes_lines=True)
        self._taken = 0

    def _start(self, name: str) -> None:
        self._process.send_line(f"start {name}")

    def _leave(self, name: str) -> None:
        self._end("leave", name)

    def _kill(self, name: str) -> None:
        self._end("kill", name)

    def _end(self, how: str, name: str) -> None:
        self._process.send_line(f"{how} {name}")
        done = f"ended {name}"
        self._process.wait_for(
            lambda line: line == done or None, seconds=LEAVE_SECONDS, what=f"'{done}'"
        )

    def take_in(self) -> None:
        lines = self._process.lines[self._taken :]
        self._taken += len(lines)
        for line in lines:
            if line.startswith("{"):
                said = json.loads(line)
                self.ownership.take(said["member"], said)
        if self._process.return_code is not None:
            raise ProcessError(f"the JVM has ended: {self._process.describe()}")

    def close(self) -> None:
        if self._process.return_code is None:
            self._process.kill()

    def describe(self) -> str:
        return self._process.describe()


def roster(broker: Target, group: str, topic: str, ways: list[Way]) -> Roster:
    """The right kind for these ways."""
    if ways[0].client == "java":
        return JavaRoster(broker, group, topic, ways[0])
    return ProcessRoster(broker, group, topic, ways)
