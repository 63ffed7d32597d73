"""kafka-transactions, the transactional message copier, and loads that are transactions."""

import json
import time
from contextlib import closing

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import Producer

from compat.apache_tools.tools import Tools, table
from compat.differential.wire import Connection
from compat.jvm import Call
from compat.processes import eventually
from compat.targets import Target
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

TRANSACTIONS = "org.apache.kafka.tools.TransactionsCommand"
COPIER = "org.apache.kafka.tools.TransactionalMessageCopier"
LONG_MS = 600_000
VERIFICATION = "transaction.partition.verification.enable"
AN_HOUR_MS = 3_600_000
TIMEOUT_MS = 30_000
NEWEST_PRODUCE_THAT_ADDS_NOTHING = 11


@pytest.fixture
def opened(fresh_broker: Target, topic: str) -> Producer:
    """A producer called like the topic, with a transaction that has a record in it."""
    producer = Producer(
        {
            "bootstrap.servers": fresh_broker.address,
            "transactional.id": topic,
            "transaction.timeout.ms": LONG_MS,
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    assert producer.flush(30) == 0
    return producer


def transactions(tools: Tools, *arguments: str) -> list[dict[str, str]]:
    """What kafka-transactions prints as a table."""
    return table(ask(tools, *arguments).out)


def ask(tools: Tools, *arguments: str) -> Call:
    """Run kafka-transactions, which wants the broker's address first."""
    call = tools.jvm.run(TRANSACTIONS, "--bootstrap-server", tools.address, *arguments)
    assert call.status == 0, call.describe()
    return call


def listed(tools: Tools, name: str, *options: str) -> list[str]:
    """The states in which a transactional id is in the list."""
    return [
        row["TransactionState"]
        for row in transactions(tools, "list", *options)
        if row["TransactionalId"] == name
    ]


def test_transactions_are_listed(tools: Tools, topic: str, opened: Producer) -> None:
    assert listed(tools, topic) == ["Ongoing"]
    assert listed(tools, topic, "--duration-filter", "0") == ["Ongoing"]
    assert listed(tools, topic, "--duration-filter", str(LONG_MS)) == []
    assert listed(tools, topic, "--transactional-id-pattern", f"{topic}.*") == ["Ongoing"]
    assert listed(tools, topic, "--transactional-id-pattern", "nothing") == []
    opened.commit_transaction(30)
    eventually(lambda: listed(tools, topic) == ["CompleteCommit"])
    opened.begin_transaction()
    opened.produce(topic, b"again", partition=0)
    assert opened.flush(30) == 0
    opened.abort_transaction(30)
    eventually(lambda: listed(tools, topic) == ["CompleteAbort"])


def test_a_transaction_is_described(
    tools: Tools, topic: str, opened: Producer, fresh_broker: Target
) -> None:
    (row,) = transactions(tools, "describe", "--transactional-id", topic)
    assert row["CoordinatorId"] == "1"
    assert row["TransactionState"] == "Ongoing"
    assert row["TransactionTimeoutMs"] == str(LONG_MS)
    assert int(row["TransactionDurationMs"]) < LONG_MS
    assert row["TopicPartitions"] == f"{topic}-0"
    opened.commit_transaction(30)

    def described() -> bool:
        (row,) = transactions(tools, "describe", "--transactional-id", topic)
        return row["TransactionState"] == "CompleteCommit"

    eventually(described)
    call = tools.jvm.run(
        TRANSACTIONS, "--bootstrap-server", fresh_broker.address, "describe",
        "--transactional-id", "nobody",
    )  # fmt: skip
    assert call.status == 1
    assert "`nobody` failed because the ID could not be found" in call.describe()


def test_producers_of_a_partition_are_described(tools: Tools, topic: str, opened: Producer) -> None:
    place = ["--topic", topic, "--partition", "0"]
    (row,) = transactions(tools, "describe-producers", *place)
    assert (row["CurrentTransactionStartOffset"], row["LastSequence"]) == ("0", "0")
    assert abs(int(row["LastTimestamp"]) - time.time() * 1000) < AN_HOUR_MS
    opened.commit_transaction(30)

    def is_ended() -> bool:
        (row,) = transactions(tools, "describe-producers", *place)
        return row["CurrentTransactionStartOffset"] == "None"

    eventually(is_ended)


def test_a_transaction_is_aborted_by_its_start(tools: Tools, topic: str, opened: Producer) -> None:
    """What an administrator does where the coordinator does not."""
    options = ["--topic", topic, "--partition", "0", "--start-offset", "0"]
    ask(tools, "abort", *options)
    (row,) = transactions(tools, "describe-producers", *options[:4])
    assert row["CurrentTransactionStartOffset"] == "None"
    call = tools.run(
        "kafka-console-consumer", f"--topic={topic}", "--from-beginning", "--timeout-ms=1000",
        "--isolation-level=read_committed",
    )  # fmt: skip
    assert call.out == []
    opened.abort_transaction(30)


def test_a_transaction_that_nobody_ends_is_found_and_aborted(
    tools: Tools, topic: str, fresh_broker: Target
) -> None:
    """One that the coordinator does not know, as brokers let in before KIP-890."""
    entity = ["--entity-type", "brokers", "--entity-default"]
    tools.run("kafka-configs", "--alter", *entity, "--add-config", f"{VERIFICATION}=false")
    try:
        _leave_hanging(fresh_broker, topic)
    finally:
        tools.run("kafka-configs", "--alter", *entity, "--delete-config", VERIFICATION)
    where = ["--topic", topic, "--max-transaction-timeout", "5"]
    found = transactions(tools, "find-hanging", *where)
    assert [(row["Topic"], row["Partition"], row["StartOffset"]) for row in found] == [
        (topic, "0", "0")
    ]
    everywhere = transactions(tools, "find-hanging", "--broker-id", "1")
    assert topic in {row["Topic"] for row in everywhere}

    (row,) = found
    ask(
        tools, "abort", "--topic", topic, "--partition", "0", "--producer-id", row["ProducerId"],
        "--producer-epoch", row["ProducerEpoch"], "--coordinator-epoch", "0",
    )  # fmt: skip
    assert transactions(tools, "find-hanging", *where) == []


def _leave_hanging(broker: Target, topic: str) -> None:
    """Write a transactional batch of an hour ago, of a producer that has no coordinator."""
    connection = Connection(broker.host, broker.port)

    def is_written() -> bool:
        """The setting takes a moment to be in force."""
        init = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=TIMEOUT_MS)
        connection.write(init, InitProducerIdRequest.MAX_VERSION)
        producer_id = connection.read().producer_id
        batch = build_batch(
            [Record(0, int(time.time() * 1000) - AN_HOUR_MS, None, b"hanging")],
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            is_transactional=True,
        )
        data = PartitionProduceData(index=0, records=bytes(batch))
        request = ProduceRequest(
            transactional_id=f"hangs-{topic}",
            acks=-1,
            timeout_ms=TIMEOUT_MS,
            topic_data=[TopicProduceData(name=topic, partition_data=[data])],
        )
        connection.write(request, NEWEST_PRODUCE_THAT_ADDS_NOTHING)
        code: int = connection.read().responses[0].partition_responses[0].error_code
        return code == 0

    with closing(connection):
        eventually(is_written)


def test_the_transactional_copier(tools: Tools, topic: str, group: str) -> None:
    count = 500
    copy = tools.create_topic(f"{topic}-copy")
    tools.produce(topic, *(f"line {number}" for number in range(count)))
    call = tools.jvm.run(
        COPIER, "--broker-list", tools.address, "--input-topic", topic, "--input-partition", "0",
        "--output-topic", copy, "--max-messages", str(count), "--consumer-group", group,
        "--transaction-size", "50", "--transactional-id", topic,
    )  # fmt: skip
    assert call.status == 0, call.describe()
    last = json.loads([line for line in call.out if line.startswith("{")][-1])
    assert last["totalProcessed"] == count
    read = tools.run(
        "kafka-console-consumer", f"--topic={copy}", "--from-beginning", f"--max-messages={count}",
        "--isolation-level=read_committed",
    )  # fmt: skip
    assert read.out == [f"line {number}" for number in range(count)]


def test_a_load_of_transactions(tools: Tools, topic: str) -> None:
    call = tools.run(
        "kafka-producer-perf-test", f"--topic={topic}", "--num-records=20000",
        "--record-size=100", "--throughput=-1", f"--transactional-id={topic}",
        "--transaction-duration-ms=100",
    )  # fmt: skip
    assert call.out[-1].startswith("20000 records sent"), call.describe()
    read = tools.run(
        "kafka-consumer-perf-test", f"--topic={topic}", "--num-records=20000", "--timeout=30000",
        "--command-property", "isolation.level=read_committed",
    )  # fmt: skip
    figures = dict(zip(read.out[0].split(", "), read.out[1].split(", "), strict=True))
    assert figures["data.consumed.in.nMsg"] == "20000"


def test_readers_of_committed_records_see_no_others(
    tools: Tools, topic: str, opened: Producer
) -> None:
    opened.abort_transaction(30)
    opened.begin_transaction()
    opened.produce(topic, b"committed", partition=0)
    opened.commit_transaction(30)
    for level, lines in (
        ("read_committed", ["committed"]),
        ("read_uncommitted", ["open", "committed"]),
    ):
        call = tools.run(
            "kafka-console-consumer", f"--topic={topic}", "--from-beginning",
            f"--max-messages={len(lines)}", f"--isolation-level={level}",
        )  # fmt: skip
        assert call.out == lines
