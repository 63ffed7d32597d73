"""What programs do with consumers of librdkafka beside reading from the start."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from compat.processes import eventually
from compat.targets import Target

pytest.importorskip("confluent_kafka")

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from compat.confluent_kafka.client import configuration, consumer, new_topic, produce

GROUP = {
    "auto_offset_reset": "earliest",
    "session_timeout_ms": 6000,
    "heartbeat_interval_ms": 300,
    "fetch_wait_max_ms": 50,
}

Names = Callable[[str], str]


@pytest.fixture
def topic(fresh_broker: Target, name: Names) -> str:
    """A topic of four partitions."""
    admin = AdminClient({"bootstrap.servers": fresh_broker.address})
    return new_topic(admin, name("topic"), 4)


def numbers(first: int, end: int) -> list[tuple[None, bytes]]:
    return [(None, b"%d" % number) for number in range(first, end)]


def read(client: Any, count: int) -> list[Message]:
    """The next so many records; an error of the consumer is raised."""
    found: list[Message] = []

    def poll() -> bool:
        message = client.poll(0.2)
        if message is not None:
            if message.error() is not None:
                raise KafkaException(message.error())
            found.append(message)
        return len(found) == count

    eventually(poll, what=f"{count} records")
    return found


def values(messages: list[Message]) -> list[bytes]:
    return [message.value() for message in messages]


class Watched:
    """A member of a group that counts what it was given and what was taken from it."""

    def __init__(self, broker: Target, group: str, topic: str, **settings: Any) -> None:
        self.assigned: list[set[int]] = []
        self.revoked: list[set[int]] = []
        defaults = {"group_id": group, "session_timeout_ms": 6000, "heartbeat_interval_ms": 300}
        self.client = Consumer(configuration(broker, {**defaults, **settings}))
        self.client.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke)

    def _on_assign(self, _: Any, partitions: list[TopicPartition]) -> None:
        self.assigned.append({each.partition for each in partitions})

    def _on_revoke(self, _: Any, partitions: list[TopicPartition]) -> None:
        self.revoked.append({each.partition for each in partitions})

    def owned(self) -> set[int]:
        self.client.poll(0.05)
        return {each.partition for each in self.client.assignment()}


def sizes(*members: Watched) -> list[int]:
    """How many partitions each of them has; each must be asked, or it gives nothing back."""
    return [len(each.owned()) for each in members]


def test_cooperative_members_go_on_with_what_they_keep(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group, settings = name("group"), {"partition_assignment_strategy": "cooperative-sticky"}
    first = Watched(fresh_broker, group, topic, **settings)
    eventually(lambda: first.owned() == {0, 1, 2, 3}, what="all partitions")

    second = Watched(fresh_broker, group, topic, **settings)
    eventually(lambda: sizes(first, second) == [2, 2], what="halves")

    assert first.owned() | second.owned() == {0, 1, 2, 3}
    assert [each for each in first.revoked if each] == [second.owned()]
    kept = first.owned()
    second.client.close()
    eventually(lambda: first.owned() == {0, 1, 2, 3}, what="all partitions again")
    assert [each for each in first.assigned if each][-1] == {0, 1, 2, 3} - kept
    first.client.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin"])
def test_eager_members_give_everything_back_first(
    fresh_broker: Target, topic: str, name: Names, strategy: str
) -> None:
    group, settings = name("group"), {"partition_assignment_strategy": strategy}
    first = Watched(fresh_broker, group, topic, **settings)
    eventually(lambda: first.owned() == {0, 1, 2, 3}, what="all partitions")

    second = Watched(fresh_broker, group, topic, **settings)
    eventually(lambda: sizes(first, second) == [2, 2], what="halves")

    assert first.revoked == [{0, 1, 2, 3}]
    expected = {"range": {0, 1}, "roundrobin": {0, 2}}[strategy]
    assert expected in (first.owned(), second.owned())
    first.client.close()
    second.client.close()


def test_a_static_member_that_restarts_gets_its_partitions_without_a_rebalance(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    first = Watched(fresh_broker, group, topic, group_instance_id="first")
    second = Watched(fresh_broker, group, topic, group_instance_id="second")
    eventually(lambda: sizes(first, second) == [2, 2], what="halves")
    had, revoked = second.owned(), list(first.revoked)

    second.client.close()
    again = Watched(fresh_broker, group, topic, group_instance_id="second")
    eventually(lambda: again.owned() == had, what="the same partitions")

    first.owned()
    assert first.revoked == revoked
    first.client.close()
    again.client.close()


def test_a_second_holder_of_a_static_name_fences_the_first(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    errors: list[KafkaError] = []
    first = Watched(fresh_broker, group, topic, group_instance_id="name", error_cb=errors.append)
    eventually(lambda: len(first.owned()) == 4, what="all partitions")

    second = Watched(fresh_broker, group, topic, group_instance_id="name")
    eventually(lambda: len(second.owned()) == 4, what="all partitions")

    def is_fenced() -> bool:
        message = first.client.poll(0.1)
        if message is not None and message.error() is not None:
            errors.append(message.error())
        return any(
            error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) for error in errors
        )

    eventually(is_fenced, what="the first one's end")
    second.client.close()


def test_a_consumer_that_restarts_goes_on_where_its_stored_offsets_say(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group = name("group")
    produce(fresh_broker, topic, numbers(0, 10))
    settings = {**GROUP, "enable_auto_commit": True, "enable_auto_offset_store": False}
    with consumer(fresh_broker, group, **settings) as client:
        client.subscribe([topic])
        for message in read(client, 10):
            if message.offset() < 4:
                client.store_offsets(message)

    with consumer(fresh_broker, group, **settings) as client:
        client.subscribe([topic])
        assert values(read(client, 6)) == [b"4", b"5", b"6", b"7", b"8", b"9"]


def test_commits_name_partitions_and_offsets_or_all_that_was_read(
    fresh_broker: Target, topic: str, name: Names
) -> None:
    group, confirmed = name("group"), []
    for partition in (0, 1):
        produce(fresh_broker, topic, numbers(0, 5), partition=partition)
    settings: dict[str, Any] = {**GROUP, "on_commit": lambda *said: confirmed.append(said)}
    with consumer(fresh_broker, group, **settings) as client:
        client.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in (0, 1)])
        read(client, 10)
        client.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        assert offsets(client, topic) == [3, -1001]
        assert len(client.commit(asynchronous=False)) == 2
        assert offsets(client, topic) == [5, 5]
        confirmed.clear()
        client.commit(offsets=[TopicPartition(topic, 1, 1)], asynchronous=True)
        eventually(lambda: client.poll(0.05) or confirmed, what="the answer")
        assert offsets(client, topic) == [5, 1]

    ((error, partitions),) = confirmed
    assert error is None
    assert [(each.partition, each.offset) for each in partitions] == [(1, 1)]


def offsets(client: Any, topic: str) -> list[int]:
    """The committed ones of partitions 0 and 1."""
    asked = [TopicPartition(topic, partition) for partition in (0, 1)]
    return [each.offset for each in client.committed(asked, timeout=60)]


def test_a_consumer_seeks_back_and_forth(fresh_broker: Target, topic: str) -> None:
    produce(fresh_broker, topic, numbers(0, 10))
    with consumer(fresh_broker, fetch_wait_max_ms=50) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        assert values(read(client, 3)) == [b"0", b"1", b"2"]
        client.seek(TopicPartition(topic, 0, 8))
        assert values(read(client, 2)) == [b"8", b"9"]
        client.seek(TopicPartition(topic, 0, OFFSET_BEGINNING))
        assert values(read(client, 1)) == [b"0"]
        (position,) = client.position([TopicPartition(topic, 0)])
        assert position.offset == 1


def test_a_paused_partition_gives_nothing_until_it_is_resumed(
    fresh_broker: Target, topic: str
) -> None:
    paused, going = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with consumer(fresh_broker, fetch_wait_max_ms=50) as client:
        client.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in (0, 1)])
        client.pause([paused])
        produce(fresh_broker, topic, numbers(0, 5), partition=paused.partition)
        produce(fresh_broker, topic, numbers(5, 10), partition=going.partition)
        assert {message.partition() for message in read(client, 5)} == {going.partition}
        client.resume([paused])
        assert values(read(client, 5)) == [b"0", b"1", b"2", b"3", b"4"]


def test_an_offset_that_is_gone_is_replaced_as_the_consumer_wants(
    fresh_broker: Target, topic: str
) -> None:
    produce(fresh_broker, topic, numbers(0, 3))
    beyond = TopicPartition(topic, 0, 100)
    with consumer(fresh_broker, auto_offset_reset="earliest", fetch_wait_max_ms=50) as client:
        client.assign([beyond])
        assert values(read(client, 3)) == [b"0", b"1", b"2"]

    with consumer(fresh_broker, auto_offset_reset="error", fetch_wait_max_ms=50) as client:
        client.assign([beyond])
        with pytest.raises(KafkaException) as refused:
            read(client, 1)
    assert refused.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET


def test_a_reader_at_the_end_gets_what_comes_later(fresh_broker: Target, topic: str) -> None:
    produce(fresh_broker, topic, numbers(0, 3))
    with consumer(fresh_broker, enable_partition_eof=True, fetch_wait_max_ms=50) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_END)])

        def is_at_end() -> bool:
            message = client.poll(0.2)
            return message is not None and message.error().code() == KafkaError._PARTITION_EOF

        eventually(is_at_end, what="the end")
        produce(fresh_broker, topic, numbers(3, 4))
        assert values(read(client, 1)) == [b"3"]


def test_topics_that_a_pattern_names_are_read_also_when_they_come_later(
    fresh_broker: Target, name: Names
) -> None:
    admin = AdminClient({"bootstrap.servers": fresh_broker.address})
    prefix = name("pattern")
    first, later = f"{prefix}.first", f"{prefix}.later"
    new_topic(admin, first)
    produce(fresh_broker, first, [(None, b"one")])
    settings = {**GROUP, "topic_metadata_refresh_interval_ms": 300}
    with consumer(fresh_broker, name("group"), **settings) as client:
        client.subscribe([f"^{prefix}[.].*"])
        assert values(read(client, 1)) == [b"one"]
        client.commit(asynchronous=False)
        new_topic(admin, later)
        produce(fresh_broker, later, [(None, b"two")])
        assert values(read(client, 1)) == [b"two"]


def test_a_topic_that_does_not_exist_is_said_to_be_unknown(
    fresh_broker: Target, name: Names
) -> None:
    with consumer(fresh_broker, name("group"), **GROUP) as client:
        client.subscribe([name("nowhere")])
        with pytest.raises(KafkaException) as refused:
            read(client, 1)
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_large_records_pass_where_the_topic_allows_them(fresh_broker: Target, name: Names) -> None:
    admin = AdminClient({"bootstrap.servers": fresh_broker.address})
    topic = new_topic(admin, name("topic"), 1, max_message_bytes="10000000")
    large = bytes(range(256)) * (4 * 1024 * 1024 // 256)
    produce(fresh_broker, topic, [(None, large), (None, b"small")], message_max_bytes=10_000_000)

    # A fetch that allows less than the first record gets it nevertheless.
    with consumer(fresh_broker, fetch_message_max_bytes=1000, fetch_wait_max_ms=50) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        assert values(read(client, 2)) == [large, b"small"]


def test_keys_choose_the_partition_and_acks_0_needs_no_answer(
    fresh_broker: Target, topic: str
) -> None:
    with ExitStack() as producers, consumer(fresh_broker, fetch_wait_max_ms=50) as client:
        # 0 comes last: Kafka drops, without a word, what comes before a new partition is ready.
        for acks in (1, -1, 0):
            settings = {"partitioner": "murmur2_random", "acks": acks}
            # Open until all is read: a connection that is closed may lose what has no answer.
            producer = producers.enter_context(Producer(configuration(fresh_broker, settings)))
            for number in range(40):
                producer.produce(topic, b"%d" % acks, b"key-%d" % number)
            assert producer.flush(20) == 0
        client.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in range(4)])
        found = read(client, 120)
    places: dict[bytes, set[int]] = {}
    for message in found:
        places.setdefault(message.key(), set()).add(message.partition())
    assert len(places) == 40
    assert {len(each) for each in places.values()} == {1}
    assert {part for each in places.values() for part in each} == {0, 1, 2, 3}


def test_records_of_ordinary_producers_are_committed_at_once(
    fresh_broker: Target, topic: str
) -> None:
    produce(fresh_broker, topic, numbers(0, 3))
    settings: dict[str, Any] = {"isolation_level": "read_committed", "fetch_wait_max_ms": 50}
    with consumer(fresh_broker, **settings) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        assert values(read(client, 3)) == [b"0", b"1", b"2"]


def test_a_consumer_waits_for_as_many_bytes_as_it_wants(fresh_broker: Target, topic: str) -> None:
    produce(fresh_broker, topic, numbers(0, 1))
    settings: dict[str, Any] = {"fetch_min_bytes": 100_000, "fetch_wait_max_ms": 1000}
    with consumer(fresh_broker, **settings) as client:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        started = time.monotonic()
        assert values(read(client, 1)) == [b"0"]
        assert time.monotonic() - started > 0.9
