"""kafka-get-offsets, -delete-records, -log-dirs, -leader-election, -reassign-partitions."""

import json
from pathlib import Path
from typing import Any

import pytest

from compat.apache_tools.tools import Tools
from compat.processes import eventually
from compat.targets import Target

FAR_FUTURE_MS = "99999999999999"


@pytest.fixture
def filled(tools: Tools, topic: str) -> str:
    """A topic with six records; its name."""
    tools.produce(topic, *"abcdef")
    return topic


def _json_file(directory: Path, content: dict[str, Any]) -> str:
    path = directory / "input.json"
    path.write_text(json.dumps({**content, "version": 1}))
    return str(path)


@pytest.mark.parametrize(
    ("time", "offset"),
    [
        ("earliest", 0),
        ("latest", 6),
        ("-1", 6),
        ("-2", 0),
        ("earliest-local", 0),
        ("latest-tiered", None),
        ("1500000000000", 0),
        (FAR_FUTURE_MS, None),
    ],
)
def test_offsets_for_each_kind_of_time(
    tools: Tools, filled: str, time: str, offset: int | None
) -> None:
    wanted = [] if offset is None else [f"{filled}:0:{offset}"]
    assert tools.out("kafka-get-offsets", "--topic", filled, "--time", time) == wanted


def test_the_offset_of_the_highest_timestamp(tools: Tools, topic: str) -> None:
    for each in ("one", "two", "three"):
        tools.produce(topic, each)
    for time in ("max-timestamp", "-3"):
        said = tools.out("kafka-get-offsets", "--topic", topic, "--time", time)
        assert said == [f"{topic}:0:2"]


def test_offsets_of_chosen_partitions(tools: Tools) -> None:
    tools.create_topic("choice", partitions=3)
    assert tools.out("kafka-get-offsets", "--topic", "choice", "--partitions", "1,2") == [
        "choice:1:0",
        "choice:2:0",
    ]
    assert tools.out("kafka-get-offsets", "--topic-partitions", "choice:0-2") == [
        "choice:0:0",
        "choice:1:0",
    ]
    call = tools.run("kafka-get-offsets", "--topic", "nowhere", status=1)
    assert call.err[-1] == (
        "Error occurred: Could not match any topic-partitions with the specified filters"
    )


def test_records_are_deleted(tools: Tools, filled: str, tmp_path: Path) -> None:
    partitions = [{"topic": filled, "partition": 0, "offset": 3}]
    file = _json_file(tmp_path, {"partitions": partitions})
    assert tools.out("kafka-delete-records", "--offset-json-file", file) == [
        "Executing records delete operation",
        "Records delete operation completed:",
        f"partition: {filled}-0\tlow_watermark: 3",
    ]
    said = tools.out("kafka-get-offsets", "--topic", filled, "--time", "earliest")
    assert said == [f"{filled}:0:3"]
    read = tools.run(
        "kafka-console-consumer", f"--topic={filled}", "--from-beginning", "--max-messages=3"
    )
    assert read.out == ["d", "e", "f"]


def test_records_beyond_the_end_are_not_deleted(tools: Tools, filled: str, tmp_path: Path) -> None:
    partitions = [{"topic": filled, "partition": 0, "offset": 300}]
    file = _json_file(tmp_path, {"partitions": partitions})
    said = tools.out("kafka-delete-records", "--offset-json-file", file)
    assert said[-1].startswith(f"partition: {filled}-0\terror: ")
    assert "OffsetOutOfRangeException" in said[-1]
    said = tools.out("kafka-get-offsets", "--topic", filled, "--time", "earliest")
    assert said == [f"{filled}:0:0"]


def test_log_directories_are_described(tools: Tools, filled: str, fresh_broker: Target) -> None:
    for choice in ([], ["--broker-list", "1"]):
        said = tools.out("kafka-log-dirs", "--describe", "--topic-list", filled, *choice)
        assert said[:2] == [
            "Querying brokers for log directories information",
            "Received log directory information from brokers 1",
        ]
        found = json.loads(said[2])
        (directory,) = found["brokers"][0]["logDirs"]
        assert directory["logDir"] == str(fresh_broker.data_dir)
        assert directory["error"] is None
        (partition,) = directory["partitions"]
        log = fresh_broker.data_dir / f"{filled}-0" / "00000000000000000000.log"
        assert partition == {
            "partition": f"{filled}-0",
            "size": log.stat().st_size,
            "offsetLag": 0,
            "isFuture": False,
        }
    call = tools.run("kafka-log-dirs", "--describe", "--broker-list", "9", status=1)
    assert call.err[-1] == (
        "ERROR: The given brokers do not exist from --broker-list: 9. Current existent brokers: 1"
    )


def test_a_leader_is_already_the_preferred_one(tools: Tools, topic: str, tmp_path: Path) -> None:
    said = f"Valid replica already elected for partitions {topic}-0"
    for kind in ("preferred", "unclean"):
        election = ["--election-type", kind]
        one = ["--topic", topic, "--partition", "0"]
        assert tools.out("kafka-leader-election", *election, *one) == [said]
    file = _json_file(tmp_path, {"partitions": [{"topic": topic, "partition": 0}]})
    election = ["--election-type", "preferred"]
    chosen = ["--path-to-json-file", file]
    assert tools.out("kafka-leader-election", *election, *chosen) == [said]
    assert tools.out("kafka-leader-election", *election, "--all-topic-partitions") == []


def test_an_unknown_partition_has_no_election(tools: Tools) -> None:
    one = ["--topic", "nowhere", "--partition", "0"]
    call = tools.run("kafka-leader-election", "--election-type", "preferred", *one, status=1)
    assert call.out == [
        "Error completing leader election (PREFERRED) for partition: nowhere-0: org.apache.kafka"
        ".common.errors.UnknownTopicOrPartitionException: No such topic as nowhere"
    ]


def _assignment(topic: str, directory: object, replica: int = 1) -> dict[str, Any]:
    partition = {
        "topic": topic,
        "partition": 0,
        "replicas": [replica],
        "log_dirs": [str(directory)],
    }
    return {"version": 1, "partitions": [partition]}


def test_a_reassignment_is_generated_executed_and_verified(
    tools: Tools, topic: str, tmp_path: Path, fresh_broker: Target
) -> None:
    move = _json_file(tmp_path, {"topics": [{"topic": topic}]})
    generate = ["--topics-to-move-json-file", move, "--broker-list", "1", "--generate"]
    said = tools.out("kafka-reassign-partitions", *generate)
    assert said[0] == "Current partition replica assignment"
    assert json.loads(said[1]) == _assignment(topic, fresh_broker.data_dir)
    assert said[2] == "Proposed partition reassignment configuration"
    assert json.loads(said[3]) == _assignment(topic, "any")

    chosen = ["--reassignment-json-file", _json_file(tmp_path, json.loads(said[3]))]
    said = tools.out("kafka-reassign-partitions", *chosen, "--execute")
    assert said[-1] == f"Successfully started partition reassignment for {topic}-0"

    def is_complete() -> bool:
        said = tools.out("kafka-reassign-partitions", *chosen, "--verify")
        return f"Reassignment of partition {topic}-0 is completed." in said

    eventually(is_complete)
    assert tools.out("kafka-reassign-partitions", "--list") == ["No partition reassignments found."]
    said = tools.out("kafka-reassign-partitions", *chosen, "--cancel")
    assert said[0] == "None of the specified partition reassignments are active."


def test_a_reassignment_to_an_unknown_broker_is_refused(
    tools: Tools, topic: str, tmp_path: Path
) -> None:
    chosen = ["--reassignment-json-file", _json_file(tmp_path, _assignment(topic, "any", 2))]
    call = tools.run("kafka-reassign-partitions", *chosen, "--execute", status=1)
    assert call.out[0] == "Error: Unknown broker id 2"
