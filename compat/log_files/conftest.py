"""Data that Apache Kafka has written, after a clean stop and after SIGKILL, and what is in them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")

from compat.log_files import clients, traffic
from compat.processes import eventually
from compat.targets import KafkaTarget, PykbrokerTarget, TargetUnavailable
from pykbroker.client import Connection
from pykbroker.protocol.record_batch import RecordBatch

KAFKA_SETTINGS = {
    "num.partitions": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "log.initial.task.delay.ms": "100",
    "log.cleaner.backoff.ms": "100",
}
ISOLATIONS = ("read_uncommitted", "read_committed")


@dataclass
class DataCopy:
    """A copy of a data directory.

    Attributes:
        path: Where the copy is.
        records: (topic, isolation level) -> what consumers got.
        committed: Group -> offset in `traffic.PLAIN`.
        batches: Topic -> the batches of `traffic` as they are in the log.
    """

    path: Path
    records: dict[tuple[str, str], list[clients.Read]]
    committed: dict[str, int]
    batches: dict[str, list[RecordBatch]]


@dataclass
class KafkaWritings:
    """A stopped Kafka, and its data at both of its ends."""

    kafka: KafkaTarget
    clean: DataCopy
    killed: DataCopy
    sent_at_ms: int


@pytest.fixture(scope="session")
def kafka_writings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaWritings]:
    try:
        kafka = KafkaTarget(KAFKA_SETTINGS)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    now_ms = traffic.now_ms()
    with kafka:
        batches, committed = _write(kafka, now_ms)
        records = _read(kafka)
        kafka.stop()
        copy = tmp_path_factory.mktemp("kafka") / "clean"
        shutil.copytree(kafka.data_dir, copy)
        clean = DataCopy(copy, records, committed, batches)
        kafka.restart()
        clients.fill_compacted(kafka)
        records = _read(kafka)
        kafka.kill()
        copy = copy.with_name("killed")
        shutil.copytree(kafka.data_dir, copy)
        yield KafkaWritings(kafka, clean, DataCopy(copy, records, committed, batches), now_ms)


@pytest.fixture(scope="session")
def our_data(
    tmp_path_factory: pytest.TempPathFactory, kafka_writings: KafkaWritings
) -> dict[str, DataCopy]:
    """Ours, of the same batches: "clean" after a stop, "killed" after SIGKILL."""
    ends = {}
    settings = {"offsets.topic.num.partitions": "5", "transaction.state.log.num.partitions": "5"}
    with PykbrokerTarget(settings) as broker:
        batches = traffic.send_all(broker, kafka_writings.sent_at_ms)
        connection = Connection(broker.host, broker.port)
        traffic.create_topics(connection, {clients.TRANSACTIONS: traffic.SMALL_SEGMENTS})
        connection.close()
        clients.Transactions(broker).write()
        committed = clients.commit_groups(broker, traffic.PLAIN)
        records = {
            (topic, isolation): clients.read_all(broker, topic, isolation)
            for topic in (traffic.PLAIN, traffic.PRODUCERS, clients.TRANSACTIONS)
            for isolation in ISOLATIONS
        }
        copies = tmp_path_factory.mktemp("ours")
        broker.stop()
        for end in ("clean", "killed"):
            shutil.copytree(broker.data_dir, copies / end)
            ends[end] = DataCopy(copies / end, records, committed, batches)
            if end == "clean":
                broker.restart()
                clients.commit_groups(broker, traffic.PLAIN)
                broker.kill()
    return ends


def _write(kafka: KafkaTarget, now_ms: int) -> tuple[dict[str, list[RecordBatch]], dict[str, int]]:
    batches = traffic.send_all(kafka, now_ms)
    connection = Connection(kafka.host, kafka.port)
    compaction = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
    traffic.create_topics(
        connection,
        {
            clients.TRANSACTIONS: traffic.SMALL_SEGMENTS,
            clients.COMPACTED: {**traffic.SMALL_SEGMENTS, **compaction},
        },
    )
    connection.close()
    clients.fill_compacted(kafka)
    clients.Transactions(kafka).write()
    committed = clients.commit_groups(kafka, traffic.PLAIN)
    cleaned = kafka.data_dir / "cleaner-offset-checkpoint"
    eventually(lambda: clients.COMPACTED in cleaned.read_text(), what="a compaction")
    return batches, committed


def _read(kafka: KafkaTarget) -> dict[tuple[str, str], list[clients.Read]]:
    topics = (traffic.PLAIN, traffic.PRODUCERS, clients.TRANSACTIONS, clients.COMPACTED)
    return {
        (topic, isolation): clients.read_all(kafka, topic, isolation)
        for topic in topics
        for isolation in ISOLATIONS
    }
