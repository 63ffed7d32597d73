import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, ConfigResource

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.testing import Broker


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


class Member:
    """A member of a group that reads and commits in a thread."""

    def __init__(self, broker: Broker, group_id: str, topic: str, protocol: str) -> None:
        settings = {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group_id,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        self._consumer = Consumer(settings)
        self._consumer.subscribe([topic])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stopping.is_set():
            record = self._consumer.poll(0.05)
            if record is not None and record.error() is None:
                self._consumer.commit(record, asynchronous=False)
        self._consumer.close()


def test_a_topic_has_what_it_is_asked_to_have(broker: Broker) -> None:
    broker.create_topic("asked", partitions=3, replication_factor=3, configs={"retention.ms": 1000})

    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, "asked")
    described = admin.describe_configs([resource])[resource].result(10)
    assert described["retention.ms"].value == "1000"
    assert broker.end_offsets("asked") == {0: 0, 1: 0, 2: 0}
    with pytest.raises(KafkaError, match="asked") as raised:
        broker.create_topic("asked")
    assert raised.value.code is ErrorCode.TOPIC_ALREADY_EXISTS


def test_a_deleted_topic_is_gone(broker: Broker) -> None:
    broker.create_topics(["first", "second"])
    broker.delete_topic("first")
    assert broker.end_offsets("second") == {0: 0}
    with pytest.raises(KafkaError, match="first"):
        broker.end_offsets("first")
    with pytest.raises(KafkaError, match="first"):
        broker.delete_topic("first")


def test_what_is_produced_is_there(broker: Broker) -> None:
    metadata = broker.produce("letters", "a", key="k", headers={"h": b"1"}, timestamp_ms=5)
    broker.produce_many("letters", [b"b", None], partition=0)

    first, *rest = broker.records("letters")

    assert metadata == ("letters", 0, 0)
    assert (first.offset, first.timestamp, first.key, first.value) == (0, 5, b"k", b"a")
    assert first.headers == (("h", b"1"),)
    assert [record.value for record in rest] == [b"b", None]
    assert broker.end_offsets("letters") == {0: 3}


def test_records_are_waited_for(broker: Broker) -> None:
    timer = threading.Timer(0.1, broker.produce_many, ("later", ["one", "two"]))
    timer.start()
    assert [record.value for record in broker.records("later", 2)] == [b"one", b"two"]
    timer.join()

    with pytest.raises(TimeoutError, match=r"topic later has 2 of 3 records after 0\.05 s"):
        broker.records("later", 3, timeout_s=0.05)
    with pytest.raises(TimeoutError, match="topic never is not there"):
        broker.records("never", 1, timeout_s=0.05)
    with pytest.raises(KafkaError, match="never"):
        broker.records("never")


def test_one_partition_is_read_alone(broker: Broker) -> None:
    broker.create_topic("split", partitions=2)
    broker.produce_many("split", ["a", "b"], partition=0)
    broker.produce("split", "c", partition=1)

    assert [record.value for record in broker.records("split", partition=1)] == [b"c"]
    assert [record.value for record in broker.records("split")] == [b"a", b"b", b"c"]
    with pytest.raises(KafkaError, match="split has no partition 2"):
        broker.records("split", partition=2)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_is_waited_for(broker: Broker, protocol: str) -> None:
    topic = group_id = f"read-by-{protocol}"
    broker.create_topic(topic, partitions=2)
    broker.produce_many(topic, ["a", "b", "c"], partition=0)
    broker.produce_many(topic, ["d"], partition=1)
    assert broker.committed(group_id) == {}

    with (
        Member(broker, group_id, topic, protocol),
        Member(broker, group_id, topic, protocol),
    ):
        group = broker.wait_for_group(group_id, members=2, timeout_s=30)
        assert sorted(group.owners) == [(topic, 0), (topic, 1)]
        assert group.kind == protocol
        everything = {(topic, 0): 3, (topic, 1): 1}
        assert broker.wait_for_committed(group_id, topic) == everything
        broker.produce(topic, "e", partition=1)
        assert broker.wait_for_committed(group_id, topic, {1: 2})[topic, 1] == 2
        assert broker.wait_for_committed(group_id, topic, 3)[topic, 0] == 3

    assert broker.committed(group_id) == {(topic, 0): 3, (topic, 1): 2}


def test_a_wait_for_a_group_says_what_it_is_instead(broker: Broker) -> None:
    with pytest.raises(TimeoutError, match=r"group none does not exist after 0\.05 s"):
        broker.wait_for_group("none", timeout_s=0.05)
    broker.produce("unread", "a")
    with pytest.raises(TimeoutError, match=r"committed \{0: None\} of unread instead of \{0: 1\}"):
        broker.wait_for_committed("none", "unread", timeout_s=0.05)

    broker.produce("alone", "a")
    with Member(broker, "one", "alone", "classic"):
        broker.wait_for_group("one", timeout_s=30)
        with pytest.raises(TimeoutError, match="group one is Stable with 1 members"):
            broker.wait_for_group("one", members=2, timeout_s=0.05)
    assert broker.wait_for_group("one", members=0, timeout_s=30).members == []
