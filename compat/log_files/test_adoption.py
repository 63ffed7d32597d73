"""What Apache Kafka wrote is adopted: records, producers, transactions, groups."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.log_files import clients, traffic
from compat.log_files.conftest import DataCopy, KafkaWritings
from compat.targets import PykbrokerTarget
from pykbroker.client import Connection


def put_partitions(data: DataCopy, broker: PykbrokerTarget) -> None:
    """Copy the partitions, and nothing else, into a data directory that has been used before."""
    broker.start()
    broker.stop()
    for path in data.path.glob("*-*"):
        if path.is_dir() and path.name != "__cluster_metadata-0":
            shutil.copytree(path, broker.data_dir / path.name)


def put_everything(data: DataCopy, broker: PykbrokerTarget) -> None:
    """Start from all that Kafka left, its own metadata included."""
    shutil.copytree(data.path, broker.data_dir)


@pytest.fixture(
    scope="module",
    params=[
        (put_partitions, "clean"),
        (put_everything, "clean"),
        (put_partitions, "killed"),
        (put_everything, "killed"),
    ],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def adopted(
    request: pytest.FixtureRequest, kafka_writings: KafkaWritings
) -> Iterator[tuple[DataCopy, PykbrokerTarget]]:
    """A broker that has found what Kafka wrote."""
    put, end = request.param
    data: DataCopy = getattr(kafka_writings, end)
    broker = PykbrokerTarget({"offsets.topic.num.partitions": "5"})
    put(data, broker)
    with broker:
        yield data, broker


def test_every_record_is_there(adopted: tuple[DataCopy, PykbrokerTarget]) -> None:
    data, broker = adopted

    for (topic, isolation), records in data.records.items():
        assert records, topic
        found = clients.read_all(broker, topic, isolation)
        if topic == clients.COMPACTED and data.path.name == "killed":
            # Kafka's cleaner may have been at work between the read and the kill.
            assert set(found) <= set(records)
            assert clients.newest(found) == clients.newest(records)
        else:
            assert found == records, (topic, isolation)


def test_an_aborted_and_an_open_transaction_are_hidden(
    adopted: tuple[DataCopy, PykbrokerTarget],
) -> None:
    data, _ = adopted
    values = [r.value or b"" for r in data.records[clients.TRANSACTIONS, "read_committed"]]
    everything = [r.value or b"" for r in data.records[clients.TRANSACTIONS, "read_uncommitted"]]

    assert {value.split()[1] for value in values} == {b"commit"}
    assert everything[-1] == b"behind the open one"


def test_groups_go_on_where_they_were(adopted: tuple[DataCopy, PykbrokerTarget]) -> None:
    data, broker = adopted

    for group, offset in data.committed.items():
        found = clients.committed_of(broker, group, traffic.PLAIN)
        assert found == (offset, f"by {group}")


def test_a_retry_of_a_producer_is_answered_and_not_appended(
    adopted: tuple[DataCopy, PykbrokerTarget],
) -> None:
    data, broker = adopted
    connection = Connection(broker.host, broker.port)
    written = data.batches[traffic.PRODUCERS]

    # The last five of each producer are remembered.
    for batch in written[-9:]:
        assert traffic.produce_again(connection, traffic.PRODUCERS, batch) == batch.base_offset
    connection.close()

    assert clients.read_all(broker, traffic.PRODUCERS)[-1].offset == written[-1].last_offset


def test_what_kafka_wrote_and_we_do_not_use_is_left_alone(
    adopted: tuple[DataCopy, PykbrokerTarget],
) -> None:
    data, broker = adopted

    def contents(directory: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}

    kept = ["__cluster_metadata-0"] if (broker.data_dir / "__cluster_metadata-0").exists() else []
    for name in kept:
        assert contents(broker.data_dir / name) == contents(data.path / name)
    assert not list(broker.data_dir.glob("*-stray"))
    for path in data.path.glob("__transaction_state-*/*.log"):
        assert (broker.data_dir / path.parent.name / path.name).read_bytes() == path.read_bytes()
