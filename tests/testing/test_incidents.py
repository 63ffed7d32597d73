"""What happens to brokers, seen by real clients."""

import asyncio
import socket
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from pykbroker.faults.rules import RuleError
from pykbroker.protocol.errors import ErrorCode
from pykbroker.testing import Broker
from pykbroker.testing.waiting import NotYet, wait_for

PATIENCE_S = 10


def a_producer(broker: Broker, **settings: str | int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "reconnect.backoff.max.ms": 100,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


def errors_of(producer: Producer, topic: str) -> list[int | None]:
    """Produce one record; returns the codes of its reports."""
    codes = []
    producer.produce(
        topic, "v", callback=lambda error, _: codes.append(error.code() if error else None)
    )
    producer.flush(PATIENCE_S)
    return codes


def test_an_unavailable_broker_refuses_connections_and_goes_on_with_its_time() -> None:
    with Broker() as broker:
        producer = a_producer(broker)
        assert errors_of(producer, "t") == [None]
        with broker.incidents.unavailable():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", broker.port))
            producer.produce("t", "late")
            assert producer.flush(0.2) == 1
        assert producer.flush(PATIENCE_S) == 0
        assert len(broker.records("t")) == 2


def test_a_full_disk_takes_no_records_until_there_is_room() -> None:
    with Broker() as broker:
        producer = a_producer(broker, retries=0)
        assert errors_of(producer, "t") == [None]
        with broker.incidents.full_disk():
            assert errors_of(producer, "t") == [ErrorCode.KAFKA_STORAGE_ERROR]
            assert len(broker.records("t")) == 1
        assert errors_of(producer, "t") == [None]
        assert len(broker.records("t")) == 2


def test_after_a_failed_fsync_only_a_restart_helps() -> None:
    with Broker({"pykbroker.fsync": "always"}) as broker:
        producer = a_producer(broker, retries=0, acks="all")
        assert errors_of(producer, "t") == [None]
        broker.incidents.fail_fsync()
        for _ in range(2):
            assert errors_of(producer, "t") == [ErrorCode.KAFKA_STORAGE_ERROR]
        broker.restart()
        assert errors_of(producer, "t") == [None]


def test_a_broker_that_does_not_fsync_says_so() -> None:
    with Broker() as broker, pytest.raises(RuntimeError, match=r"pykbroker\.fsync"):
        broker.incidents.fail_fsync()


def test_a_consumer_finds_its_coordinator_again() -> None:
    with Broker() as broker:
        broker.produce("t", "one")
        consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "group.id": "g",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe(["t"])
        (record,) = consumer.consume(1, timeout=PATIENCE_S)
        broker.incidents.move_coordinator("g", for_s=0.3)

        def committed() -> bool | NotYet:
            with suppress(KafkaException):
                consumer.commit(record, asynchronous=False)
            return bool(broker.committed("g")) or NotYet("nothing is committed")

        assert wait_for(committed, PATIENCE_S)
        assert "NOT_COORDINATOR" in broker.requests
        consumer.close()


def test_a_producer_follows_the_next_leader() -> None:
    with Broker() as broker:
        producer = a_producer(broker)
        assert errors_of(producer, "t") == [None]
        broker.incidents.change_leader("t", for_s=0.3)
        assert errors_of(producer, "t") == [None]
        assert "NOT_LEADER_OR_FOLLOWER" in broker.requests
        assert len(broker.records("t")) == 2
        with pytest.raises(RuleError, match="no partition t-7"):
            broker.incidents.change_leader("t", 7)


def test_on_a_loop_incidents_are_awaited() -> None:
    async def main() -> None:
        async with Broker() as broker:
            async with broker.incidents.unavailable():
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", broker.port)
            await broker.produce("t", "one")
            await broker.incidents.change_leader("t", for_s=60)
            assert len(broker.rules) == 2
            await broker.stop()
            with pytest.raises(RuntimeError, match="does not run"):
                broker.incidents.fail_fsync()

    asyncio.run(main())


def test_nothing_happens_to_a_broker_that_does_not_run() -> None:
    broker = Broker()
    with pytest.raises(RuntimeError, match="does not run"):
        broker.incidents.change_leader("t")
    with pytest.raises(RuntimeError, match="does not run"), broker.incidents.unavailable():
        pass
