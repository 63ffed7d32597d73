"""Writing an answer to a socket, parts of it straight from the files that it is in.

An answer is written when all of the one before has gone to the kernel, so the socket can be written
to past the transport. What the kernel does not take at once is left to the transport, which says
when it is gone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_slice import FileSlice

log = logging.getLogger(__name__)

SENDS_FILES: Final = sys.platform == "linux"
_MORE_FOLLOWS: Final[int] = getattr(socket, "MSG_MORE", 0)

# A held answer waits while the requests of so many other connections are worked on at most.
MAX_HELD_ANSWERS: Final = 16

Part = Buffer | FileSlice


class AnswerRound:
    """Holds small answers to several connections, to write one right behind the other.

    A write is a long way through the kernel and wakes a client, maybe on a halted processor. When
    the event loop finds requests of many connections at once, working on all and then writing to
    all takes less than taking turns: what each needs stays in the processor's caches, and fewer
    clients are asleep. A connection that is the only one with requests is not held up.
    """

    __slots__ = ("_held", "_last")

    def __init__(self) -> None:
        self._held: list[Callable[[], None]] = []
        self._last = 0  # the id of a connection

    def holds(
        self, connection: object, write: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> bool:
        """Whether `write` will be called at the end of this turn of the loop, at the latest.

        If not, the connection is to write at once, as no other one had an answer since its last.
        """
        if id(connection) == self._last:
            return False
        self._last = id(connection)
        if not self._held:
            loop.call_soon(self._write_all)
        self._held.append(write)
        if len(self._held) >= MAX_HELD_ANSWERS:
            self._write_all()
        return True

    def _write_all(self) -> None:
        held, self._held = self._held, []
        for write in held:
            write()


def write_answer(transport: asyncio.Transport, parts: Sequence[Part]) -> None:
    """Write an answer; the transport has nothing to write yet."""
    if len(parts) == 1 and not isinstance(parts[0], FileSlice):
        transport.write(parts[0])
        return
    if any(isinstance(part, FileSlice) for part in parts):
        try:
            rest = _send(transport.get_extra_info("socket").fileno(), parts)
            buffers = [_in_memory(part) for part in rest]
        except (OSError, KafkaError) as error:
            # The size of the answer is out already: its end is all that can be told.
            has_left = isinstance(error, ConnectionError)
            log.log(
                logging.DEBUG if has_left else logging.WARNING, "answer cut off reason=%s", error
            )
            transport.abort()
            return
    else:
        buffers = cast(list[Buffer], parts)
    if len(buffers) == 1:
        transport.write(buffers[0])
    elif buffers:
        transport.writelines(buffers)


def _send(fd: int, parts: Sequence[Part]) -> list[Part]:
    """Give a socket what it takes now; returns the rest.

    Raises:
        OSError: The client is gone, or a file is not what it was.
    """
    # Borrowed from the transport; to send, its family does not matter.
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        for number, part in enumerate(parts):
            if isinstance(part, FileSlice):
                sent = _send_file(fd, part)
                if sent < part.size_bytes:
                    return [part.behind(sent), *parts[number + 1 :]]
            else:
                # Together with the file that follows.
                flags = _MORE_FOLLOWS if number + 1 < len(parts) else 0
                sent = _send_buffer(borrowed, part, flags)
                if sent < len(part):
                    return [memoryview(part)[sent:], *parts[number + 1 :]]
        return []
    finally:
        borrowed.detach()


def _send_file(fd: int, part: FileSlice) -> int:
    """How many bytes of it the kernel takes now."""
    sent = 0
    while sent < part.size_bytes:
        try:
            count = part.send(fd, sent)
        except BlockingIOError:
            break
        if count == 0:
            raise OSError("a file is shorter than it was")
        sent += count
    return sent


def _send_buffer(borrowed: socket.socket, data: Buffer, flags: int) -> int:
    """How many bytes the kernel takes now."""
    try:
        return borrowed.send(data, flags)
    except BlockingIOError:
        return 0


def _in_memory(part: Part) -> Buffer:
    if not isinstance(part, FileSlice):
        return part
    data = part.read()
    if len(data) < part.size_bytes:
        raise OSError("a file is shorter than it was")
    return data
