from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from pykbroker.client import Client
from pykbroker.protocol.errors import KafkaError
from pykbroker.testing import Broker
from pykbroker.testing.records import Reader, make_record, payload_bytes, write


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture
def client(broker: Broker) -> Iterator[Client]:
    with Client(broker.bootstrap_servers, 10) as client:
        yield client


def test_text_is_utf_8_and_none_is_null() -> None:
    assert payload_bytes("ä") == b"\xc3\xa4"
    assert payload_bytes(b"\xff") == b"\xff"
    assert payload_bytes(None) is None

    record = make_record("v", None, {"a": "1", "b": None}, 7)

    assert (record.key, record.value, record.timestamp) == (None, b"v", 7)
    assert record.headers == (("a", b"1"), ("b", None))
    assert make_record(None, "k", None, None).timestamp > 1_700_000_000_000


def test_records_are_told_where_they_are_in_their_order(broker: Broker, client: Client) -> None:
    broker.create_topic("keyed", partitions=5)
    keys = [b"a", b"b", None, b"c", b"a", b"d"]
    records = [make_record(str(number), key, None, None) for number, key in enumerate(keys)]

    written = write(client, client.topic("keyed"), records, None)

    assert written[4].partition == written[0].partition
    assert written[2].partition == 0
    found = {(each.partition, each.offset): each.value for each in broker.records("keyed")}
    assert [found[each.partition, each.offset] for each in written] == [
        b"0", b"1", b"2", b"3", b"4", b"5",
    ]  # fmt: skip
    with pytest.raises(KafkaError, match="has no partition 5"):
        write(client, client.topic("keyed"), records, 5)


def test_keys_go_where_other_clients_send_them(broker: Broker) -> None:
    broker.create_topic("partitioned", partitions=7)
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    keys = [f"key-{number}" for number in range(20)]
    for key in keys:
        producer.produce("partitioned", "", key)
    producer.flush(10)
    theirs = {each.key: each.partition for each in broker.records("partitioned", 20)}

    for key in keys:
        assert broker.produce("partitioned", "", key=key).partition == theirs[key.encode()]


def test_a_reader_goes_on_where_it_was(broker: Broker, client: Client) -> None:
    broker.produce_many("twice", ["one", "two"])
    reader = Reader(client, client.topic("twice"), [0], is_committed=False)
    assert [record.value for record in reader.read()] == [b"one", b"two"]
    assert list(reader.read()) == []
    broker.produce_many("twice", ["three"])
    assert [record.value for record in reader.read()] == [b"three"]


def test_compressed_batches_are_read(broker: Broker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "compression.type": "zstd"})
    for _ in range(3):
        producer.produce("compressed", b"x" * 1000, headers=[("h", b"1")])
    producer.flush(10)
    records = broker.records("compressed", 3)
    assert {record.value for record in records} == {b"x" * 1000}
    assert records[0].headers == (("h", b"1"),)


def test_a_reader_of_what_is_committed_sees_no_aborted_record(broker: Broker) -> None:
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "writer"}
    )
    producer.init_transactions(10)
    for number, commits in enumerate([True, False, True, False]):
        producer.begin_transaction()
        producer.produce("money", str(number))
        producer.flush(10)
        if commits:
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)
    producer.begin_transaction()
    producer.produce("money", "open")
    producer.flush(10)

    committed = broker.records("money", 2, isolation_level="read_committed")
    everything = broker.records("money", 5)

    assert [record.value for record in committed] == [b"0", b"2"]
    assert [record.value for record in everything] == [b"0", b"1", b"2", b"3", b"open"]
    producer.abort_transaction(10)
