"""kcat: the command line client, on the librdkafka of the distribution (often an old one)."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from compat.ledger import ConfirmedRecord, Ledger
from compat.processes import LineProcess, eventually
from compat.targets import Target

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SESSION = ["-X", "session.timeout.ms=3000", "-X", "heartbeat.interval.ms=300"]
RECORD_LINES = ["-X", "auto.offset.reset=earliest", "-u", "-f", "record %p %o %s\n"]
# A read that stops at the end would else wait out one more fetch at the end of each partition.
TO_THE_END = ["-q", "-e", "-X", "fetch.wait.max.ms=50"]

Names = Callable[[str], str]

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def kcat(broker: Target, *arguments: str, text: str | None = None) -> list[str]:
    """Run kcat to its end and give the lines that it printed; a failure of it is ours."""
    process = LineProcess(["kcat", "-b", broker.address, "-m", "10", *arguments], text_input=text)
    status = process.wait()
    assert status == 0, process.describe()
    return process.lines


def produce(
    broker: Target, topic: str, lines: list[str], *arguments: str, partition: int = 0
) -> list[int]:
    """Produce `key:value` lines with acks=all and give the offsets that were confirmed."""
    text = "".join(f"{line}\n" for line in lines)
    output = kcat(
        broker, "-P", "-vvv", "-t", topic, "-p", str(partition), "-K:", "-X", "acks=all",
        *arguments, text=text,
    )  # fmt: skip
    found = [re.search(r"delivered to partition \d+ \(offset (\d+)\)", line) for line in output]
    offsets = [int(match.group(1)) for match in found if match]
    assert len(offsets) == len(lines), output
    return offsets


def consume(broker: Target, topic: str, *arguments: str) -> list[dict[str, Any]]:
    """All records of partition 0 up to its end, as kcat's JSON."""
    arguments = arguments or ("-o", "beginning")
    output = kcat(broker, "-C", *TO_THE_END, "-J", "-t", topic, "-p", "0", *arguments)
    return [json.loads(line) for line in output]


def confirm(ledger: Ledger, topic: str, lines: list[str], offsets: list[int]) -> None:
    for line, offset in zip(lines, offsets, strict=True):
        key, _, value = line.partition(":")
        ledger.records.append(ConfirmedRecord(topic, 0, offset, key.encode(), value.encode()))


def topic_metadata(broker: Target, topic: str) -> dict[str, Any]:
    (output,) = kcat(broker, "-L", "-J", "-t", topic)
    found: dict[str, Any] = json.loads(output)["topics"][0]
    return found


def new_topic(broker: Target, topic: str) -> str:
    """Make a topic by asking for its metadata, as a broker that creates on demand allows.

    A producer that names a new topic makes it too, but librdkafka then waits out a second.
    """
    eventually(lambda: _has_leaders(topic_metadata(broker, topic)), what=f"topic {topic}")
    return topic


def _has_leaders(metadata: dict[str, Any]) -> bool:
    leaders = [partition["leader"] for partition in metadata["partitions"]]
    return bool(leaders) and min(leaders) >= 0


@contextmanager
def member(broker: Target, group: str, topic: str, *arguments: str) -> Iterator[LineProcess]:
    """A group member in a process of its own."""
    process = LineProcess(
        ["kcat", "-b", broker.address, "-G", group, *SESSION, *RECORD_LINES, *arguments, topic]
    )
    try:
        yield process
    finally:
        if process.return_code is None:
            process.kill()


def assignment_of(process: LineProcess, partitions: set[int]) -> set[int]:
    """Wait until the member says that it has exactly these partitions."""

    def parse(line: str) -> set[int] | None:
        found = re.search(r"assigned: (.*)$", line)
        if found is None:
            return None
        assigned = {int(number) for number in re.findall(r"\[(\d+)\]", found.group(1))}
        return assigned if assigned == partitions else None

    return process.wait_for(parse, what=f"assignment of {partitions}")


def records_of(process: LineProcess, count: int) -> list[str]:
    """Wait for so many records and give their values."""

    def parse(line: str) -> str | None:
        found = re.match(r"record \d+ \d+ (.*)$", line)
        return found.group(1) if found else None

    return [process.wait_for(parse, what=f"record {n + 1}") for n in range(count)]


def test_a_topic_is_created_when_first_produced_to(broker: Target, name: Names) -> None:
    topic = name("topic")
    produce(broker, topic, ["k:v"])

    metadata = topic_metadata(broker, topic)

    partitions = metadata["partitions"]
    assert len(partitions) == 2
    assert {len(partition["replicas"]) for partition in partitions} == {1}
    (listing,) = kcat(broker, "-L", "-J")
    assert topic in {found["topic"] for found in json.loads(listing)["topics"]}
    addresses = {found["name"] for found in json.loads(listing)["brokers"]}
    assert addresses == {broker.address}


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_produced_with_codec(
    broker: Target, name: Names, ledger: Ledger, codec: str
) -> None:
    topic = new_topic(broker, name("topic"))
    # What one batch decompresses to takes too long to be looked into at once.
    lines = [f"key-{number}:{codec} {number} {'x' * 15_000}" for number in range(50)]

    offsets = produce(broker, topic, lines, "-z", codec, "-X", "linger.ms=50")

    assert offsets == list(range(50))
    found = consume(broker, topic)
    assert [f"{record['key']}:{record['payload']}" for record in found] == lines
    assert [record["offset"] for record in found] == offsets
    confirm(ledger, topic, lines, offsets)


def test_headers_and_empty_and_null_values_come_back(broker: Target, name: Names) -> None:
    topic = new_topic(broker, name("topic"))
    produce(broker, topic, ["k:v"], "-H", "colour=blue", "-H", "size=10", "-H", "colour=red")
    produce(broker, topic, ["gone:"], "-Z")

    first, second = consume(broker, topic)

    assert first["headers"] == ["colour", "blue", "size", "10", "colour", "red"]
    assert second["key"] == "gone"
    assert second["payload"] is None


def test_offsets_are_found_by_timestamp(broker: Target, name: Names) -> None:
    topic = new_topic(broker, name("topic"))
    for number in range(3):
        produce(broker, topic, [f"k:{number}"])
    timestamps = [record["ts"] for record in consume(broker, topic)]
    assert timestamps == sorted(timestamps)

    (found,) = kcat(broker, "-Q", "-t", f"{topic}:0:{timestamps[1]}")
    (end,) = kcat(broker, "-Q", "-t", f"{topic}:0:-1")
    (beginning,) = kcat(broker, "-Q", "-t", f"{topic}:0:-2")

    assert found == f"{topic} [0] offset {timestamps.index(timestamps[1])}"
    assert end == f"{topic} [0] offset 3"
    assert beginning == f"{topic} [0] offset 0"


def test_reading_starts_where_it_is_asked_to(broker: Target, name: Names) -> None:
    topic = new_topic(broker, name("topic"))
    produce(broker, topic, [f"k:{number}" for number in range(10)])

    from_seven = consume(broker, topic, "-o", "7")
    last_two = consume(broker, topic, "-o", "-2")
    first_three = consume(broker, topic, "-o", "beginning", "-c", "3")

    assert [record["payload"] for record in from_seven] == ["7", "8", "9"]
    assert [record["payload"] for record in last_two] == ["8", "9"]
    assert [record["payload"] for record in first_three] == ["0", "1", "2"]


def test_an_idempotent_producer_writes_each_record_once_in_order(
    broker: Target, name: Names, ledger: Ledger
) -> None:
    topic = new_topic(broker, name("topic"))
    lines = [f"k:{number}" for number in range(500)]

    offsets = produce(
        broker, topic, lines,
        "-X", "enable.idempotence=true", "-X", "batch.num.messages=20", "-X", "linger.ms=5",
    )  # fmt: skip

    assert offsets == list(range(500))
    assert [record["payload"] for record in consume(broker, topic)] == [
        str(number) for number in range(500)
    ]
    confirm(ledger, topic, lines, offsets)


@pytest.mark.parametrize("ending", ["leave", "kill"])
def test_a_group_rebalances_when_a_member_joins_and_when_it_ends_by(
    broker: Target, name: Names, ending: str
) -> None:
    topic, group = new_topic(broker, name("topic")), name("group")
    produce(broker, topic, ["k:zero"], partition=0)
    produce(broker, topic, ["k:one"], partition=1)

    with member(broker, group, topic) as first:
        assignment_of(first, {0, 1})
        assert sorted(records_of(first, 2)) == ["one", "zero"]
        with member(broker, group, topic) as second:
            both = {_single_partition(first), _single_partition(second)}
            assert both == {0, 1}
            if ending == "kill":
                second.kill()
            else:
                second.stop()
            assignment_of(first, {0, 1})
        produce(broker, topic, ["k:after"], partition=1)
        assert "after" in records_of(first, 1)


def _single_partition(process: LineProcess) -> int:
    def parse(line: str) -> int | None:
        found = re.search(r"assigned: \S+ \[(\d+)\]$", line)
        return int(found.group(1)) if found else None

    return process.wait_for(parse, what="assignment of one partition")


def test_a_group_resumes_where_it_has_committed(
    broker: Target, name: Names, ledger: Ledger
) -> None:
    topic, group = new_topic(broker, name("topic")), name("group")
    produce(broker, topic, [f"k:{number}" for number in range(10)])
    with member(broker, group, topic, "-c", "6") as first:
        assert records_of(first, 6) == [str(number) for number in range(6)]
        assert first.wait() == 0

    with member(broker, group, topic, "-c", "4") as second:
        assert records_of(second, 4) == ["6", "7", "8", "9"]
        assert second.wait() == 0

    ledger.commits[group, topic, 0] = 10


@pytest.mark.after_restart
def test_everything_confirmed_before_is_still_there(broker: Target, ledger: Ledger) -> None:
    assert ledger.records
    for (topic, _), expected in ledger.by_partition().items():
        found = [
            (record["offset"], record["key"], record["payload"])
            for record in consume(broker, topic)
        ]
        assert found == [
            (record.offset, (record.key or b"").decode(), (record.value or b"").decode())
            for record in expected
        ]


@pytest.mark.after_restart
def test_a_group_resumes_after_the_restart(broker: Target, ledger: Ledger) -> None:
    assert ledger.commits
    for (group, topic, partition), offset in list(ledger.commits.items()):
        (confirmed,) = produce(broker, topic, [f"k:later {offset}"], partition=partition)
        assert confirmed == offset
        with member(broker, group, topic, "-c", "1") as resumed:
            assert records_of(resumed, 1) == [f"later {offset}"]
            assert resumed.wait() == 0
        ledger.commits[group, topic, partition] = offset + 1


def test_a_consumer_that_waits_gets_a_record_at_once(broker: Target, name: Names) -> None:
    topic = new_topic(broker, name("topic"))
    produce(broker, topic, ["k:first"])
    process = LineProcess(
        [
            "kcat",
            "-b",
            broker.address,
            "-C",
            "-t",
            topic,
            "-p",
            "0",
            "-o",
            "beginning",
            *RECORD_LINES,
        ]
    )
    try:
        assert records_of(process, 1) == ["first"]
        eventually(lambda: any("Reached end" in line for line in process.lines), what="the end")
        produce(broker, topic, ["k:second"])
        assert records_of(process, 1) == ["second"]
    finally:
        process.kill()
