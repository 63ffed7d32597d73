from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pykbroker.client import Client
from pykbroker.commands.consume import consume
from pykbroker.commands.groups import groups
from pykbroker.commands.produce import produce
from pykbroker.commands.topics import topics
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

    assert header.split() == ["GROUP", "STATE", "PROTOCOL"]
    assert ["listed-group", "Empty"] in [row.split() for row in rows]


def test_a_description_shows_how_far_each_partition_is_read(bootstrap: str) -> None:
    read_with(bootstrap, "lagging", "lagging-group")

    title, header, first, second = lines(bootstrap, "describe", "lagging-group")

    assert title == "group lagging-group  state Empty  assignor -"
    assert header.split() == ["TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER"]
    assert first.split() == ["lagging", "0", "2", "3", "1", "-"]
    assert second.split() == ["lagging", "1", "0", "0", "0", "-"]


def test_a_description_shows_which_member_reads_a_partition(bootstrap: str) -> None:
    read_with(bootstrap, "owned", "owned-group")
    with Client(bootstrap) as client:
        join(client, "owned-group", "owned")

        title, _, first, second = lines(bootstrap, "describe", "owned-group")
        refused = run(bootstrap, "delete", "owned-group")

    assert title == "group owned-group  state Stable  assignor range"
    assert first.split()[-1] == "-"
    assert second.split()[-2:] == ["pykbroker-cli", "/127.0.0.1"]
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: NON_EMPTY_GROUP: ")


def test_an_assignment_that_cannot_be_read_counts_as_none(bootstrap: str) -> None:
    with Client(bootstrap) as client:
        join(client, "strange-group", "any", assignment=b"\0\0\xff")

        assert lines(bootstrap, "describe", "strange-group") == [
            "group strange-group  state Stable  assignor range"
        ]


def test_partitions_that_were_never_committed_or_never_made_are_shown(bootstrap: str) -> None:
    CliRunner().invoke(topics, ["create", "unread", "-b", bootstrap])
    with Client(bootstrap) as client:
        for topic, end in (("unread", "0"), ("never-made", "-")):
            join(client, f"group-of-{topic}", topic)

            _, _, row = lines(bootstrap, "describe", f"group-of-{topic}")

            assert row.split()[:5] == [topic, "1", "-", end, "-"]


def test_groups_are_deleted_with_their_offsets(bootstrap: str) -> None:
    read_with(bootstrap, "gone", "gone-group")

    assert lines(bootstrap, "delete", "gone-group") == ["deleted gone-group"]

    result = run(bootstrap, "describe", "gone-group")
    assert result.exit_code == 1
    assert result.output.startswith("Error: GROUP_ID_NOT_FOUND: ")
