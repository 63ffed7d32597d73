"""Kafka's scripts by their options, against a broker in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pykbroker.commands.kafka_script import kafka_script
from tests.harness.running_server import a_running_server

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ROOT / "docker" / "opt" / "kafka" / "bin"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data")) as address:
        yield address


def run(script: str, *arguments: str, text: str | None = None, status: int = 0) -> str:
    result = CliRunner().invoke(kafka_script, [script, *arguments], input=text)
    assert result.exit_code == status, result.output
    return result.output


def topics(broker: str, *arguments: str, status: int = 0) -> str:
    return run("kafka-topics", "--bootstrap-server", broker, *arguments, status=status)


def test_every_script_of_the_image_is_one_of_the_commands() -> None:
    links = {path.stem for path in SCRIPTS.iterdir() if path.is_symlink()}

    assert links == set(kafka_script.commands)


def test_a_broker_that_answers_is_told_from_one_that_does_not(broker: str) -> None:
    script = "kafka-broker-api-versions"

    assert "answered ApiVersions" in run(script, "--bootstrap-server", f"{broker}, other:9092")
    run(script, "--bootstrap-server", "127.0.0.1:1", status=1)
    run(script, "--bootstrap-server", broker, "--command-config", "/etc/client.properties")


def test_topics_come_and_go(broker: str) -> None:
    create = ["--create", "--topic", "a", "--partitions", "3", "--config", "retention.ms=5"]
    topics(broker, *create)
    described = topics(broker, "--describe", "--topic", "a")

    assert "partitions 3" in described
    assert "retention.ms=5" in described
    assert "a" in topics(broker, "--list").split()
    assert "topic a " in topics(broker, "--describe")
    assert "TOPIC_ALREADY_EXISTS" in topics(broker, *create, status=1)
    assert topics(broker, *create, "--if-not-exists") == ""
    topics(broker, "--delete", "--topic", "a")
    assert topics(broker, "--delete", "--topic", "a", "--if-exists") == ""
    topics(broker, "--create", "--topic", "b", "--if-not-exists")
    assert "a" not in topics(broker, "--list").split()


def test_records_pass_through_the_console(broker: str) -> None:
    server = ["--bootstrap-server", broker, "--topic", "records"]
    keyed = ["--property", "parse.key=true", "--property", "key.separator=:"]
    run("kafka-console-producer", *server, *keyed, text="k:v\n")
    run("kafka-console-producer", *server, text="k:w\n")
    all_there_is = ["kafka-console-consumer", *server, "--from-beginning", "--timeout-ms", "100"]

    assert set(run(*all_there_is).splitlines()[:2]) == {"v", "k:w"}
    assert "k\tv" in run(*all_there_is, "--property", "print.key=true").splitlines()
    assert len(run(*all_there_is[:-2], "--max-messages", "1").splitlines()) == 1


def test_groups_and_internal_topics_are_shown(broker: str) -> None:
    server = ["--bootstrap-server", broker]
    run("kafka-console-producer", *server, "--topic", "read", text="v\n")
    read = ["--topic", "read", "--from-beginning", "--timeout-ms", "100", "--group", "g"]
    run("kafka-console-consumer", *server, *read)

    assert "g" in run("kafka-consumer-groups", *server, "--list")
    assert "read" in run("kafka-consumer-groups", *server, "--describe", "--group", "g")
    assert "g" in run("kafka-consumer-groups", *server, "--describe", "--all-groups")
    assert "__consumer_offsets" in topics(broker, "--list")
    assert "__consumer_offsets" not in topics(broker, "--list", "--exclude-internal")


@pytest.mark.parametrize(
    "arguments",
    [
        ("kafka-topics", "--create"),
        ("kafka-topics", "--topic", "t"),
        ("kafka-consumer-groups",),
        ("kafka-consumer-groups", "--describe"),
        ("kafka-topics",),
    ],
)
def test_half_a_command_is_refused(arguments: tuple[str, ...]) -> None:
    run(*arguments, "--bootstrap-server", "127.0.0.1:1", status=2)
