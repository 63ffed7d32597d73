"""Loads of transactions on bare sockets, and of readers of committed records.

Producers speak the second version of transactions: Produce v12 adds the partition, EndTxn v5 gives
the epoch for the next transaction. What Kafka wants to be asked again, as long as it still writes
the markers of the last transaction, is asked again at once and counts as a part of the transaction.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator
from io import BufferedReader
from itertools import cycle
from typing import Final

from compat.bench.frames import FETCH_VERSION, batch_of, frame, numbered
from compat.bench.meter import Reading, percentiles
from compat.bench.pipes import connect, read_answer
from compat.bench.raw_loads import RESPONSE_BODY, end_offsets
from pykbroker.protocol import crc
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.init_producer_id import (
    InitProducerIdRequest,
    InitProducerIdResponse,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)

PRODUCE_VERSION: Final = 12
END_VERSION: Final = 5
INIT_VERSION: Final = 5
FIND_VERSION: Final = 4
TRANSACTION_KEY: Final = 1
NOT_YET: Final = (
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
)
LONG_MS: Final = 600_000
UNCOMMITTED, COMMITTED = 0, 1
BATCHES_A_TRANSACTION: Final = 10
SLICES: Final = 4

_ATTRIBUTES: Final = struct.Struct(">h")
_PRODUCER: Final = struct.Struct(">qhi")
_CRC: Final = struct.Struct(">I")
_CRC_AT, _ATTRIBUTES_AT, _PRODUCER_AT = 17, 21, 43
_TRANSACTIONAL: Final = 0x10


class Producer:
    """One transactional producer on a socket, a partition of its own."""

    def __init__(self, address: str, name: str, topic: str, partition: int, batch: bytes) -> None:
        self.connection = connect(address)
        self.name = name
        self.sequence = 0
        self.producer_id, self.epoch = -1, -1
        self.begun = 0.0
        self._topic = topic
        self._partition = partition
        self._batch = bytearray(batch)
        self._records = int.from_bytes(batch[57:61], "big")
        (attributes,) = _ATTRIBUTES.unpack_from(batch, _ATTRIBUTES_AT)
        _ATTRIBUTES.pack_into(self._batch, _ATTRIBUTES_AT, attributes | _TRANSACTIONAL)
        self._begin()

    def send_batch(self) -> None:
        """Produce the batch with the next sequence."""
        where = _PRODUCER.pack(self.producer_id, self.epoch, self.sequence)
        self._batch[_PRODUCER_AT : _PRODUCER_AT + len(where)] = where
        checksum = crc.crc32c(memoryview(self._batch)[_ATTRIBUTES_AT:])
        _CRC.pack_into(self._batch, _CRC_AT, checksum)
        data = PartitionProduceData(index=self._partition, records=bytes(self._batch))
        request = ProduceRequest(
            transactional_id=self.name,
            acks=-1,
            timeout_ms=30_000,
            topic_data=[TopicProduceData(name=self._topic, partition_data=[data])],
        )
        self.connection.sendall(frame(request, PRODUCE_VERSION))

    def take_produced(self) -> bool:
        """Take the answer to a batch; False if it must be sent again."""
        body = memoryview(read_answer(self.connection))
        response = ProduceResponse.decode(body, PRODUCE_VERSION, RESPONSE_BODY)
        code = response.responses[0].partition_responses[0].error_code
        if code in NOT_YET:
            return False
        assert code == 0, f"a batch was refused: error {code}"
        self.sequence += self._records
        return True

    def send_end(self, *, committed: bool) -> None:
        request = EndTxnRequest(
            transactional_id=self.name,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            committed=committed,
        )
        self.begun = time.perf_counter()
        self.connection.sendall(frame(request, END_VERSION))

    def take_ended(self) -> float:
        """Take the answer to an end; gives the seconds that it took."""
        body = memoryview(read_answer(self.connection))
        taken = time.perf_counter() - self.begun
        response = EndTxnResponse.decode(body, END_VERSION, RESPONSE_BODY)
        assert response.error_code == 0, f"an end was refused: error {response.error_code}"
        self.producer_id, self.epoch = response.producer_id, response.producer_epoch
        self.sequence = 0
        return taken

    def transact(self, batches: int, *, committed: bool) -> float:
        """A whole transaction; gives the seconds that its end took."""
        for _ in range(batches):
            self.send_batch()
            while not self.take_produced():
                self.send_batch()
        self.send_end(committed=committed)
        return self.take_ended()

    def _begin(self) -> None:
        request = InitProducerIdRequest(transactional_id=self.name, transaction_timeout_ms=LONG_MS)
        # The first one who asks for a coordinator makes it.
        find = FindCoordinatorRequest(key_type=TRANSACTION_KEY, coordinator_keys=[self.name])
        deadline = time.monotonic() + 60
        while True:
            self.connection.sendall(frame(find, FIND_VERSION))
            read_answer(self.connection)
            self.connection.sendall(frame(request, INIT_VERSION))
            body = memoryview(read_answer(self.connection))
            response = InitProducerIdResponse.decode(body, INIT_VERSION, RESPONSE_BODY)
            if response.error_code == 0:
                self.producer_id, self.epoch = response.producer_id, response.producer_epoch
                return
            assert response.error_code in NOT_YET, f"error {response.error_code}"
            assert time.monotonic() < deadline, "no producer id in time"
            time.sleep(0.05)


def _await_end(address: str, topic: str, partitions: int, expected: int) -> None:
    """Return when all is written: Kafka answers an end before the last marker is there."""
    deadline = time.monotonic() + 10
    while (found := end_offsets(address, topic, partitions)) != expected:
        assert found < expected, f"{found} offsets instead of {expected}"
        assert time.monotonic() < deadline, f"only {found} of {expected} offsets are written"
        time.sleep(0.01)


def transactions(
    address: str,
    pid: int,
    *,
    topic: str,
    record_bytes: int,
    records: int,
    producers: int,
    seconds: float,
    partitions: int = 1,
) -> dict[str, float]:
    """Producers that commit one transaction of one batch after the other, driven by one thread.

    The percentiles are those of EndTxn.
    """
    batch, count = batch_of(record_bytes, 1 << 20, most=records)
    assert count == records
    before = end_offsets(address, topic, partitions)
    working = {}
    poll = select.epoll()
    for number in range(producers):
        producer = Producer(address, f"{topic}-{number}", topic, number % partitions, batch)
        producer.transact(1, committed=True)
        working[producer.connection.fileno()] = producer
        poll.register(producer.connection, select.EPOLLIN)
    end_offset = before + producers * (records + 1)
    _await_end(address, topic, partitions, end_offset)
    ending: set[Producer] = set()
    times: list[float] = []
    first = Reading.now(pid)
    until = first.time_s + seconds
    for producer in working.values():
        producer.send_batch()
    while working:
        for descriptor, _ in poll.poll():
            producer = working[descriptor]
            if producer not in ending:
                if producer.take_produced():
                    producer.send_end(committed=True)
                    ending.add(producer)
                else:
                    producer.send_batch()
                continue
            times.append(producer.take_ended())
            ending.remove(producer)
            if time.perf_counter() < until:
                producer.send_batch()
            else:
                poll.unregister(producer.connection)
                working.pop(descriptor).connection.close()
    last = Reading.now(pid)
    poll.close()
    _await_end(address, topic, partitions, end_offset + len(times) * (records + 1))
    return {**first.until(last), "requests": len(times), **percentiles(times)}


def fetch_committed(
    address: str,
    pid: int,
    *,
    topic: str,
    record_bytes: int,
    batch_bytes: int,
    batches_per_fetch: int,
    total_bytes: int,
    aborted_percent: int,
    seconds: float,
    warm_up_s: float,
) -> dict[str, float]:
    """Fetch requests along a log of transactions, with either isolation level in turns.

    The log is written first, if it is not there; `bytes` and `seconds` are those of committed
    reading, `plain_bytes` and `plain_seconds` of the other.
    """
    batch, records = batch_of(record_bytes, batch_bytes)
    batches = total_bytes // len(batch) // BATCHES_A_TRANSACTION * BATCHES_A_TRANSACTION
    if end_offsets(address, topic, 1) == 0:
        _fill(address, topic, batch, batches // BATCHES_A_TRANSACTION, aborted_percent)
    size = len(batch) * batches_per_fetch
    # The last fetches would not be whole.
    offsets = [
        number // BATCHES_A_TRANSACTION * (BATCHES_A_TRANSACTION * records + 1)
        + number % BATCHES_A_TRANSACTION * records
        for number in range(0, batches - 2 * batches_per_fetch, batches_per_fetch)
    ]
    totals = {level: [0.0, 0.0, 0.0] for level in (UNCOMMITTED, COMMITTED)}
    connection = connect(address)
    frames = {
        level: cycle([_fetch_frame(topic, offset, size, level) for offset in offsets])
        for level in totals
    }
    for level in totals:
        _read_for(connection, frames[level], warm_up_s / len(totals))
    for _ in range(SLICES):
        for level, sums in totals.items():
            before = Reading.now(pid)
            received = _read_for(connection, frames[level], seconds / SLICES / len(totals))
            spent = before.until(Reading.now(pid))
            found = (received, spent["seconds"], spent["broker_cpu_s"])
            totals[level] = [a + b for a, b in zip(sums, found, strict=True)]
    connection.close()
    (plain, plain_s, plain_cpu), (committed, committed_s, cpu) = totals.values()
    return {
        "bytes": committed,
        "seconds": committed_s,
        "broker_cpu_s": cpu,
        "plain_bytes": plain,
        "plain_seconds": plain_s,
        "plain_cpu_s": plain_cpu,
    }


def _fill(address: str, topic: str, batch: bytes, count: int, aborted_percent: int) -> None:
    """Transactions of equal batches, of which a share is aborted, spread evenly."""
    producer = Producer(address, f"{topic}-fill", topic, 0, batch)
    for number in range(count):
        is_aborted = number * aborted_percent // 100 != (number + 1) * aborted_percent // 100
        producer.transact(BATCHES_A_TRANSACTION, committed=not is_aborted)
    producer.connection.close()


def _fetch_frame(topic: str, offset: int, max_bytes: int, level: int) -> bytes:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    request = FetchRequest(
        max_wait_ms=1000,
        min_bytes=1,
        max_bytes=max_bytes,
        isolation_level=level,
        topics=[FetchTopic(topic=topic, partitions=[partition])],
    )
    return frame(request, FETCH_VERSION)


def _read_for(connection: socket.socket, frames: Iterator[bytes], seconds: float) -> int:
    """Keep two requests open for some time; gives the bytes of all answers."""
    first = next(frames)
    connection.sendall(first)
    response = FetchResponse.decode(
        memoryview(read_answer(connection)), FETCH_VERSION, RESPONSE_BODY
    )
    (partition,) = response.responses[0].partitions
    assert partition.error_code == 0
    assert partition.records, "a fetch of nothing"
    total, number = 0, 2
    connection.sendall(numbered([next(frames), next(frames)]))
    reader = connection.makefile("rb")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        total += _skip_answer(reader)
        connection.sendall(numbered([next(frames)], number))
        number += 1
    for _ in range(2):
        total += _skip_answer(reader)
    return total


def _skip_answer(reader: BufferedReader) -> int:
    """Read a whole answer and forget it; gives its bytes."""
    size = int.from_bytes(reader.read(4), "big")
    received = len(reader.read(size))
    assert received == size, "the broker has closed the connection"
    return received
