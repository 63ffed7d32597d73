from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pykbroker.commands.produce import produce
from pykbroker.commands.topics import topics
from tests.harness.running_server import a_running_server


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data"), num_partitions="2") as address:
        yield address


def run(bootstrap: str, *arguments: str) -> Result:
    return CliRunner().invoke(topics, [*arguments, "--bootstrap", bootstrap])


def lines(bootstrap: str, *arguments: str) -> list[str]:
    result = run(bootstrap, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_topics_are_created_listed_and_deleted(bootstrap: str) -> None:
    assert lines(bootstrap, "create", "listed-b", "listed-a") == [
        "created listed-b",
        "created listed-a",
    ]
    assert [name for name in lines(bootstrap, "list") if name.startswith("listed")] == [
        "listed-a",
        "listed-b",
    ]
    assert lines(bootstrap, "delete", "listed-a") == ["deleted listed-a"]
    assert "listed-a" not in lines(bootstrap, "list")


def test_a_description_holds_settings_and_partitions(bootstrap: str) -> None:
    lines(bootstrap, "create", "described", "-p", "3", "-c", "retention.ms=1000")

    title, setting, header, *rows = lines(bootstrap, "describe", "described")

    assert title.startswith("topic described  id ")
    assert title.endswith("partitions 3")
    assert setting == "  retention.ms=1000"
    assert header.split() == ["PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]
    assert {tuple(row.split()[-2:]) for row in rows} == {("0", "0")}


def test_a_partition_whose_log_is_damaged_does_not_hide_the_others(tmp_path: Path) -> None:
    with a_running_server(tmp_path, pykbroker_fsync="always") as bootstrap:
        lines(bootstrap, "create", "t", "-p", "2")
        for partition in ("0", "1"):
            arguments = ["t", "-p", partition, "-b", bootstrap]
            assert CliRunner().invoke(produce, arguments, input="a\nb\n").exit_code == 0
    log = tmp_path / "t-0" / "00000000000000000000.log"
    log.write_bytes(log.read_bytes()[:-1])

    with a_running_server(tmp_path, pykbroker_fsync="always") as bootstrap:
        rows = lines(bootstrap, "describe", "t")[-2:]

    assert [row.split()[-2:] for row in rows] == [
        ["KAFKA_STORAGE_ERROR", "KAFKA_STORAGE_ERROR"],
        ["0", "2"],
    ]


def test_all_topics_are_described_without_a_name(bootstrap: str) -> None:
    lines(bootstrap, "create", "one-of-many")

    assert any(line.startswith("topic one-of-many ") for line in lines(bootstrap, "describe"))


def test_topics_are_altered(bootstrap: str) -> None:
    lines(bootstrap, "create", "altered", "-c", "retention.ms=1000", "-c", "segment.ms=99000")

    altered = lines(
        bootstrap, "alter", "altered", "-p", "4", "-c", "max.message.bytes=2000",
        "--delete-config", "retention.ms",
    )  # fmt: skip

    assert altered == ["altered altered"]
    title, *settings = lines(bootstrap, "describe", "altered")[:3]
    assert title.endswith("partitions 4")
    assert settings == ["  max.message.bytes=2000", "  segment.ms=99000"]


def test_an_alteration_of_nothing_is_refused(bootstrap: str) -> None:
    result = run(bootstrap, "alter", "x")

    assert result.exit_code == 2
    assert "nothing to alter" in result.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["create", "bad/name"], "INVALID_TOPIC_EXCEPTION"),
        (["create", "x", "-r", "7"], "INVALID_REPLICATION_FACTOR"),
        (["create", "x", "-c", "retention.ms=soon"], "INVALID_CONFIG"),
        (["describe", "absent"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["delete", "absent"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["alter", "absent", "-p", "9"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["alter", "absent", "-c", "retention.ms=5"], "UNKNOWN_TOPIC_OR_PARTITION"),
    ],
)
def test_what_the_broker_refuses_is_told_in_one_line(
    bootstrap: str, arguments: list[str], error: str
) -> None:
    result = run(bootstrap, *arguments)

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {error}: ")
    assert len(result.output.splitlines()) == 1
