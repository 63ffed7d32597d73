"""Client programs in other languages, all driven by the same operations.

A suite builds its program (Go, JavaScript, Rust). `PROGRAM CLIENT serve ADDRESS` carries out one
operation for each line of standard input, {"operation": name, "arguments": ["..."], "records":
[...]}, and says its end by {"done": 0}, or by the error code that the broker has answered.

| operation | arguments | what it prints, a JSON object a line |
|---|---|---|
| create | TOPIC PARTITIONS KEY=VALUE... | |
| describe | TOPIC | {"partitions": [0, 1], "configs": {"retention.ms": "1000"}} |
| delete | TOPIC | |
| produce | TOPIC PARTITION CODEC, and the records | {"offsets": [0, 1]} |
| transact | TOPIC PARTITION END GROUP OFFSET, and the records | |
| consume | TOPIC PARTITION START COUNT | for each committed record what READ_LINE says |
| offsets | TOPIC PARTITION | {"earliest": 0, "latest": 2} |
| committed | GROUP TOPIC PARTITION | {"committed": 2}, -1 for none |

`transact` is a whole transaction of a new producer; END is commit or abort. Unless GROUP is empty,
it commits OFFSET for the partition, too. READ_LINE: {"record": [partition, offset, "value"],
"key": null, "headers": [["name", "value"]], "null": whether the value is null}. `PROGRAM CLIENT
member ADDRESS GROUP TOPIC` is a group's member as in compat/members.py, until SIGTERM.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from compat.members import Member
from compat.processes import LineProcess, ProcessError, eventually
from compat.targets import Target

OPERATION_SECONDS = 45.0


@dataclass(frozen=True)
class Record:
    """What a test produces, and gets back from whoever consumes."""

    value: str | None
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):  # noqa: N818 - an answer, as good as any
    """The broker has answered with an error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error code {code}")
        self.code = code


class Program:
    """One client of a program, at one broker. Its process starts when it is first needed."""

    def __init__(self, command: Sequence[str | Path], client: str, broker: Target) -> None:
        self.command = [str(part) for part in command] + [client]
        self.client = client
        self.broker = broker
        self._process: LineProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process; the next operation starts another one."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def run(
        self, operation: str, *arguments: object, records: Sequence[Record] = ()
    ) -> list[dict[str, Any]]:
        """Carry out an operation and give what it has said.

        Raises:
            Refused: The broker answered with an error.
            ProcessError: The client failed otherwise, or took too long.
        """
        if self._process is None:
            command = [*self.command, "serve", self.broker.address]
            self._process = LineProcess(command, takes_lines=True)
        asked = {
            "operation": operation,
            "arguments": [str(argument) for argument in arguments],
            "records": [asdict(record) for record in records],
        }
        said: list[dict[str, Any]] = []

        def parse(line: str) -> int | None:
            if not line.startswith("{"):
                return None  # A client's own log.
            said.append(json.loads(line))
            done: int | None = said[-1].get("done")
            return done

        try:
            self._process.send_line(json.dumps(asked))
            code = self._process.wait_for(parse, seconds=OPERATION_SECONDS, what=f"its {operation}")
        except (OSError, ProcessError):
            # What this process might still say belongs to no later operation.
            self.close()
            raise
        if code != 0:
            raise Refused(code)
        return said[:-1]

    def answer(self, operation: str, *arguments: object) -> dict[str, Any]:
        """What an operation that says one thing has said."""
        (said,) = self.run(operation, *arguments)
        return said

    def create(self, topic: str, partitions: int = 2, **configs: str) -> None:
        """Make a topic, with settings such as `retention_ms`, and wait until it can be used."""
        pairs = [f"{key.replace('_', '.')}={value}" for key, value in configs.items()]
        self.run("create", topic, partitions, *pairs)
        # Kafka answers before the topic's logs are there; its last one is asked for.
        eventually(
            lambda: self._without_refusal("offsets", topic, partitions - 1), what="the topic"
        )

    def produce(
        self, topic: str, records: Sequence[Record], *, partition: int = 0, codec: str = "none"
    ) -> list[int]:
        """Send with acks=all and give the offsets that were confirmed."""
        (said,) = self.run("produce", topic, partition, codec, records=records)
        offsets: list[int] = said["offsets"]
        return offsets

    def transact(
        self, topic: str, records: Sequence[Record], end: str, *, group: str = "", offset: int = 0
    ) -> None:
        """Send to partition 0 in a transaction and end it by "commit" or "abort".

        With a group, the transaction commits an offset of the partition for it.
        """
        self.run("transact", topic, 0, end, group, offset, records=records)

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
        said = eventually(
            lambda: self._without_refusal("committed", group, topic, partition),
            what="the committed offset",
        )
        assert said is not None
        offset: int = said["committed"]
        return offset

    @contextmanager
    def member(self, group: str, topic: str) -> Iterator[Member]:
        """A member of a group, killed at the end if it still runs."""
        process = Member([*self.command, "member", self.broker.address, group, topic])
        try:
            yield process
        finally:
            if process.return_code is None:
                process.kill()

    def _without_refusal(self, operation: str, *arguments: object) -> dict[str, Any] | None:
        try:
            return self.answer(operation, *arguments)
        except Refused:
            return None
