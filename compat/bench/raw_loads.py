"""Loads of prebuilt frames on bare sockets, where the broker is what limits.

Each is a function of the broker's address and pid that gives figures by name; `bytes` are those of
the records. `load.py` runs them in a process of their own.
"""

import socket
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

from compat.bench import machine
from compat.bench.frames import (
    FETCH_VERSION,
    PRODUCE_VERSION,
    batch_of,
    fetch_frame,
    numbered,
    produce_frame,
)
from compat.bench.meter import Window
from compat.bench.pipes import READ_BYTES, Pipe, connect, pump, read_answer
from pykbroker.client import LATEST, Client
from pykbroker.protocol.messages.fetch import FetchResponse
from pykbroker.protocol.messages.produce import ProduceResponse

PIECE_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 600_000_000
"""A run ends early after so many bytes, to keep the disk's own speed out of it."""
RESPONSE_BODY: Final = 9
"""Behind the size: correlation id and the tags of a flexible header."""


def produce(
    address: str,
    pid: int,
    *,
    topic: str,
    record_bytes: int,
    batch_bytes: int,
    acks: int,
    seconds: float,
    warm_up_s: float,
    partitions: int = 1,
    per_request: int = 1,
    connections: int = 1,
    mixed: bool = False,
) -> dict[str, float]:
    """Produce requests, so many open that the broker never waits for one.

    Args:
        partitions: Of the topic; the requests go round them.
        per_request: Partitions in one request.
    """
    batch, records = batch_of(record_bytes, batch_bytes, mixed=mixed)
    groups = [range(first, first + per_request) for first in range(0, partitions, per_request)]
    frames = [produce_frame(topic, group, batch, acks) for group in groups]
    before = end_offsets(address, topic, partitions)
    sockets = [connect(address) for _ in range(connections)]
    answer_bytes = check_produced(sockets[0], frames)
    pieces = list(_pieces(frames))
    most = max(pieces, key=lambda piece: piece[1])[1]
    window = Window(pid, warm_up_s, seconds, MOST_BYTES // (len(batch) * per_request))
    pipes = [Pipe(connection, cycle(pieces), 2 * most) for connection in sockets]
    answers = pump(pipes, answer_bytes, window.is_over, bytearray(READ_BYTES))
    for connection in sockets:
        connection.close()
    written = end_offsets(address, topic, partitions) - before
    expected = (answers + len(frames)) * records * per_request
    assert written == expected, f"{written} of {expected} records arrived"
    result = window.result()
    batches = result["requests"] * per_request
    return {**result, "records": batches * records, "bytes": batches * len(batch)}


def fill(
    address: str, pid: int, *, topic: str, record_bytes: int, batch_bytes: int, total_bytes: int
) -> dict[str, float]:
    """Write a log of equal batches to be fetched."""
    batch, records = batch_of(record_bytes, batch_bytes)
    data = produce_frame(topic, [0], batch, 1)
    connection = connect(address)
    answer_bytes = check_produced(connection, [data])
    batches = total_bytes // len(batch) - 1
    pieces = ((numbered([data], number), 1) for number in range(batches))
    pump([Pipe(connection, pieces, 8)], answer_bytes, lambda _: False, bytearray(READ_BYTES))
    connection.close()
    end = end_offsets(address, topic, 1)
    assert end == (batches + 1) * records, f"{end} records arrived"
    return {"batches": batches + 1}


def fetch(
    address: str,
    pid: int,
    *,
    topic: str,
    record_bytes: int,
    batch_bytes: int,
    batches_per_fetch: int,
    total_bytes: int,
    seconds: float,
    warm_up_s: float,
    cold_directory: str | None = None,
) -> dict[str, float]:
    """Fetch requests along the log that `fill` has written, again and again.

    Args:
        cold_directory: The partition's directory: its pages are dropped from the page cache
            first, and each part of the log is fetched once.
    """
    batch, records = batch_of(record_bytes, batch_bytes)
    size = len(batch) * batches_per_fetch
    step = records * batches_per_fetch
    fetches = total_bytes // len(batch) // batches_per_fetch
    depth = max(2, min(16, PIECE_BYTES * 2 // size))
    connection = connect(address)
    answer_bytes = _check_fetched(connection, fetch_frame(topic, 0, size), size)
    frames = [fetch_frame(topic, number * step, size) for number in range(fetches)]
    pieces: Iterator[tuple[bytes, int]] = cycle(list(_pieces(frames, max(1, depth // 2))))
    if cold_directory is not None:
        seconds, warm_up_s = 600.0, 0.0
        dropped = drop_page_cache(Path(cold_directory))
        assert dropped >= fetches * size, f"only {dropped} bytes were dropped"
    window = Window(pid, warm_up_s, seconds, fetches * 9 // 10 if cold_directory else 1 << 60)
    read_before = machine.disk_bytes_read(pid)
    pump([Pipe(connection, pieces, depth)], answer_bytes, window.is_over, bytearray(READ_BYTES))
    connection.close()
    result = window.result()
    total = result["requests"] * size
    from_disk = machine.disk_bytes_read(pid) - read_before
    return {
        **result,
        "records": result["requests"] * step,
        "bytes": total,
        "disk_share": from_disk / total,
    }


def drop_page_cache(directory: Path) -> int:
    """Write the logs of a partition to the disk and forget their pages; gives their bytes."""
    total = 0
    for path in sorted(directory.glob("*.log")):
        total += machine.drop_pages(path)
    return total


def end_offsets(address: str, topic: str, partitions: int) -> int:
    """The sum of the end offsets of the partitions."""
    with Client(address) as client:
        return sum(client.offsets(client.topic(topic), range(partitions), LATEST).values())


def check_produced(connection: socket.socket, frames: Sequence[bytes]) -> int:
    """Send each request once, see that it is written, and give the size of the answers."""
    sizes = set()
    for data in frames:
        connection.sendall(data)
        answer = read_answer(connection)
        response = ProduceResponse.decode(memoryview(answer), PRODUCE_VERSION, RESPONSE_BODY)
        codes = {part.error_code for part in response.responses[0].partition_responses}
        assert codes == {0}, f"error codes {codes}"
        sizes.add(len(answer))
    (size,) = sizes
    return size


def _check_fetched(connection: socket.socket, request: bytes, expected: int) -> int:
    """Fetch once, see that so many bytes of records come, and give the size of the answer."""
    connection.sendall(request)
    answer = read_answer(connection)
    response = FetchResponse.decode(memoryview(answer), FETCH_VERSION, RESPONSE_BODY)
    (partition,) = response.responses[0].partitions
    assert partition.error_code == 0
    assert len(partition.records or b"") == expected, "a fetch of another size"
    return len(answer)


def _pieces(frames: Sequence[bytes], per_piece: int | None = None) -> Iterator[tuple[bytes, int]]:
    """The frames in pieces of some number; few small ones are repeated to fill a piece."""
    size = per_piece or max(1, PIECE_BYTES // len(frames[0]))
    repeated = list(frames) * max(1, size // len(frames))
    for first in range(0, len(repeated), size):
        part = repeated[first : first + size]
        yield numbered(part, first), len(part)
