from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pykbroker.client import Client, check
from pykbroker.commands.consume import consume
from pykbroker.commands.groups import groups
from pykbroker.commands.produce import produce
from pykbroker.commands.topics import topics
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pykbroker.protocol.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
    TopicPartition,
)
from pykbroker.protocol.messages.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from pykbroker.protocol.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)
from tests.harness.running_server import a_running_server

MEMBER_ID_REQUIRED = 79


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data"), num_partitions="2") as address:
        yield address


@pytest.fixture(scope="module")
def steady(bootstrap: str) -> str:
    """An empty group that tests leave as it is."""
    read_with(bootstrap, "steady", "steady-group")
    return "steady-group"


def run(bootstrap: str, *arguments: str) -> Result:
    return CliRunner().invoke(groups, [*arguments, "--bootstrap", bootstrap])


def lines(bootstrap: str, *arguments: str) -> list[str]:
    result = run(bootstrap, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def read_with(bootstrap: str, topic: str, group: str) -> None:
    """Leave a group behind that has read two of three records of partition 0."""
    runner = CliRunner()
    runner.invoke(produce, [topic, "-p", "0", "-b", bootstrap], input="1\n2\n3\n")
    arguments = [topic, "-G", group, "--from-beginning", "-c", "2", "-b", bootstrap]
    assert runner.invoke(consume, arguments).output == "1\n2\n"


def join(client: Client, group: str, topic: str, assignment: bytes | None = None) -> None:
    """Become the only member of a group, with all of partition 1."""

    def ask(node: int) -> None:
        member_id = ""
        while True:
            request = JoinGroupRequest(
                group_id=group,
                session_timeout_ms=10_000,
                rebalance_timeout_ms=10_000,
                member_id=member_id,
                protocol_type="consumer",
                protocols=[JoinGroupRequestProtocol(name="range", metadata=b"\0\0")],
            )
            joined = client.call(request, JoinGroupResponse, node)
            member_id = joined.member_id
            if joined.error_code != MEMBER_ID_REQUIRED:
                break
        owned = ConsumerProtocolAssignment([TopicPartition(topic, [1])])
        data = assignment
        if data is None:
            data = b"\0\0" + b"".join(bytes(part) for part in owned.encode(0))
        sync = SyncGroupRequest(
            group_id=group,
            generation_id=joined.generation_id,
            member_id=member_id,
            protocol_type="consumer",
            protocol_name="range",
            assignments=[SyncGroupRequestAssignment(member_id=member_id, assignment=data)],
        )
        assert client.call(sync, SyncGroupResponse, node).error_code == 0

    client.at_coordinator(group, ask)


def test_groups_are_listed_with_their_state(bootstrap: str) -> None:
    read_with(bootstrap, "listed", "listed-group")

    header, *rows = lines(bootstrap, "list")

    assert header.split() == ["GROUP", "STATE", "TYPE", "PROTOCOL"]
    assert ["listed-group", "Empty", "classic"] in [row.split() for row in rows]


@pytest.mark.parametrize(
    ("filters", "is_listed"),
    [
        (("--state", "empty"), True),
        (("--state", "Stable", "--state", "Empty"), True),
        (("--state", "Stable"), False),
        (("--type", "Classic"), True),
        (("--type", "consumer"), False),
    ],
)
def test_groups_are_listed_by_state_and_type(
    bootstrap: str, steady: str, filters: tuple[str, ...], is_listed: bool
) -> None:
    rows = [row.split()[0] for row in lines(bootstrap, "list", *filters)]

    assert (steady in rows) is is_listed


def test_a_description_shows_how_far_each_partition_is_read(bootstrap: str) -> None:
    read_with(bootstrap, "lagging", "lagging-group")

    title, header, first, second = lines(bootstrap, "describe", "lagging-group")

    assert title == "group lagging-group  state Empty  type classic  assignor -  members 0  lag 1"
    assert header.split() == ["TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER"]
    assert first.split() == ["lagging", "0", "2", "3", "1", "-"]
    assert second.split() == ["lagging", "1", "0", "0", "0", "-"]


def test_a_description_shows_which_member_reads_a_partition(bootstrap: str) -> None:
    read_with(bootstrap, "owned", "owned-group")
    with Client(bootstrap) as client:
        join(client, "owned-group", "owned")

        title, header, member, _, first, second = lines(bootstrap, "describe", "owned-group")
        refused = run(bootstrap, "delete", "owned-group")

    assert title == (
        "group owned-group  state Stable  type classic  assignor range  members 1  lag 1"
    )
    assert header.split() == ["MEMBER", "CLIENT", "HOST", "INSTANCE", "PARTITIONS"]
    member_id, *about = member.split()
    assert about == ["pykbroker-cli", "/127.0.0.1", "-", "owned:1"]
    assert first.split()[-1] == "-"
    assert second.split()[-1] == member_id
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: NON_EMPTY_GROUP: group owned-group has members; stop")


def test_all_groups_are_described_or_those_that_are_named(bootstrap: str) -> None:
    read_with(bootstrap, "every", "every-group")

    assert any(
        line.startswith("group every-group ") for line in lines(bootstrap, "describe", "--all")
    )

    for arguments in ([], ["every-group", "--all"]):
        result = run(bootstrap, "describe", *arguments)
        assert result.exit_code == 2
        assert "name groups, or give --all" in result.output


def test_a_group_of_the_consumer_protocol_is_described_with_its_members(bootstrap: str) -> None:
    CliRunner().invoke(topics, ["create", "modern", "-b", bootstrap])
    request = ConsumerGroupHeartbeatRequest(
        group_id="modern-group",
        member_id="a-member",
        rebalance_timeout_ms=10_000,
        subscribed_topic_names=["modern"],
        topic_partitions=[],
    )
    with Client(bootstrap) as client:

        def beat(node: int) -> None:
            check(client.call(request, ConsumerGroupHeartbeatResponse, node).error_code)

        client.at_coordinator("modern-group", beat)

    title, _, member, *partitions = lines(bootstrap, "describe", "modern-group")

    assert "type consumer  assignor uniform  members 1" in title
    assert member.split()[0] == "a-member"
    assert [row.split()[-1] for row in partitions[1:]] == ["a-member"] * (len(partitions) - 1)
    assert any("modern-group" in row for row in lines(bootstrap, "list", "--type", "consumer"))


def test_an_assignment_that_cannot_be_read_counts_as_none(bootstrap: str) -> None:
    with Client(bootstrap) as client:
        join(client, "strange-group", "any", assignment=b"\0\0\xff")

        title, _, member = lines(bootstrap, "describe", "strange-group")

        assert title.split()[-4:] == ["members", "1", "lag", "-"]
        assert member.split()[-1] == "-"


def test_partitions_that_were_never_committed_or_never_made_are_shown(bootstrap: str) -> None:
    CliRunner().invoke(topics, ["create", "unread", "-b", bootstrap])
    with Client(bootstrap) as client:
        for topic, end in (("unread", "0"), ("never-made", "-")):
            join(client, f"group-of-{topic}", topic)

            *_, row = lines(bootstrap, "describe", f"group-of-{topic}")

            assert row.split()[:5] == [topic, "1", "-", end, "-"]


def test_groups_are_deleted_with_their_offsets(bootstrap: str) -> None:
    read_with(bootstrap, "gone", "gone-group")

    assert lines(bootstrap, "delete", "gone-group") == ["deleted gone-group"]

    for command in ("describe", "delete"):
        result = run(bootstrap, command, "gone-group")
        assert result.exit_code == 1
        assert result.output.startswith(
            "Error: GROUP_ID_NOT_FOUND: group gone-group does not exist; 'pykbroker groups list'"
        )


def reset(bootstrap: str, group: str, *arguments: str) -> Result:
    return run(bootstrap, "reset-offsets", group, *arguments)


def new_offsets(result: Result) -> list[str]:
    """The column NEW of what a reset prints."""
    assert result.exit_code == 0, result.output
    return [line.split()[3] for line in result.output.splitlines()[1:-1]]


def test_a_reset_shows_what_it_would_do_and_does_it_when_told(bootstrap: str) -> None:
    read_with(bootstrap, "again", "again-group")

    shown = reset(bootstrap, "again-group", "--all-topics", "--to-earliest")

    assert [line.split() for line in shown.output.splitlines()] == [
        ["TOPIC", "PARTITION", "OFFSET", "NEW", "END", "LAG"],
        ["again", "0", "2", "0", "3", "3"],
        ["again", "1", "0", "0", "0", "0"],
        ["nothing", "was", "changed;", "--execute", "does", "it"],
    ]
    assert lines(bootstrap, "describe", "again-group")[2].split()[2] == "2"

    done = reset(bootstrap, "again-group", "-t", "again:0", "--to-earliest", "--execute")

    assert done.output.splitlines()[-1] == "reset 1 partitions of again-group"
    assert lines(bootstrap, "describe", "again-group")[2].split()[2] == "0"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (["--to-latest"], "3"),
        (["--to-current"], "2"),
        (["--to-offset", "1"], "1"),
        (["--to-offset", "100"], "3"),
        (["--shift-by", "-1"], "1"),
        (["--shift-by", "5"], "3"),
        (["--to-datetime", "2020-01-01T00:00:00"], "0"),
        (["--to-datetime", "2100-01-01T00:00:00+02:00"], "3"),
        (["--by-duration", "PT1H"], "0"),
        (["--by-duration", "0s"], "3"),
    ],
)
def test_offsets_are_reset_to_each_place(bootstrap: str, place: list[str], expected: str) -> None:
    topic = f"to-{'-'.join(place).strip('-').replace(':', '-').replace('+', '-')}"
    read_with(bootstrap, topic, f"{topic}-group")

    moved = reset(bootstrap, f"{topic}-group", "-t", f"{topic}:0", *place, "--execute")

    assert new_offsets(moved) == [expected]


def test_a_group_that_does_not_exist_is_made_only_when_that_is_wanted(bootstrap: str) -> None:
    read_with(bootstrap, "source", "source-group")
    arguments = ["fresh-group", "-t", "source", "--to-latest", "--execute"]

    refused = reset(bootstrap, *arguments)
    made = reset(bootstrap, *arguments, "--create")

    assert refused.exit_code == 1
    assert refused.output == (
        "Error: GROUP_ID_NOT_FOUND: group fresh-group does not exist; 'pykbroker groups list' "
        "names those that do; --create makes it\n"
    )
    assert new_offsets(made) == ["3", "0"]


def test_a_group_with_members_is_not_reset(bootstrap: str) -> None:
    read_with(bootstrap, "busy", "busy-group")
    with Client(bootstrap) as client:
        join(client, "busy-group", "busy")
        result = reset(bootstrap, "busy-group", "--all-topics", "--to-earliest", "--execute")

    assert result.exit_code == 1
    assert "has members, which would commit over the new offsets; stop them first" in result.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (["--to-earliest"], 2, "name topics with --topic, or give --all-topics"),
        (["-t", "steady", "--all-topics", "--to-earliest"], 2, "name topics with --topic, or"),
        (["-t", "steady"], 2, "give exactly one of --to-earliest, --to-latest"),
        (["-t", "steady", "--to-latest", "--to-offset", "0"], 2, "give exactly one of"),
        (["-t", "steady:x", "--to-latest"], 1, "steady:x: expected TOPIC or TOPIC:0,1,2"),
        (["-t", "steady:7", "--to-latest"], 1, "steady has no partition 7"),
        (["-t", "nowhere", "--to-latest"], 1, "UNKNOWN_TOPIC_OR_PARTITION: topic nowhere"),
        (["-t", "steady", "--to-datetime", "soon"], 1, "expected a time such as"),
        (["-t", "steady", "--by-duration", "long"], 1, "expected a duration such as"),
    ],
)
def test_a_reset_that_cannot_be_understood_says_why(
    bootstrap: str, steady: str, arguments: list[str], exit_code: int, reason: str
) -> None:
    result = reset(bootstrap, steady, *arguments)

    assert result.exit_code == exit_code, result.output
    assert reason in result.output


def test_a_partition_without_an_offset_cannot_be_shifted(bootstrap: str) -> None:
    read_with(bootstrap, "shifted", "shifted-group")
    CliRunner().invoke(topics, ["create", "unseen", "-b", bootstrap])

    result = reset(bootstrap, "shifted-group", "-t", "unseen", "--shift-by", "1")

    assert result.exit_code == 1
    assert "unseen:0 has no committed offset to start from" in result.output


def test_a_group_without_offsets_needs_topics_to_be_named(bootstrap: str) -> None:
    result = reset(bootstrap, "nothing-group", "--all-topics", "--to-latest", "--create")

    assert result.exit_code == 1
    assert "group nothing-group has no committed offsets; name topics with --topic" in result.output
