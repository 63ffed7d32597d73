"""What librdkafka finds in compacted topics."""

import os
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from compat.compaction.client import (
    QUIET,
    Kept,
    Log,
    Sent,
    admin_of,
    alter,
    is_clean,
    new_topic,
    read,
    reader,
    send,
)
from compat.targets import Target

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KEYS = 20
ROUNDS = 40
HOUR_MS = 3_600_000

Names = Callable[[str], str]


@pytest.fixture
def topic(name: Names) -> str:
    return name("topic")


def test_the_last_value_of_each_key_stays_at_its_offset_with_every_codec(
    broker: Target, topic: str
) -> None:
    logs = new_topic(broker, topic, len(CODECS))
    start_ms = int(time.time() * 1000) - HOUR_MS
    random = Random(1)
    expected: dict[Log, list[Kept]] = {}
    for log, codec in zip(logs, CODECS, strict=True):
        records = [
            Sent(
                b"key-%d" % random.randrange(KEYS),
                random.randbytes(50).hex().encode(),
                (("number", b"%d" % number),) if number % 3 else (),
                start_ms + 10 * number,
            )
            for number in range(KEYS * ROUNDS)
        ]
        # Else batches that have to be sent again come behind later ones.
        settings = {"enable_idempotence": True, "batch_num_messages": 25}
        offsets = log.produce(records, compression_codec=codec, **settings)
        last = {
            record.key: Kept(offset, record.timestamp, *record[:3])
            for offset, record in zip(offsets, records, strict=True)
        }
        expected[log] = sorted(last.values())
        log.close_segment()

    for log in logs:
        found = log.until(is_clean)
        assert found == expected[log]
        assert log.bounds() == (0, KEYS * ROUNDS + 1)


def test_a_consumer_goes_on_behind_gaps(broker: Target, topic: str) -> None:
    (log,) = new_topic(broker, topic)
    start_ms = int(time.time() * 1000) - HOUR_MS
    # Something of each segment stays: Apache Kafka finds no timestamp behind an empty one.
    keys = [b"%d" % n if n % 10 == 0 else b"key-%d" % (n % KEYS) for n in range(600)]
    log.produce(
        [Sent(key, bytes(100), timestamp=start_ms + 10 * n) for n, key in enumerate(keys)],
        batch_num_messages=25,
        enable_idempotence=True,
    )
    log.close_segment()
    kept = log.until(is_clean)

    assert len(kept) < 100
    with reader(log.broker) as client:
        for offset in (0, 1, kept[0].offset + 1, kept[5].offset - 1, kept[5].offset, 599):
            found = read(client, log, offset)
            assert found[:-1] == [each for each in kept if each.offset >= offset]
        for number in (0, 3, 5, 50):
            timestamp = kept[number].timestamp
            for wanted, place in ((timestamp, number), (timestamp + 1, number + 1)):
                asked = TopicPartition(log.topic, log.partition, wanted)
                (answer,) = client.offsets_for_times([asked], timeout=60)
                assert answer.offset == kept[place].offset


def test_a_tombstone_goes_in_the_pass_after_its_time(broker: Target, topic: str) -> None:
    (log,) = new_topic(broker, topic, delete_retention_ms="1")
    log.produce([Sent(b"gone", b"1"), Sent(b"stays", b"2"), Sent(b"gone", None)])
    log.close_segment()
    found = log.until(is_clean)
    assert [(each.offset, each.key, each.value) for each in found] == [
        (1, b"stays", b"2"),
        (2, b"gone", None),
    ]

    log.produce([Sent(b"new", b"3")])
    log.close_segment()
    found = log.until(lambda found: all(each.value is not None for each in found))
    assert [(each.offset, each.key) for each in found] == [(1, b"stays"), (4, b"new")]


def test_a_tombstone_stays_for_delete_retention_ms(broker: Target, topic: str) -> None:
    (log,) = new_topic(broker, topic, delete_retention_ms=str(HOUR_MS))
    log.produce([Sent(b"gone", b"1"), Sent(b"gone", None)])
    log.close_segment()
    log.until(is_clean)
    log.produce([Sent(b"new", b"2"), Sent(b"new", b"3")])
    log.close_segment()

    found = log.until(is_clean)

    assert [(each.offset, each.value) for each in found] == [(1, None), (4, b"3")]


def test_records_without_a_key_are_refused(broker: Target, topic: str) -> None:
    (log,) = new_topic(broker, topic)
    errors = []
    producer = Producer({"bootstrap.servers": broker.address, **QUIET})
    producer.produce(topic, b"value", on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    assert [error.code() for error in errors] == [KafkaError.INVALID_RECORD]
    assert log.bounds() == (0, 0)


def test_a_compacted_topic_with_retention_loses_old_segments_too(
    broker: Target, topic: str
) -> None:
    (log,) = new_topic(broker, topic, cleanup_policy="compact,delete", retention_ms=str(HOUR_MS))
    now_ms = int(time.time() * 1000)
    old_ms = now_ms - 2 * HOUR_MS
    log.produce([Sent(b"old", b"1", timestamp=old_ms), Sent(b"both", b"2", timestamp=old_ms)])
    log.close_segment(timestamp=old_ms)
    new = [Sent(b"both", b"3"), Sent(b"new", b"4"), Sent(b"new", b"5")]
    offsets = log.produce([each._replace(timestamp=now_ms) for each in new])
    log.close_segment()

    found = log.until(lambda found: is_clean(found) and found[0].offset == offsets[0])

    assert [(each.offset, each.value) for each in found] == [(offsets[0], b"3"), (offsets[2], b"5")]
    assert log.bounds()[0] == offsets[0]


def test_records_younger_than_min_compaction_lag_ms_all_stay(
    broker: Target, topic: str, name: Names
) -> None:
    (log,) = new_topic(broker, topic, min_compaction_lag_ms=str(HOUR_MS))
    log.produce([Sent(b"key", b"1"), Sent(b"key", b"2")])
    log.close_segment()
    _wait_for_the_cleaner(broker, name)
    assert [each.offset for each in log.records()] == [0, 1]

    alter(log, min_compaction_lag_ms="0")

    assert [each.offset for each in log.until(is_clean)] == [1]


def test_max_compaction_lag_ms_closes_a_segment_and_compacts_it_however_clean_the_log_is(
    broker: Target, topic: str, name: Names
) -> None:
    (log,) = new_topic(broker, topic, min_cleanable_dirty_ratio="1.0")
    now_ms = int(time.time() * 1000)
    old_ms = now_ms - HOUR_MS
    log.produce([Sent(b"key", b"1", timestamp=old_ms), Sent(b"key", b"2", timestamp=old_ms)])
    log.close_segment(timestamp=old_ms)
    log.produce([Sent(b"key", b"3", timestamp=old_ms)])
    _wait_for_the_cleaner(broker, name)
    assert [each.offset for each in log.records()] == [0, 1, 3]

    alter(log, max_compaction_lag_ms="60000")
    assert [each.offset for each in log.until(lambda found: len(found) == 2)] == [1, 3]
    log.produce([Sent(b"other", b"4", timestamp=now_ms)])

    assert [each.offset for each in log.until(is_clean)] == [3, 4]


def test_the_policy_of_a_topic_can_change_to_compact_and_back(
    broker: Target, topic: str, name: Names
) -> None:
    (log,) = new_topic(broker, topic, cleanup_policy="delete")
    log.produce([Sent(b"key", b"1"), Sent(b"key", b"2"), Sent(None, b"3")])
    log.close_segment()
    _wait_for_the_cleaner(broker, name)
    assert [each.offset for each in log.records()] == [0, 1, 2]

    alter(log, cleanup_policy="compact")
    assert [each.offset for each in log.until(lambda found: len(found) == 1)] == [1]
    with pytest.raises(KafkaException) as refused:
        _delete_records(log, 2)
    assert refused.value.args[0].code() == KafkaError.POLICY_VIOLATION

    alter(log, cleanup_policy="delete")
    offsets = log.produce([Sent(b"key", b"4"), Sent(b"key", b"5")])
    log.close_segment()
    _wait_for_the_cleaner(broker, name)
    assert [each.offset for each in log.records()] == [1, *offsets]
    _delete_records(log, offsets[0])
    assert [each.offset for each in log.records()] == offsets


def _delete_records(log: Log, offset: int) -> None:
    asked = TopicPartition(log.topic, log.partition, offset)
    admin = admin_of(log.broker)
    admin.delete_records([asked])[asked].result(timeout=60)


def test_deleted_records_of_a_compacted_log_do_not_come_back(broker: Target, topic: str) -> None:
    """Kafka's clean part starts anew where the log now does."""
    (log,) = new_topic(broker, topic, cleanup_policy="compact,delete")
    log.produce([Sent(b"key-%d" % (n % 3), b"%d" % n) for n in range(9)])
    log.close_segment()
    assert [each.offset for each in log.until(is_clean)] == [6, 7, 8]

    _delete_records(log, 7)
    log.produce([Sent(b"key-1", b"9")])
    log.close_segment()

    assert [each.offset for each in log.until(is_clean)] == [8, 10]
    assert log.bounds()[0] == 7


def _wait_for_the_cleaner(broker: Target, name: Names) -> None:
    """Let it clean another log twice: what it then has left alone is not for cleaning."""
    (log,) = new_topic(broker, name("other"))
    for _ in range(2):
        log.produce([Sent(b"key", b"1"), Sent(b"key", b"2")])
        log.close_segment()
        log.until(is_clean)


def _idempotent(broker: Target) -> Any:
    return Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, **QUIET})


@pytest.mark.parametrize("has_snapshots", [True, False])
def test_an_idempotent_producer_goes_on_after_its_records_were_compacted_away(
    broker: Target, topic: str, *, has_snapshots: bool
) -> None:
    (log,) = new_topic(broker, topic)
    producer = _idempotent(broker)
    for number in range(10):
        send(producer, log, [Sent(b"key", b"%d" % number)])
    log.produce([Sent(b"key", b"of another producer")])
    log.close_segment()
    assert [each.offset for each in log.until(is_clean)] == [10]

    broker.kill()
    if not has_snapshots:  # then the log must tell what the producer's last sequence was
        for path in (broker.data_dir / f"{topic}-0").glob("*.snapshot"):
            os.remove(path)
    broker.restart()

    (offset,) = send(producer, log, [Sent(b"key", b"last")])
    assert [(each.offset, each.value) for each in log.records()] == [
        (10, b"of another producer"),
        (offset, b"last"),
    ]
    assert offset == 12
