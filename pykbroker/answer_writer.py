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
from collections.abc import Sequence
from typing import Final, cast

from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_slice import FileSlice

log = logging.getLogger(__name__)

SENDS_FILES: Final = sys.platform == "linux"
_MORE_FOLLOWS: Final[int] = getattr(socket, "MSG_MORE", 0)

Part = Buffer | FileSlice


def write_answer(transport: asyncio.Transport, parts: Sequence[Part]) -> None:
    """Write an answer; the transport has nothing to write yet."""
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
