"""One load on a broker, in a process of its own: `python -m compat.bench.load NAME ADDRESS JSON`.

Prints one JSON object: {"seconds": ..., "records": ...} for throughput, or {"p50_us", "p99_us"} for
latency. The parent reads the broker's CPU time around it.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from compat.bench.librdkafka import BatchProducer
from pykbroker.client import Connection
from pykbroker.config.listeners import parse_address
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

# What people set who want throughput: the defaults of the Java client's tuning guides.
PRODUCER_SETTINGS: Mapping[str, object] = {
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "batch.num.messages": 10_000,
    "queue.buffering.max.messages": 500_000,
}
RECORDS_PER_CALL = 1000
PRODUCE_VERSION = 9
FETCH_VERSION = 12
WARM_UP_REQUESTS = 300
FETCH_BYTES = 16 * 1024 * 1024


def produce(address: str, *, topic: str, size: int, records: int) -> dict[str, float]:
    """One librdkafka producer with acks=1."""
    settings = {"bootstrap.servers": address, "acks": 1, **PRODUCER_SETTINGS}
    producer = BatchProducer(settings, topic, b"x" * size, RECORDS_PER_CALL)
    # The first records wait for connections and metadata.
    producer.produce(RECORDS_PER_CALL)
    before = _end(address, topic)
    started = time.perf_counter()
    producer.produce(records)
    seconds = time.perf_counter() - started
    producer.close()
    written = _end(address, topic) - before
    assert written == records, f"{written} of {records} records arrived"
    return {"seconds": seconds, "records": records}


def consume(address: str, *, topic: str, records: int) -> dict[str, float]:
    """One librdkafka consumer (kcat, which is in C) from the beginning."""
    started = time.perf_counter()
    command = ["kcat", "-C", "-b", address, "-t", topic, "-p", "0", "-o", "beginning"]
    command += ["-q", "-f", "", "-c", str(records), "-X", "queued.min.messages=1000000"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"seconds": time.perf_counter() - started, "records": records}


def consume_confluent(address: str, *, topic: str, records: int) -> dict[str, float]:
    """One confluent-kafka consumer, whose records become Python objects."""
    settings = {"bootstrap.servers": address, "group.id": "bench", "queued.min.messages": 1_000_000}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    started = time.perf_counter()
    count = 0
    while count < records:
        count += len(consumer.consume(min(10_000, records - count), 1))
    seconds = time.perf_counter() - started
    consumer.close()
    return {"seconds": seconds, "records": records}


def fetch(address: str, *, topic: str, records: int) -> dict[str, float]:
    """Fetch requests on a bare socket; the records are counted by their batches alone."""
    connection = Connection(*parse_address(address))
    position = 0
    started = time.perf_counter()
    while position < records:
        partition = FetchPartition(
            partition=0, fetch_offset=position, partition_max_bytes=FETCH_BYTES
        )
        request = FetchRequest(
            max_wait_ms=1000,
            min_bytes=1,
            max_bytes=FETCH_BYTES,
            topics=[FetchTopic(topic=topic, partitions=[partition])],
        )
        answer = connection.call(request, FetchResponse)
        data = memoryview(answer.responses[0].partitions[0].records or b"")
        position = _offset_behind(data, position)
    seconds = time.perf_counter() - started
    connection.close()
    return {"seconds": seconds, "records": position}


def _offset_behind(data: memoryview, position: int) -> int:
    """The offset after the last whole batch: base offset, length and last offset delta."""
    at = 0
    while at + 61 <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "big") + 12
        if at + size > len(data):
            break
        base = int.from_bytes(data[at : at + 8], "big")
        position = base + int.from_bytes(data[at + 23 : at + 27], "big") + 1
        at += size
    return position


def concurrent(
    address: str,
    *,
    topic: str,
    size: int,
    acks: int,
    producers: int,
    partitions: int,
    duration_s: float,
) -> dict[str, float]:
    """Many sockets, each with one request of one record open at a time, driven by one thread."""
    frames = [_produce_frame(topic, number, size, acks) for number in range(partitions)]
    sockets = selectors.DefaultSelector()
    begun: dict[socket.socket, float] = {}
    for number in range(producers):
        connection = socket.create_connection(parse_address(address))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.register(connection, selectors.EVENT_READ, frames[number % partitions])
        begun[connection] = 0.0
    times: list[float] = []
    started = time.perf_counter()
    until = started + duration_s
    for connection in begun:
        begun[connection] = time.perf_counter()
        connection.sendall(sockets.get_key(connection).data)
    while begun:
        for key, _ in sockets.select():
            assert isinstance(key.fileobj, socket.socket)
            connection = key.fileobj
            _check_answer(connection.recv(4096))
            now = time.perf_counter()
            times.append(now - begun[connection])
            if now < until:
                begun[connection] = now
                connection.sendall(key.data)
            else:
                sockets.unregister(connection)
                del begun[connection]
                connection.close()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "records": len(times), **_summary(times)}


def latency(address: str, *, topic: str, size: int, acks: int, requests: int) -> dict[str, float]:
    """Produce requests of one record on a bare socket, each after the answer to the last."""
    frame = _produce_frame(topic, 0, size, acks)
    with socket.create_connection(parse_address(address)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> None:
            connection.sendall(frame)
            _check_answer(connection.recv(4096))

        return _percentiles(ask, requests)


def latency_confluent(address: str, *, topic: str, size: int, requests: int) -> dict[str, float]:
    """confluent-kafka: produce and flush, acks=1, no linger."""
    producer = Producer({"bootstrap.servers": address, "acks": 1, "linger.ms": 0})
    value = b"x" * size

    def ask() -> None:
        producer.produce(topic, value, partition=0)
        producer.flush()

    return _percentiles(ask, requests)


def _produce_frame(topic: str, partition: int, size: int, acks: int) -> bytes:
    """A request with one batch of one record."""
    record = Record(0, int(time.time() * 1000), None, b"x" * size)
    data = TopicProduceData(
        name=topic,
        partition_data=[PartitionProduceData(index=partition, records=build_batch([record]))],
    )
    request = ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[data])
    header = RequestHeader(ProduceRequest.API_KEY, PRODUCE_VERSION, 1, "bench")
    body = b"".join([encode_request_header(header), *request.encode(PRODUCE_VERSION)])
    return len(body).to_bytes(4, "big") + body


def _check_answer(answer: bytes) -> None:
    """Make sure that it is whole and says that the batch was written."""
    assert len(answer) == 4 + int.from_bytes(answer[:4], "big")
    # Behind the size: correlation id and the tags of a flexible header.
    response = ProduceResponse.decode(memoryview(answer), PRODUCE_VERSION, 9)
    assert response.responses[0].partition_responses[0].error_code == 0


def _percentiles(ask: Callable[[], None], requests: int) -> dict[str, float]:
    for _ in range(WARM_UP_REQUESTS):
        ask()
    times = []
    for _ in range(requests):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return _summary(times)


def _summary(times: list[float]) -> dict[str, float]:
    times.sort()
    return {
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
        "max_us": times[-1] * 1e6,
    }


def _end(address: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "bench"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
    consumer.close()
    return int(end)


LOADS: Mapping[str, Callable[..., dict[str, float]]] = {
    load.__name__: load
    for load in (
        produce,
        consume,
        consume_confluent,
        fetch,
        concurrent,
        latency,
        latency_confluent,
    )
}


def main(name: str, address: str, settings: str) -> None:
    arguments: dict[str, Any] = json.loads(settings)
    print(json.dumps(LOADS[name](address, **arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
