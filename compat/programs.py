"""Client programs in other languages, all driven by the same operations.

A suite builds its program (Go, JavaScript, Rust); a test starts it once for each operation:

    PROGRAM CLIENT OPERATION ADDRESS ARGUMENTS...

| operation | arguments | what it prints, a JSON object a line |
|---|---|---|
| create | TOPIC PARTITIONS KEY=VALUE... | {"created": topic} |
| describe | TOPIC | {"partitions": [0, 1], "configs": {"retention.ms": "1000"}} |
| delete | TOPIC | {"deleted": topic} |
| produce | TOPIC PARTITION CODEC; on stdin a JSON object for each record | {"offsets": [0, 1]} |
| consume | TOPIC PARTITION START COUNT | for each record what READ_LINE says |
| offsets | TOPIC PARTITION | {"earliest": 0, "latest": 2} |
| committed | GROUP TOPIC PARTITION | {"committed": 2}, -1 for none |
| member | GROUP TOPIC | what compat/members.py says, until SIGTERM |

READ_LINE: {"record": [partition, offset, "value"], "key": null, "headers": [["name", "value"]],
"null": whether the value is null}. What the broker refused is {"error": its code}.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat.members import Member
from compat.processes import LineProcess, eventually
from compat.targets import Target

OPERATION_SECONDS = 45.0


@dataclass(frozen=True)
class Record:
    """What a test produces, and gets back from whoever consumes."""

    value: str | None
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> str:
        return json.dumps({"key": self.key, "value": self.value, "headers": self.headers})


@dataclass(frozen=True)
class Program:
    """One client of a program, at one broker."""

    command: tuple[str | Path, ...]
    client: str
    broker: Target

    def run(self, operation: str, *arguments: object, text: str = "") -> list[dict[str, Any]]:
        """Run an operation to its end and give what it said; a failure of it is ours."""
        command = self._command(operation, *arguments)
        process = LineProcess(command, text_input=text)
        status = process.wait(seconds=OPERATION_SECONDS)
        assert status == 0, process.describe()
        said = [json.loads(line) for line in process.lines if line.startswith("{")]
        assert said or operation == "consume", process.describe()
        return said

    def answer(self, operation: str, *arguments: object, text: str = "") -> dict[str, Any]:
        """What an operation that says one thing has said."""
        (said,) = self.run(operation, *arguments, text=text)
        return said

    def create(self, topic: str, partitions: int = 2, **configs: str) -> None:
        pairs = [f"{key.replace('_', '.')}={value}" for key, value in configs.items()]
        assert self.answer("create", topic, partitions, *pairs) == {"created": topic}
        # Kafka answers before the topic's logs are there; its last one is asked for.
        self._answer_without_error("offsets", topic, partitions - 1)

    def produce(
        self, topic: str, records: Sequence[Record], *, partition: int = 0, codec: str = "none"
    ) -> list[int]:
        """Send with acks=all and give the offsets that were confirmed."""
        text = "".join(record.as_json() + "\n" for record in records)
        offsets: list[int] = self.answer("produce", topic, partition, codec, text=text)["offsets"]
        return offsets

    def consume(
        self, topic: str, count: int, *, partition: int = 0, start: int = 0
    ) -> list[tuple[int, Record]]:
        """The first `count` records from an offset on, each with its offset."""
        found = []
        for said in self.run("consume", topic, partition, start, count):
            read_partition, offset, value = said["record"]
            assert read_partition == partition
            headers = tuple((name, value) for name, value in said["headers"])
            found.append((offset, Record(None if said["null"] else value, said["key"], headers)))
        return found

    def offsets(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """The earliest and the latest offset."""
        said = self.answer("offsets", topic, partition)
        return said["earliest"], said["latest"]

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        # The first group of all waits for its coordinator.
        said = self._answer_without_error("committed", group, topic, partition)
        offset: int = said["committed"]
        return offset

    @contextmanager
    def member(self, group: str, topic: str) -> Iterator[Member]:
        """A member of a group, killed at the end if it still runs."""
        process = Member(self._command("member", group, topic))
        try:
            yield process
        finally:
            if process.return_code is None:
                process.kill()

    def _answer_without_error(self, operation: str, *arguments: object) -> dict[str, Any]:
        def attempt() -> dict[str, Any] | None:
            said = self.answer(operation, *arguments)
            return None if "error" in said else said

        said = eventually(attempt, what=f"an answer to {operation} without an error")
        assert said is not None
        return said

    def _command(self, operation: str, *arguments: object) -> list[str]:
        first = [*map(str, self.command), self.client, operation, self.broker.address]
        return first + [str(argument) for argument in arguments]
