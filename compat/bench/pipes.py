"""Sockets that keep a broker busy: frames in large pieces one way, answers counted by size.

All answers of one load have the same size, which the first one tells; so an answer is counted
without being looked at. What was really written or read is checked by the loads afterwards.
"""

import select
import socket
from collections.abc import Callable, Iterator
from typing import Final

from pykbroker.config.listeners import parse_address

TIMEOUT_S: Final = 60.0
READ_BYTES: Final = 1 << 20
# Linux: bytes of a TCP stream are dropped instead of copied to the reader.
_DROP: Final = socket.MSG_TRUNC
_SMALL_ANSWER_BYTES: Final = 4096


def connect(address: str) -> socket.socket:
    """A blocking socket that sends at once."""
    connection = socket.create_connection(parse_address(address), TIMEOUT_S)
    # A timeout would make every call ask poll() first.
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_answer(connection: socket.socket) -> bytes:
    """One whole answer, its size in front."""
    data = connection.recv(READ_BYTES)
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        more = connection.recv(READ_BYTES)
        if not more:
            raise ConnectionError("the broker has closed the connection")
        data += more
    if len(data) != 4 + int.from_bytes(data[:4], "big"):
        raise ConnectionError("the broker has sent more than one answer")
    return data


class Pipe:
    """One connection with several requests open."""

    def __init__(self, connection: socket.socket, pieces: Iterator[tuple[bytes, int]], depth: int):
        """Args:
        pieces: What to send next, and how many requests it is.
        depth: So many requests are open at most.
        """
        self.connection = connection
        self.open = 0
        self._pieces = pieces
        self._depth = depth
        self._next = next(pieces, None)

    def send(self) -> int:
        """Send while there is room; gives the number of requests."""
        before = self.open
        while self._next is not None and self.open + self._next[1] <= self._depth:
            data, count = self._next
            self.connection.sendall(data)
            self.open += count
            self._next = next(self._pieces, None)
        return self.open - before


def pump(
    pipes: list[Pipe], answer_bytes: int, is_over: Callable[[int], bool], seen: bytearray
) -> int:
    """Keep all pipes full until `is_over`, then wait for the open answers.

    Args:
        is_over: Called with the number of answers so far after each read.
        seen: A buffer for the answers.

    Returns:
        The number of answers.
    """
    poll = select.epoll()
    by_descriptor = {pipe.connection.fileno(): pipe for pipe in pipes}
    partial = dict.fromkeys(by_descriptor, 0)
    for descriptor, pipe in by_descriptor.items():
        poll.register(descriptor, select.EPOLLIN)
        pipe.send()
    # Large answers need not be copied: only their bytes count.
    flags = _DROP if answer_bytes > _SMALL_ANSWER_BYTES else 0
    answers = 0
    ended = False
    remaining = sum(pipe.open for pipe in pipes)
    while remaining:
        events = poll.poll(TIMEOUT_S)
        if not events:
            raise TimeoutError(f"{remaining} requests were not answered")
        for descriptor, _ in events:
            pipe = by_descriptor[descriptor]
            received = pipe.connection.recv_into(seen, READ_BYTES, flags)
            if not received:
                raise ConnectionError("the broker has closed the connection")
            count, partial[descriptor] = divmod(partial[descriptor] + received, answer_bytes)
            pipe.open -= count
            answers += count
            remaining -= count
            if not ended:
                ended = is_over(answers)
            if not ended:
                remaining += pipe.send()
    poll.close()
    if any(partial.values()):
        raise ValueError(f"answers that are not of {answer_bytes} bytes")
    return answers
