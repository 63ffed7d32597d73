"""kafka-consumer-groups: what it can be asked of many groups, and its rarer options."""

from pathlib import Path

import pytest

from compat.apache_tools.tools import Tools, table
from compat.jvm import Call
from compat.processes import eventually


@pytest.fixture
def two(tools: Tools, topic: str, group: str) -> tuple[str, str]:
    """Two groups without members that have read to offset 1 of 3."""
    tools.produce(topic, *"abc")
    names = (f"{group}-one", f"{group}-two")
    for each in names:
        groups(tools, "--reset-offsets", "--group", each, "--topic", topic, "--to-offset", "1",
               "--execute")  # fmt: skip
    return names


def groups(tools: Tools, *options: str) -> list[str]:
    return tools.out("kafka-consumer-groups", *options)


def refused(tools: Tools, *options: str) -> Call:
    """What is said where the tool does not understand the command line."""
    return tools.run("kafka-consumer-groups", *options, status=1)


def of(names: tuple[str, str], lines: list[str]) -> list[list[str]]:
    """The rows that begin with one of these groups, as words."""
    return sorted(line.split() for line in lines if line.split()[0] in names)


def test_all_groups_are_described_in_every_view(
    tools: Tools, topic: str, two: tuple[str, str]
) -> None:
    offsets = of(two, groups(tools, "--describe", "--all-groups", "--offsets"))
    assert offsets == [[each, topic, "0", "1", "3", "2", "-", "-", "-"] for each in two]
    states = of(two, groups(tools, "--describe", "--all-groups", "--state"))
    assert [row[0] for row in states] == list(two)
    assert [row[-2:] for row in states] == [["Empty", "0"]] * 2
    assert of(two, groups(tools, "--describe", "--all-groups", "--members")) == []


def test_offsets_are_described_with_all_there_is(
    tools: Tools, topic: str, two: tuple[str, str]
) -> None:
    said = groups(tools, "--describe", "--group", two[0], "--offsets", "--verbose")
    (row,) = table(said)
    assert (row["GROUP"], row["TOPIC"], row["LEADER-EPOCH"]) == (two[0], topic, "-")
    (row,) = table(groups(tools, "--describe", "--group", two[0], "--state", "--verbose"))
    assert row["STATE"] == "Empty"
    soon = groups(tools, "--describe", "--group", two[0], "--timeout", "20000")
    assert of(two, soon)[0][:4] == [two[0], topic, "0", "1"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--state", "Stable,Empty"], 2),
        (["--state", "stable"], 0),
        (["--type", "classic"], 2),
        (["--type", "consumer"], 0),
        (["--type", "classic,consumer", "--state", "empty"], 2),
    ],
    ids=lambda value: " ".join(value).replace("--", "") if isinstance(value, list) else None,
)
def test_groups_are_listed_by_several_states_and_types(
    tools: Tools, two: tuple[str, str], filters: list[str], count: int
) -> None:
    assert len(of(two, groups(tools, "--list", *filters))) == count


def test_states_and_types_that_there_are_not_are_refused(tools: Tools) -> None:
    said = refused(tools, "--list", "--state", "Sleeping")
    assert "Invalid state list 'Sleeping'" in "\n".join(said.out + said.err)
    said = refused(tools, "--list", "--type", "other")
    assert "Invalid types list 'other'" in "\n".join(said.out + said.err)


def test_offsets_of_two_groups_are_exported_and_read_from_a_file(
    tools: Tools, topic: str, two: tuple[str, str], tmp_path: Path
) -> None:
    which = ["--group", two[0], "--group", two[1], "--all-topics"]
    lines = groups(tools, "--reset-offsets", *which, "--to-latest", "--dry-run", "--export")
    assert sorted(line.replace('"', "") for line in lines) == [
        f"{each},{topic},0,3" for each in two
    ]
    plan = tmp_path / "plan.csv"
    plan.write_text("".join(f"{line}\n" for line in lines))

    said = groups(tools, "--reset-offsets", *which[:4], "--from-file", str(plan), "--execute")

    assert of(two, said) == [[each, topic, "0", "3"] for each in two]
    offsets = of(two, groups(tools, "--describe", "--all-groups"))
    assert [row[3] for row in offsets] == ["3", "3"]


def test_some_partitions_of_several_topics_are_reset(
    tools: Tools, topic: str, two: tuple[str, str]
) -> None:
    other = tools.create_topic(f"{topic}-other", partitions=3)
    said = groups(
        tools, "--reset-offsets", "--group", two[0], "--topic", topic, "--topic", f"{other}:0,2",
        "--to-earliest", "--execute",
    )  # fmt: skip
    assert of(two, said) == [
        [two[0], topic, "0", "0"], [two[0], other, "0", "0"], [two[0], other, "2", "0"],
    ]  # fmt: skip


def test_offsets_of_a_whole_topic_are_deleted(
    tools: Tools, topic: str, two: tuple[str, str]
) -> None:
    said = groups(tools, "--delete-offsets", "--group", two[0], "--topic", topic)
    assert table(said[1:]) == [{"TOPIC": topic, "PARTITION": "0", "STATUS": "Successful"}]
    assert [row[0] for row in of(two, groups(tools, "--describe", "--all-groups"))] == [two[1]]


def test_several_groups_are_deleted_at_once(tools: Tools, two: tuple[str, str]) -> None:
    (said,) = groups(tools, "--delete", "--group", two[0], "--group", two[1])
    assert said.startswith("Deletion of requested consumer groups (")
    assert said.endswith(") was successful.")
    assert of(two, groups(tools, "--list")) == []


def test_all_groups_are_deleted(tools: Tools, two: tuple[str, str]) -> None:
    groups(tools, "--delete", "--all-groups")
    assert groups(tools, "--list") == []


def test_a_member_of_the_consumer_protocol_is_described(
    tools: Tools, topic: str, group: str
) -> None:
    options = ["--command-property", "group.protocol=consumer"]
    member = tools.start("kafka-console-consumer", f"--topic={topic}", f"--group={group}", *options)

    def rows(*view: str) -> list[dict[str, str]]:
        return table(groups(tools, "--describe", "--group", group, *view))

    eventually(lambda: [row["STATE"] for row in rows("--state")] == ["Stable"])
    (state,) = rows("--state", "--verbose")
    assert (state["ASSIGNMENT-STRATEGY"], state["#MEMBERS"]) == ("uniform", "1")
    assert int(state["GROUP-EPOCH"]) == int(state["TARGET-ASSIGNMENT-EPOCH"]) > 0
    (one,) = rows("--members", "--verbose")
    assert (one["CURRENT-ASSIGNMENT"], one["TARGET-ASSIGNMENT"]) == (f"{topic}:0", f"{topic}:0")
    assert one["CURRENT-EPOCH"] == one["TARGET-EPOCH"] == state["GROUP-EPOCH"]
    assert f"{group} Consumer" in [
        " ".join(line.split()[:2]) for line in groups(tools, "--list", "--type", "consumer")
    ]
    refusal = tools.run("kafka-consumer-groups", "--delete", "--group", group)
    assert "GroupNotEmptyException" in refusal.out[-1]
    tools.jvm.stop(member)
    eventually(lambda: [row["STATE"] for row in rows("--state")] == ["Empty"])


def test_a_regular_expression_is_checked_without_a_broker(tools: Tools) -> None:
    call = tools.run("kafka-consumer-groups", "--validate-regex", "orders-.*")
    assert call.out == ["The regular expression `orders-.*` is valid."]
    call = tools.run("kafka-consumer-groups", "--validate-regex", "orders-(")
    assert call.out[0].startswith("The regular expression `orders-(` is invalid")
