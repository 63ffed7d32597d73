"""Group members as processes, of Python (`python -m compat.CLIENT.member ADDRESS GROUP TOPIC`)
or of another language (compat/programs.py).

A member prints one JSON object a line: {"assigned": [0, 1]} for each assignment, and
{"record": [partition, offset, "value"]} for each record, which it then commits. SIGTERM makes it
leave the group and exit with 0.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from compat.processes import LineProcess
from compat.targets import COMPAT_DIR, Target
from pykbroker.client import Client
from pykbroker.commands.group_views import read_offsets

SESSION_TIMEOUT_MS = 3000
HEARTBEAT_INTERVAL_MS = 300


class Member(LineProcess):
    """A member's process, and waits for what it says."""

    def assignment(self, accepted: Callable[[set[int]], bool]) -> set[int]:
        """The next assignment that is accepted."""

        def parse(line: str) -> set[int] | None:
            assigned = _said(line).get("assigned")
            found = set(assigned) if assigned is not None else None
            return found if found is not None and accepted(found) else None

        return self.wait_for(parse, what="the assignment")

    def records(self, count: int) -> list[tuple[int, int, str]]:
        """The next so many records: partition, offset, value."""

        def parse(line: str) -> tuple[int, int, str] | None:
            record = _said(line).get("record")
            return tuple(record) if record is not None else None

        return [self.wait_for(parse, what=f"record {number + 1}") for number in range(count)]


def _said(line: str) -> dict[str, Any]:
    """What a line says; a client's own log lines say nothing."""
    if not line.startswith("{"):
        return {}
    found: dict[str, Any] = json.loads(line)
    return found


@contextmanager
def member(client: str, broker: Target, group: str, topic: str) -> Iterator[Member]:
    """A member that is killed at the end if it still runs."""
    environment = {**os.environ, "PYTHONPATH": str(COMPAT_DIR.parent)}
    module = f"compat.{client}.member"
    command = [sys.executable, "-m", module, broker.address, group, topic]
    process = Member(command, env=environment)
    try:
        yield process
    finally:
        if process.return_code is None:
            process.kill()


def with_coordinator(broker: Target, group: str) -> str:
    """The group's name, once its coordinator serves it: Kafka's may still be making its topic."""
    with Client(broker.address) as client:
        client.metadata([])
        client.at_coordinator(group, partial(read_offsets, client, group))
    return group


def say(**what: object) -> None:
    """Print what a member has to say, at once.

    In one write: where Python's output is unbuffered `print` would write the end of the line on
    its own, and what the client logs might come between.
    """
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def check_rebalances(client: str, broker: Target, group: str, topic: str, ending: str) -> None:
    """Two members share two partitions; one of them gets both when the other one ends.

    Args:
        ending: How the second member ends: "leave" (it says so) or "kill" (its session expires).
    """
    with member(client, broker, group, topic) as first:
        first.assignment(lambda partitions: partitions == {0, 1})
        with member(client, broker, group, topic) as second:
            (one,) = first.assignment(lambda partitions: len(partitions) == 1)
            (other,) = second.assignment(lambda partitions: len(partitions) == 1)
            assert {one, other} == {0, 1}
            if ending == "kill":
                second.kill()
            else:
                assert second.stop() == 0
            first.assignment(lambda partitions: partitions == {0, 1})
        assert first.stop() == 0
