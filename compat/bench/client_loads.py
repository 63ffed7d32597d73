"""Loads by real Python and C clients, as `raw_loads.py` has them for bare sockets.

Here the client limits as much as the broker does: what it shows is what a program sees.
"""

import subprocess
import time
from collections.abc import Mapping

from confluent_kafka import Producer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from compat.bench.librdkafka import BatchProducer
from compat.bench.meter import Reading, latencies
from compat.bench.raw_loads import end_offsets

# What people set who want throughput: the defaults of the Java client's tuning guides.
PRODUCER_SETTINGS: Mapping[str, object] = {
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "batch.num.messages": 10_000,
    "queue.buffering.max.messages": 500_000,
}
RECORDS_PER_CALL = 1000
WARM_UP_REQUESTS = 300


def librdkafka_produce(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """One librdkafka producer with acks=1, driven in batches from C."""
    settings = {"bootstrap.servers": address, "acks": 1, **PRODUCER_SETTINGS}
    producer = BatchProducer(settings, topic, b"x" * record_bytes, RECORDS_PER_CALL)
    # The first records wait for connections and metadata.
    producer.produce(RECORDS_PER_CALL)
    before = end_offsets(address, topic, 1)
    first = Reading.now(pid)
    producer.produce(records)
    last = Reading.now(pid)
    producer.close()
    written = end_offsets(address, topic, 1) - before
    assert written == records, f"{written} of {records} records arrived"
    return {**first.until(last), "records": records, "bytes": records * record_bytes}


def librdkafka_sync(
    address: str, pid: int, *, topic: str, record_bytes: int, seconds: float
) -> dict[str, float]:
    """confluent-kafka: produce and flush, acks=1, no linger."""
    producer = Producer({"bootstrap.servers": address, "acks": 1, "linger.ms": 0})
    value = b"x" * record_bytes

    def ask() -> float:
        started = time.perf_counter()
        producer.produce(topic, value, partition=0)
        producer.flush()
        return time.perf_counter() - started

    return latencies(ask, pid, warm_up=WARM_UP_REQUESTS, seconds=seconds)


def kcat_consume(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """One librdkafka consumer (kcat, which is in C) from the beginning."""
    command = ["kcat", "-C", "-b", address, "-t", topic, "-p", "0", "-o", "beginning"]
    command += ["-q", "-f", "", "-c", str(records), "-X", "queued.min.messages=1000000"]
    first = Reading.now(pid)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    last = Reading.now(pid)
    return {**first.until(last), "records": records, "bytes": records * record_bytes}


def kafka_python_produce(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """One kafka-python producer with acks=1 and batches of 64 KB."""
    producer = KafkaProducer(
        bootstrap_servers=address, acks=1, linger_ms=5, batch_size=65_536, max_block_ms=60_000
    )
    value = b"x" * record_bytes
    producer.send(topic, value, partition=0).get(timeout=30)
    before = end_offsets(address, topic, 1)
    first = Reading.now(pid)
    for _ in range(records):
        producer.send(topic, value, partition=0)
    producer.flush(timeout=120)
    last = Reading.now(pid)
    producer.close()
    written = end_offsets(address, topic, 1) - before
    assert written == records, f"{written} of {records} records arrived"
    return {**first.until(last), "records": records, "bytes": records * record_bytes}


def kafka_python_consume(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """One kafka-python consumer without a group from the beginning."""
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    count = 0
    first = Reading.now(pid)
    while count < records:
        polled = consumer.poll(timeout_ms=1000, max_records=5000)
        count += sum(len(found) for found in polled.values())
    last = Reading.now(pid)
    consumer.close()
    return {**first.until(last), "records": count, "bytes": count * record_bytes}
