"""kafka-consumer-groups and kafka-groups: groups, their members and committed offsets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.apache_tools.tools import Tools, table
from compat.jvm import Call
from compat.processes import eventually
from compat.targets import Target

NO_MEMBERS = "Consumer group '{}' has no active members."


@pytest.fixture
def read(tools: Tools, topic: str, group: str) -> str:
    """A group without members that has read 5 of the 6 records of the topic; its name."""
    tools.produce(topic, *"abcdef")
    tools.run(
        "kafka-console-consumer", f"--topic={topic}", f"--group={group}", "--from-beginning",
        "--max-messages=5",
    )  # fmt: skip
    return group


def _is_stable(tools: Tools, group: str, members: int = 1) -> bool:
    state = tools.out("kafka-consumer-groups", "--describe", "--group", group, "--state")
    return state[-1].split()[-2:] == ["Stable", str(members)]


def _join(tools: Tools, topic: str, group: str, *options: str) -> Call:
    """Start a member, and wait until it is alone in its group."""
    call = tools.start("kafka-console-consumer", f"--topic={topic}", f"--group={group}", *options)
    eventually(lambda: _is_stable(tools, group))
    return call


@pytest.fixture
def member(tools: Tools, topic: str, group: str) -> Iterator[Call]:
    """A running member of the group, alone in it."""
    call = _join(tools, topic, group)
    yield call
    tools.jvm.stop(call)


def _committed(tools: Tools, group: str) -> list[tuple[str, str, str, str, str]]:
    """Topic, partition, offset, end and lag of each partition of a group without members."""
    rows = table(tools.run("kafka-consumer-groups", "--describe", "--group", group).out)
    columns = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")
    found = [tuple(row[column] for column in columns) for row in rows]
    return [(topic, part, offset, end, lag) for topic, part, offset, end, lag in found]


def _reset(tools: Tools, group: str, *options: str) -> list[str]:
    """The new offsets as --reset-offsets prints them."""
    said = tools.out("kafka-consumer-groups", "--reset-offsets", "--group", group, *options)
    return [row["NEW-OFFSET"] for row in table(said)]


def test_groups_are_listed_with_state_and_type(tools: Tools, read: str) -> None:
    assert read in tools.out("kafka-consumer-groups", "--list")
    states = {row["GROUP"]: row["STATE"] for row in table(_list(tools, "--state"))}
    assert states[read] == "Empty"
    types = {row["GROUP"]: row["TYPE"] for row in table(_list(tools, "--type"))}
    assert types[read] == "Classic"
    assert read in {row["GROUP"] for row in table(_list(tools, "--state", "empty"))}
    assert read not in {row["GROUP"] for row in table(_list(tools, "--state", "stable"))}
    both = table(_list(tools, "--state", "--type"))
    assert {"GROUP": read, "TYPE": "Classic", "STATE": "Empty"} in both


def _list(tools: Tools, *options: str) -> list[str]:
    return tools.out("kafka-consumer-groups", "--list", *options)


def test_kafka_groups_lists_them_too(tools: Tools, read: str) -> None:
    for choice in ([], ["--group-type", "classic"], ["--consumer"], ["--protocol", "consumer"]):
        rows = table(tools.out("kafka-groups", "--list", *choice))
        assert {"GROUP": read, "TYPE": "Classic", "PROTOCOL": "consumer"} in rows
    assert table(tools.out("kafka-groups", "--list", "--share")) == []


def test_a_group_without_members_is_described(
    tools: Tools, topic: str, read: str, fresh_broker: Target
) -> None:
    call = tools.run("kafka-consumer-groups", "--describe", "--group", read)
    assert call.err[-1] == NO_MEMBERS.format(read)
    assert table(call.out) == [
        {
            "GROUP": read, "TOPIC": topic, "PARTITION": "0", "CURRENT-OFFSET": "5",
            "LOG-END-OFFSET": "6", "LAG": "1", "CONSUMER-ID": "-", "HOST": "-", "CLIENT-ID": "-",
        }
    ]  # fmt: skip
    state = tools.out("kafka-consumer-groups", "--describe", "--group", read, "--state")
    assert state[1].split() == [read, fresh_broker.address, "(1)", "-", "Empty", "0"]
    members = tools.out("kafka-consumer-groups", "--describe", "--group", read, "--members")
    assert table(members) == []
    everything = tools.out("kafka-consumer-groups", "--describe", "--all-groups")
    assert any(line.split()[:3] == [read, topic, "0"] for line in everything)


def test_an_unknown_group_is_an_error(tools: Tools) -> None:
    call = tools.run("kafka-consumer-groups", "--describe", "--group", "nobody")
    assert call.out[-1] == (
        "Error: Executing consumer group command failed due to"
        " org.apache.kafka.common.errors.GroupIdNotFoundException: Group nobody not found."
    )


def test_a_member_is_described(
    tools: Tools, topic: str, group: str, member: Call, fresh_broker: Target
) -> None:
    state = tools.out("kafka-consumer-groups", "--describe", "--group", group, "--state")
    assert state[1].split() == [group, fresh_broker.address, "(1)", "range", "Stable", "1"]
    (row,) = table(tools.out("kafka-consumer-groups", "--describe", "--group", group, "--members"))
    assert row["#PARTITIONS"] == "1"
    assert row["HOST"] == "/127.0.0.1"
    assert row["CONSUMER-ID"].startswith(row["CLIENT-ID"])
    verbose = ["--describe", "--group", group, "--members", "--verbose"]
    assert f"{topic}:0" in tools.out("kafka-consumer-groups", *verbose)[1]
    (row,) = table(tools.out("kafka-consumer-groups", "--describe", "--group", group))
    assert (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"]) == ("-", "0", "-")
    assert member.status is None


def test_a_static_member_is_described_with_its_instance(
    tools: Tools, topic: str, group: str
) -> None:
    member = _join(tools, topic, group, "--command-property", "group.instance.id=fixed")
    (row,) = table(tools.out("kafka-consumer-groups", "--describe", "--group", group, "--members"))
    assert row["GROUP-INSTANCE-ID"] == "fixed"
    tools.jvm.stop(member)


def test_a_group_with_a_member_is_neither_reset_nor_deleted(
    tools: Tools, topic: str, group: str, member: Call
) -> None:
    reset = ["--reset-offsets", "--topic", topic, "--to-earliest", "--execute"]
    call = tools.run("kafka-consumer-groups", "--group", group, *reset)
    assert call.out[1] == (
        f"Error: Assignments can only be reset if the group '{group}' is inactive,"
        " but the current state is Stable."
    )
    call = tools.run("kafka-consumer-groups", "--group", group, "--delete")
    assert call.out[-1] == (
        f"* Group '{group}' could not be deleted due to:"
        " org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty."
    )
    call = tools.run(
        "kafka-consumer-groups", "--group", group, "--delete-offsets", "--topic", topic
    )
    assert "GroupSubscribedToTopicException" in call.out[-1]
    assert member.status is None


def test_offsets_are_reset_to_an_offset(tools: Tools, topic: str, read: str) -> None:
    assert _reset(tools, read, "--topic", topic, "--to-offset", "2", "--execute") == ["2"]
    assert _committed(tools, read) == [(topic, "0", "2", "6", "4")]


@pytest.mark.parametrize(
    ("way", "offset"),
    [
        (["--to-earliest"], "0"),
        (["--to-latest"], "6"),
        (["--to-current"], "5"),
        (["--to-offset", "100"], "6"),
        (["--shift-by", "-2"], "3"),
        (["--shift-by", "1"], "6"),
        (["--shift-by", "-100"], "0"),
        (["--shift-by", "100"], "6"),
        (["--by-duration", "PT1H"], "0"),
        (["--by-duration", "PT0S"], "6"),
        (["--to-datetime", "2020-01-01T00:00:00.000"], "0"),
        (["--to-datetime", "2100-01-01T00:00:00.000"], "6"),
    ],
    ids=lambda value: " ".join(value).strip("-") if isinstance(value, list) else value,
)
def test_offsets_are_reset_in_every_way(
    tools: Tools, topic: str, read: str, way: list[str], offset: str
) -> None:
    assert _reset(tools, read, "--topic", topic, *way, "--dry-run") == [offset]
    assert _committed(tools, read) == [(topic, "0", "5", "6", "1")]
    assert _reset(tools, read, "--topic", f"{topic}:0", *way, "--execute") == [offset]
    assert _committed(tools, read) == [(topic, "0", offset, "6", str(6 - int(offset)))]


def test_offsets_are_exported_and_read_from_a_file(
    tools: Tools, topic: str, read: str, tmp_path: Path
) -> None:
    export = ["--reset-offsets", "--group", read, "--all-topics", "--to-offset", "3"]
    (line,) = tools.out("kafka-consumer-groups", *export, "--dry-run", "--export")
    assert line.replace('"', "") == f"{topic},0,3"
    plan = tmp_path / "plan.csv"
    plan.write_text(f"{line}\n")

    assert _reset(tools, read, "--from-file", str(plan), "--execute") == ["3"]
    assert _committed(tools, read) == [(topic, "0", "3", "6", "3")]


def test_a_group_is_made_by_a_reset(tools: Tools, topic: str) -> None:
    tools.produce(topic, "one")
    assert _reset(tools, "from-nothing", "--topic", topic, "--to-latest", "--execute") == ["1"]
    assert _committed(tools, "from-nothing") == [(topic, "0", "1", "1", "0")]


def test_offsets_of_an_unknown_topic_are_not_reset(tools: Tools, read: str) -> None:
    options = ["--group", read, "--topic", "nowhere", "--to-earliest", "--execute"]
    call = tools.run("kafka-consumer-groups", "--reset-offsets", *options)
    assert call.out[1] == (
        "Error: Executing consumer group command failed due to This server does not host this"
        " topic-partition."
    )


def test_offsets_are_deleted(tools: Tools, topic: str, read: str) -> None:
    delete = ["--delete-offsets", "--group", read]
    said = tools.out("kafka-consumer-groups", *delete, "--topic", "nowhere")
    assert "UnknownTopicOrPartitionException" in said[-1]
    said = tools.out("kafka-consumer-groups", *delete, "--topic", f"{topic}:0")
    assert said[0] == f"Request succeeded for deleting offsets from group {read}."
    assert table(said[1:]) == [{"TOPIC": topic, "PARTITION": "0", "STATUS": "Successful"}]
    assert _committed(tools, read) == []
    call = tools.run(
        "kafka-consumer-groups", "--delete-offsets", "--group", "nobody", "--topic", topic
    )
    assert call.out[1] == "Error: The group id does not exist."


def test_a_group_is_deleted(tools: Tools, read: str) -> None:
    (said,) = tools.out("kafka-consumer-groups", "--delete", "--group", read)
    assert said == f"Deletion of requested consumer groups ('{read}') was successful."
    assert read not in tools.out("kafka-consumer-groups", "--list")
    call = tools.run("kafka-consumer-groups", "--delete", "--group", read)
    assert call.out[-1] == (
        f"* Group '{read}' could not be deleted due to: org.apache.kafka.common.errors."
        "GroupIdNotFoundException: The group id does not exist."
    )


def test_a_stopped_member_commits_and_leaves_its_group(
    tools: Tools, topic: str, group: str, member: Call
) -> None:
    tools.produce(topic, "one", "two")
    tools.jvm.wait_until(member, lambda: member.out == ["one", "two"])
    tools.jvm.stop(member)
    assert _committed(tools, group) == [(topic, "0", "2", "2", "0")]
    state = tools.out("kafka-consumer-groups", "--describe", "--group", group, "--state")
    assert state[-1].split()[-2:] == ["Empty", "0"]


@pytest.mark.parametrize(
    ("assignor", "strategy"),
    [
        ("RangeAssignor", "range"),
        ("RoundRobinAssignor", "roundrobin"),
        ("StickyAssignor", "sticky"),
        ("CooperativeStickyAssignor", "cooperative-sticky"),
    ],
)
def test_two_members_share_the_partitions(
    tools: Tools, group: str, assignor: str, strategy: str
) -> None:
    topic = tools.create_topic(f"shared-{strategy}", partitions=4)
    chosen = f"partition.assignment.strategy=org.apache.kafka.clients.consumer.{assignor}"
    options = ["--command-property", chosen]
    # A member learns of a rebalance by its next heartbeat, by default three seconds later.
    options += ["--command-property", "heartbeat.interval.ms=300"]

    def sizes() -> list[str]:
        said = tools.out("kafka-consumer-groups", "--describe", "--group", group, "--members")
        return [row["#PARTITIONS"] for row in table(said)]

    first = _join(tools, topic, group, *options)
    assert sizes() == ["4"]
    second = tools.start("kafka-console-consumer", f"--topic={topic}", f"--group={group}", *options)
    eventually(lambda: _is_stable(tools, group, members=2) and sizes() == ["2", "2"])
    state = tools.out("kafka-consumer-groups", "--describe", "--group", group, "--state")
    assert strategy in state[-1].split()
    tools.jvm.stop(second)
    eventually(lambda: _is_stable(tools, group) and sizes() == ["4"])
    tools.jvm.stop(first)
