"""Loads of one request at a time on bare sockets: how long an answer takes."""

import select
import socket
import time
from functools import partial
from itertools import cycle
from typing import Final

from compat.bench.frames import batch_of, fetch_frame, frame, produce_frame
from compat.bench.group_load import HEARTBEAT_VERSION, Group
from compat.bench.meter import Reading, latencies, percentiles
from compat.bench.pipes import connect, read_answer
from compat.bench.raw_loads import check_produced, end_offsets
from pykbroker.client import Request
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

WARM_UP: Final = 300
ANSWER_BYTES: Final = 4096
FETCH_BYTES: Final = 1 << 20
FETCH_WAIT_MS: Final = 30_000


def sync_produce(
    address: str, pid: int, *, topic: str, record_bytes: int, acks: int, seconds: float
) -> dict[str, float]:
    """Produce requests of one record, each after the answer to the last."""
    batch, _ = batch_of(record_bytes, 1)
    data = produce_frame(topic, [0], batch, acks)
    before = end_offsets(address, topic, 1)
    with connect(address) as connection:
        check_produced(connection, [data])
        result = latencies(
            partial(_round_trip, connection, data), pid, warm_up=WARM_UP, seconds=seconds
        )
    written = end_offsets(address, topic, 1) - before
    expected = result["requests"] + WARM_UP + 1
    assert written == expected, f"{written} of {expected} records arrived"
    return result


def end_to_end(
    address: str, pid: int, *, topic: str, record_bytes: int, seconds: float
) -> dict[str, float]:
    """From sending a record (acks=1) until a consumer that waits for it has it."""
    batch, _ = batch_of(record_bytes, 1)
    data = produce_frame(topic, [0], batch, 1)
    version, small = _small_request("api_versions", topic)
    between = frame(small, version)
    offset = end_offsets(address, topic, 1)
    with connect(address) as producer, connect(address) as consumer:

        def ask() -> float:
            nonlocal offset
            consumer.sendall(fetch_frame(topic, offset, FETCH_BYTES, FETCH_WAIT_MS))
            # By the time that this is answered the fetch has come to wait.
            _round_trip(producer, between)
            started = time.perf_counter()
            producer.sendall(data)
            fetched = read_answer(consumer)
            taken = time.perf_counter() - started
            assert len(fetched) > len(batch), "the fetch was answered without the record"
            read_answer(producer)
            offset += 1
            return taken

        return latencies(ask, pid, warm_up=WARM_UP, seconds=seconds)


def small_request(
    address: str, pid: int, *, kind: str, topic: str, seconds: float
) -> dict[str, float]:
    """ApiVersions, Metadata of one topic, or the heartbeat of the member of a stable group."""
    group = Group(address, f"bench-heartbeat-{time.time_ns()}", 1) if kind == "heartbeat" else None
    version, request = _small_request(kind, topic, group)
    data = frame(request, version)
    with connect(address) as connection:
        connection.sendall(data)
        answer_bytes = len(read_answer(connection))
        result = latencies(
            partial(_round_trip, connection, data), pid, warm_up=WARM_UP, seconds=seconds
        )
        connection.sendall(data)
        # An error would make the answer of Metadata or ApiVersions another one.
        assert len(read_answer(connection)) == answer_bytes
    if group is not None:
        # A member that the group did not know could not rebalance it.
        group.rebalance()
        group.close()
    return result


def concurrent(
    address: str,
    pid: int,
    *,
    topic: str,
    record_bytes: int,
    batch_bytes: int,
    acks: int,
    connections: int,
    seconds: float,
    partitions: int = 1,
) -> dict[str, float]:
    """Many connections, each with one produce request open at a time, driven by one thread."""
    batch, records = batch_of(record_bytes, batch_bytes)
    frames = [produce_frame(topic, [number], batch, acks) for number in range(partitions)]
    poll = select.epoll()
    begun: dict[int, float] = {}
    sockets: dict[int, tuple[socket.socket, bytes]] = {}
    for _, data in zip(range(connections), cycle(frames), strict=False):
        connection = connect(address)
        answer_bytes = check_produced(connection, [data])
        sockets[connection.fileno()] = connection, data
        poll.register(connection, select.EPOLLIN)
    before = end_offsets(address, topic, partitions)
    times: list[float] = []
    first = Reading.now(pid)
    until = first.time_s + seconds
    for descriptor, (connection, data) in sockets.items():
        begun[descriptor] = time.perf_counter()
        connection.sendall(data)
    while begun:
        for descriptor, _ in poll.poll():
            connection, data = sockets[descriptor]
            assert len(connection.recv(ANSWER_BYTES)) == answer_bytes
            now = time.perf_counter()
            times.append(now - begun[descriptor])
            if now < until:
                begun[descriptor] = now
                connection.sendall(data)
            else:
                del begun[descriptor]
    last = Reading.now(pid)
    poll.close()
    for connection, _ in sockets.values():
        connection.close()
    written = end_offsets(address, topic, partitions) - before
    assert written == len(times) * records, f"{written} records arrived"
    totals = {"requests": len(times), "records": written, "bytes": len(times) * len(batch)}
    return {**first.until(last), **totals, **percentiles(times)}


def _round_trip(connection: socket.socket, data: bytes) -> float:
    started = time.perf_counter()
    connection.sendall(data)
    answer = connection.recv(ANSWER_BYTES)
    taken = time.perf_counter() - started
    assert len(answer) == 4 + int.from_bytes(answer[:4], "big"), "not one whole answer"
    return taken


def _small_request(kind: str, topic: str, group: Group | None = None) -> tuple[int, Request]:
    if kind == "api_versions":
        return 3, ApiVersionsRequest(client_software_name="bench", client_software_version="1")
    if kind == "metadata":
        asked = [MetadataRequestTopic(name=topic)]
        return 12, MetadataRequest(topics=asked, allow_auto_topic_creation=False)
    assert kind == "heartbeat"
    assert group is not None
    (member,) = group.members
    return HEARTBEAT_VERSION, HeartbeatRequest(
        group_id=member.group, generation_id=member.generation, member_id=member.member_id
    )
