import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pykbroker.testing import Broker


def produce(broker: Broker, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for value in values:
        producer.produce("t", value)
    assert producer.flush(10) == 0


def consume(broker: Broker) -> list[bytes]:
    """All records up to the end as it is now."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "readers",
            "enable.auto.commit": False,
        }
    )
    values = []
    for partition in consumer.list_topics("t", timeout=10).topics["t"].partitions:
        first, end = consumer.get_watermark_offsets(TopicPartition("t", partition), timeout=10)
        consumer.assign([TopicPartition("t", partition, first)])
        values += [record.value() for record in consumer.consume(end - first, timeout=10)]
    consumer.close()
    return values


def test_a_real_client_produces_and_consumes() -> None:
    with Broker() as broker:
        produce(broker, b"one", b"two")
        assert consume(broker) == [b"one", b"two"]


def test_a_restart_keeps_data_and_port() -> None:
    with Broker() as broker:
        address = broker.bootstrap_servers
        produce(broker, b"one")
        broker.restart()
        assert broker.bootstrap_servers == address
        assert consume(broker) == [b"one"]


def test_a_stopped_broker_can_be_started_again() -> None:
    broker = Broker()
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = broker.bootstrap_servers
    broker.start()
    broker.start()
    port = broker.port
    produce(broker, b"one")
    broker.stop()
    assert repr(broker) == "<Broker not running>"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    broker.start()
    assert consume(broker) == [b"one"]
    broker.close()
    broker.close()


def test_a_closed_broker_begins_anew() -> None:
    broker = Broker()
    with broker:
        produce(broker, b"one")
    with broker:
        assert consume(broker) == []


def test_a_snapshot_is_the_whole_state() -> None:
    with Broker() as broker:
        produce(broker, b"one")
        snapshot = broker.snapshot()
        produce(broker, b"two")
        for _ in range(2):
            broker.restore(snapshot)
            assert consume(broker) == [b"one"]
            produce(broker, b"three")
        snapshot.discard()
        with pytest.raises(FileNotFoundError):
            broker.restore(snapshot)
        assert consume(broker) == [b"one", b"three"], "it goes on with what it has"


def test_several_brokers_know_nothing_of_each_other() -> None:
    with Broker() as first, Broker() as second:
        produce(first, b"one")
        assert first.port != second.port
        assert consume(first) == [b"one"]
        with socket.create_connection(("127.0.0.1", first.port)) as browser:
            browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert browser.recv(1) == b""
        assert "connection closed peer=" in first.log
        assert "connection closed" not in second.log


def test_brokers_may_be_started_by_several_threads() -> None:
    def round_trip(_: int) -> list[bytes]:
        with Broker() as broker:
            produce(broker, b"one")
            return consume(broker)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(round_trip, range(4))) == [[b"one"]] * 4


def test_settings_are_kafkas() -> None:
    with Broker({"num.partitions": 3}) as broker:
        produce(broker, b"one")
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        assert set(admin.list_topics("t", timeout=10).topics["t"].partitions) == {0, 1, 2}


def test_a_replication_factor_is_capped() -> None:
    with Broker() as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.create_topics([NewTopic("t", 1, replication_factor=3)])["t"].result(10)
        produce(broker, b"one")
        assert consume(broker) == [b"one"]


def test_it_is_ready_in_100_ms() -> None:
    with Broker():
        pass
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        with Broker():
            seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1, seconds


@pytest.mark.slow
def test_a_process_is_killed_and_restored() -> None:
    with Broker(process=True) as broker:
        produce(broker, b"one")
        broker.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", broker.port))
        broker.restart()
        assert consume(broker) == [b"one"]
        assert "fsync=never" in broker.log
        snapshot = broker.snapshot()
        produce(broker, b"two")
        broker.restore(snapshot)
        assert consume(broker) == [b"one"]
