from pathlib import Path

from click.testing import CliRunner

from pykbroker.commands.export import export
from pykbroker.seeding.lines import SeedRecord, SeedTopic, parse
from pykbroker.testing import Broker


def test_a_topic_is_written_as_a_broker_is_seeded(tmp_path: Path) -> None:
    file = tmp_path / "seed.jsonl"
    with Broker() as broker:
        broker.create_topic("t", partitions=2, configs={"retention.ms": -1})
        broker.produce("t", "one", key=b"\xff", partition=1, timestamp_ms=5, headers={"h": "v"})
        broker.produce("t", None, key="k", partition=0, timestamp_ms=6)
        broker.create_topic("empty")
        arguments = ["t", "empty", "-b", broker.bootstrap_servers]
        result = CliRunner().invoke(export, [*arguments, "-o", str(file)])
        assert result.exit_code == 0, result.output
        printed = CliRunner().invoke(export, arguments)
    assert printed.stdout_bytes == file.read_bytes()
    seed = parse(file.read_text())
    assert seed.topics == {
        "t": SeedTopic("t", 2, {"retention.ms": "-1"}),
        "empty": SeedTopic("empty", 1),
    }
    assert seed.records == [
        SeedRecord("t", 0, b"k", None, (), 6),
        SeedRecord("t", 1, b"\xff", b"one", (("h", b"v"),), 5),
    ]


def test_a_topic_that_is_not_there_is_told() -> None:
    with Broker() as broker:
        result = CliRunner().invoke(export, ["none", "-b", broker.bootstrap_servers])
    assert result.exit_code == 1
    assert "UNKNOWN_TOPIC_OR_PARTITION" in result.stderr
