"""kafka-console-producer and kafka-console-consumer."""

import json
from typing import Any

import pytest

from compat.apache_tools.tools import Tools
from compat.processes import eventually

# With --sync each line else waits a second for others.
LINGERS_NOT = "--timeout=0"


def _consume(tools: Tools, topic: str, count: int, *options: str) -> list[str]:
    """So many records from the beginning, as kafka-console-consumer prints them."""
    chosen = [f"--topic={topic}", f"--max-messages={count}"]
    start = [] if "--offset" in options else ["--from-beginning"]
    call = tools.run("kafka-console-consumer", *chosen, *start, *options)
    assert call.err[-1] == f"Processed a total of {count} messages"
    return call.out


def _print(*properties: str) -> list[str]:
    options: list[str] = []
    for each in properties:
        options += ["--formatter-property", each]
    return options


def test_lines_in_are_lines_out(tools: Tools, topic: str) -> None:
    tools.produce(topic, "one", "two", "", "drei \u00fc")
    assert _consume(tools, topic, 4) == ["one", "two", "", "drei \u00fc"]


def test_keys_offsets_partitions_and_timestamps_are_printed(tools: Tools, topic: str) -> None:
    tools.produce(topic, "a:1", "b:2")
    options = _print("print.key=true", "print.offset=true", "print.partition=true")
    assert _consume(tools, topic, 2, *options) == [
        "Partition:0\tOffset:0\ta\t1",
        "Partition:0\tOffset:1\tb\t2",
    ]
    options = _print("print.key=true", "key.separator= = ", "print.value=false")
    assert _consume(tools, topic, 2, *options) == ["a", "b"]
    stamped = _consume(tools, topic, 2, *_print("print.timestamp=true"))
    assert all(line.startswith("CreateTime:1") for line in stamped)


def test_headers_are_sent_and_printed(tools: Tools, topic: str) -> None:
    options = ["--reader-property", "parse.headers=true", "--reader-property", "parse.key=true"]
    tools.run(
        "kafka-console-producer", f"--topic={topic}", *options,
        text_input="h1:one,h2:two\tkey\tvalue\n",
    )  # fmt: skip

    printed = _print("print.headers=true", "print.key=true", "headers.separator=|")
    assert _consume(tools, topic, 1, *printed) == ["h1:one|h2:two\tkey\tvalue"]


def test_null_keys_and_values_are_sent_and_printed(tools: Tools, topic: str) -> None:
    reader = ["parse.key=true", "key.separator=:", "null.marker=NULL"]
    options = [part for each in reader for part in ("--reader-property", each)]
    tools.run("kafka-console-producer", f"--topic={topic}", *options, text_input="NULL:a\nb:NULL\n")

    printed = _print("print.key=true", "null.literal=(none)")
    assert _consume(tools, topic, 2, *printed) == ["(none)\ta", "b\t(none)"]


def test_a_line_without_its_key_ends_the_producer(tools: Tools, topic: str) -> None:
    call = tools.run(
        "kafka-console-producer", f"--topic={topic}", "--reader-property", "parse.key=true",
        text_input="nokey\n", status=1,
    )  # fmt: skip
    assert "No key separator found on line number 1: 'nokey'" in call.describe()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_each_codec_comes_back(tools: Tools, topic: str, codec: str) -> None:
    lines = [f"{codec} {number}" for number in range(50)]
    tools.run(
        "kafka-console-producer", f"--topic={topic}", f"--compression-codec={codec}",
        text_input="".join(f"{line}\n" for line in lines),
    )  # fmt: skip
    assert _consume(tools, topic, 50) == lines


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_kind_of_acknowledgement(tools: Tools, topic: str, acks: str) -> None:
    tools.run(
        "kafka-console-producer", f"--topic={topic}", f"--request-required-acks={acks}", "--sync",
        LINGERS_NOT, text_input="one\ntwo\n",
    )  # fmt: skip
    assert _consume(tools, topic, 2) == ["one", "two"]


def test_a_record_that_is_too_large_is_an_error(tools: Tools) -> None:
    tools.create_topic("small-records", max_message_bytes="1000")
    call = tools.run(
        "kafka-console-producer", "--topic=small-records", "--sync", LINGERS_NOT,
        text_input="x" * 2000, status=1,
    )  # fmt: skip
    assert "RecordTooLargeException" in call.describe()
    tools.produce("small-records", "small")
    assert _consume(tools, "small-records", 1) == ["small"]


def test_an_unknown_topic_is_made_by_its_first_record(tools: Tools) -> None:
    tools.run("kafka-console-producer", "--topic=on-demand", text_input="first\n")
    assert _consume(tools, "on-demand", 1) == ["first"]


def test_a_consumer_starts_at_an_offset_of_a_partition(tools: Tools, topic: str) -> None:
    tools.produce(topic, "zero", "one", "two", "three")
    at = ["--partition", "0", "--offset"]
    assert _consume(tools, topic, 2, *at, "2") == ["two", "three"]
    assert _consume(tools, topic, 1, *at, "earliest") == ["zero"]
    end = tools.run("kafka-console-consumer", f"--topic={topic}", *at, "latest", "--timeout-ms=300")
    assert end.out == []
    assert end.err[-1] == "Processed a total of 0 messages"


def test_a_group_goes_on_where_it_was(tools: Tools, topic: str, group: str) -> None:
    tools.produce(topic, *"abcde")
    assert _consume(tools, topic, 2, f"--group={group}") == ["a", "b"]
    assert _consume(tools, topic, 3, f"--group={group}") == ["c", "d", "e"]
    rest = tools.run(
        "kafka-console-consumer", f"--topic={topic}", f"--group={group}", "--timeout-ms=500"
    )
    assert rest.err[-1] == "Processed a total of 0 messages"


@pytest.mark.parametrize("level", ["read_committed", "read_uncommitted"])
def test_both_isolation_levels(tools: Tools, topic: str, level: str) -> None:
    tools.produce(topic, "one", "two")
    assert _consume(tools, topic, 2, f"--isolation-level={level}") == ["one", "two"]


def test_topics_are_consumed_by_a_regular_expression(tools: Tools) -> None:
    for number in (1, 2):
        tools.create_topic(f"pattern-{number}")
        tools.produce(f"pattern-{number}", f"in {number}")
    call = tools.run(
        "kafka-console-consumer", "--include=pattern-.*", "--from-beginning", "--max-messages=2"
    )
    assert sorted(call.out) == ["in 1", "in 2"]


@pytest.mark.parametrize(
    ("formatter", "type_", "wanted"),
    [
        ("OffsetsMessageFormatter", 1, {"offset": 1, "metadata": ""}),
        ("GroupMetadataMessageFormatter", 2, {"protocolType": "consumer", "protocol": "range"}),
    ],
)
def test_groups_and_offsets_are_formatted(
    tools: Tools, topic: str, group: str, formatter: str, type_: int, wanted: dict[str, object]
) -> None:
    """What lies in __consumer_offsets has Kafka's own formats."""
    tools.produce(topic, "one")
    _consume(tools, topic, 1, f"--group={group}")

    def of_this_group() -> list[dict[str, Any]]:
        # It ends when it has been given nothing for so long, even if that is what it asked for.
        call = tools.run(
            "kafka-console-consumer", "--topic=__consumer_offsets", "--from-beginning",
            f"--formatter=org.apache.kafka.tools.consumer.{formatter}", "--timeout-ms=2000",
        )  # fmt: skip
        # One document after the other, without anything between them.
        documents = json.loads("[" + "".join(call.out).replace("}{", "},{") + "]")
        return [each for each in documents if each["key"]["data"]["group"] == group]

    of_group = eventually(of_this_group, what="records of the group")
    assert {each["key"]["type"] for each in of_group} == {type_}
    assert any(wanted.items() <= each["value"]["data"].items() for each in of_group)
