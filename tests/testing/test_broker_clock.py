"""What is due happens when time is moved on, on real brokers with real clients."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from pykbroker.testing import Broker
from pykbroker.testing.waiting import NotYet, wait_for

DAY_MS = 86_400_000
PATIENCE_S = 10


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def a_consumer(broker: Broker, **settings: str | int | bool) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "g",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


def test_records_are_deleted_that_are_too_old(broker: Broker) -> None:
    broker.create_topic("t", configs={"retention.ms": str(DAY_MS)})
    broker.produce("t", "old")
    broker.clock.advance(days=2)
    broker.produce("t", "new")

    def deleted() -> list[bytes | None] | NotYet:
        values = [record.value for record in broker.records("t")]
        return values if len(values) == 1 else NotYet(f"{values} are there")

    assert wait_for(deleted, PATIENCE_S) == [b"new"]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_that_do_not_heartbeat_are_gone_at_once(broker: Broker, protocol: str) -> None:
    broker.produce("t", "one")
    consumer = a_consumer(broker, group_protocol=protocol)
    consumer.subscribe(["t"])
    assert len(consumer.consume(1, timeout=PATIENCE_S)) == 1
    broker.wait_for_group("g", members=1)

    with broker.rules.add(["Heartbeat", "ConsumerGroupHeartbeat", "JoinGroup"], close="before"):
        broker.clock.advance(minutes=2)
        broker.wait_for_group("g", members=0)
    consumer.close()


def test_a_rebalance_that_waits_for_members_ends_at_once() -> None:
    with Broker({"group.initial.rebalance.delay.ms": 60_000}) as broker:
        broker.produce("t", "one")
        joins = broker.rules.add("JoinGroup", throttle_ms=1)
        consumer = a_consumer(broker)
        consumer.subscribe(["t"])
        assert consumer.poll(0) is None

        def joining() -> bool | NotYet:  # the first answer only names the member
            return joins.applied >= 2 or NotYet(f"{joins.applied} requests to join")

        wait_for(joining, PATIENCE_S)
        broker.clock.advance(minutes=1)
        assert len(consumer.consume(1, timeout=PATIENCE_S)) == 1
        broker.wait_for_group("g", members=1)
        consumer.close()


def test_a_consumer_reads_on_while_time_stands_still(broker: Broker) -> None:
    broker.clock.stop()
    assert broker.clock.is_stopped
    now_ms = broker.clock.now_ms
    consumer = a_consumer(broker, fetch_wait_max_ms=50)
    broker.create_topic("t")
    consumer.subscribe(["t"])
    assert consumer.consume(1, timeout=0.5) == []
    broker.produce("t", "late")
    (record,) = consumer.consume(1, timeout=PATIENCE_S)
    assert record.value() == b"late"
    assert broker.clock.now_ms == now_ms
    consumer.close()
    broker.clock.resume()
    assert not broker.clock.is_stopped


def test_transactions_are_aborted_that_take_too_long(broker: Broker) -> None:
    broker.create_topic("t")
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "transactional.id": "x",
            "transaction.timeout.ms": 60_000,
        }
    )
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    producer.produce("t", "never to be read")
    producer.flush(PATIENCE_S)
    assert broker.records("t", isolation_level="read_committed") == []
    broker.produce("t", "behind it")

    broker.clock.advance(minutes=2)

    records = broker.records("t", 1, isolation_level="read_committed")
    assert [record.value for record in records] == [b"behind it"]
    with pytest.raises(KafkaException):
        producer.commit_transaction(PATIENCE_S)


def test_offsets_expire_of_a_group_without_members(broker: Broker) -> None:
    broker.produce("t", "one")
    consumer = a_consumer(broker)
    consumer.subscribe(["t"])
    (record,) = consumer.consume(1, timeout=PATIENCE_S)
    consumer.commit(record, asynchronous=False)
    consumer.close()
    assert broker.committed("g") == {("t", 0): 1}
    broker.clock.advance(days=6)
    assert broker.committed("g") == {("t", 0): 1}

    broker.clock.advance(days=2)

    def expired() -> dict[tuple[str, int], int] | NotYet:
        committed = broker.committed("g")
        return NotYet(f"{committed} is there") if committed else committed

    assert wait_for(expired, PATIENCE_S) == {}


def test_time_goes_on_over_a_restart(broker: Broker) -> None:
    broker.clock.stop()
    now_ms = broker.clock.now_ms
    broker.clock.advance(hours=1)
    broker.stop()
    broker.clock.advance(minutes=1, seconds=1)
    assert broker.clock.now_ms == now_ms + 3_661_000
    broker.clock.resume()
    broker.clock.stop()
    broker.start()
    broker.produce("t", "one")
    (record,) = broker.records("t")
    assert record.timestamp <= time.time() * 1000, "which the client says"
    with pytest.raises(ValueError, match="does not go back"):
        broker.clock.advance(-1)


def test_a_broker_on_a_loop_has_a_clock_too() -> None:
    async def main() -> None:
        async with Broker() as broker:
            await broker.create_topic("t", configs={"retention.ms": str(DAY_MS)})
            await broker.produce("t", "old")
            broker.clock.stop()
            now_ms = broker.clock.now_ms
            await broker.clock.advance(days=2)
            assert broker.clock.now_ms == now_ms + 2 * DAY_MS
            assert broker.clock.is_stopped
            broker.clock.resume()
            async with asyncio.timeout(PATIENCE_S):
                while await broker.records("t"):  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.01)

    asyncio.run(main())
