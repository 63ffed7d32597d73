"""Answers over a real socket, with parts in files, to readers that are quick, slow, or gone."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from pykbroker import answer_writer
from pykbroker.answer_writer import Part, write_answer
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.file_slice import FileSlice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are sent on Linux only")

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
# More than loopback sockets take at once.
LARGE_BYTES = 20_000_000


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine on each kind of event loop."""

    def run_it(test: Awaitable[None]) -> None:
        async def within_limit() -> None:
            async with asyncio.timeout(20):
                await test

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(within_limit())

    return run_it


class Writing(asyncio.Protocol):
    """The broker's end: knows whether it is told to wait, and whether it is over."""

    def __init__(self) -> None:
        self.is_made = asyncio.Event()
        self.is_lost = asyncio.Event()
        self.is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=0)
        self.is_made.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set()

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False


@asynccontextmanager
async def a_connection() -> AsyncIterator[tuple[Writing, asyncio.StreamReader]]:
    loop = asyncio.get_running_loop()
    writing = Writing()
    server = await loop.create_server(lambda: writing, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await writing.is_made.wait()
    try:
        yield writing, reader
    finally:
        writer.close()
        writing.transport.abort()
        await writing.is_lost.wait()
        server.close()
        await server.wait_closed()


def a_file(directory: Path, data: bytes) -> FileSlice:
    path = directory / "a.log"
    path.write_bytes(data)
    return FileSlice(FileLayer().open(path), 0, len(data), 0)


async def all_of(reader: asyncio.StreamReader, parts: list[Part]) -> bytes:
    return await reader.readexactly(sum(map(len, parts)))


def test_buffers_and_files_arrive_in_their_order(
    run: Callable[[Awaitable[None]], None], tmp_path: Path
) -> None:
    async def test() -> None:
        found = a_file(tmp_path, b"0123456789")
        answers: list[list[Part]] = [
            [b"only"],
            [b"two ", memoryview(b"buffers")],
            [b"head ", found, b" tail"],
            [b"head ", found],
            [b"head ", found, found.behind(4), b" between ", found.behind(9), b" tail"],
        ]
        async with a_connection() as (writing, reader):
            received = []
            for parts in answers:
                write_answer(writing.transport, parts)
                received.append(await all_of(reader, parts))
        assert received == [
            b"only",
            b"two buffers",
            b"head 0123456789 tail",
            b"head 0123456789",
            b"head 0123456789456789 between 9 tail",
        ]

    run(test())


def test_a_slow_reader_gets_everything(
    run: Callable[[Awaitable[None]], None], tmp_path: Path
) -> None:
    async def test() -> None:
        data = os.urandom(LARGE_BYTES)
        parts: list[Part] = [b"head", a_file(tmp_path, data), b"tail"]
        async with a_connection() as (writing, reader):
            write_answer(writing.transport, parts)
            assert writing.is_paused, "the test needs more than the kernel takes at once"
            assert await all_of(reader, parts) == b"head" + data + b"tail"

    run(test())


def test_what_stands_before_a_file_may_be_too_much_already(
    run: Callable[[Awaitable[None]], None], tmp_path: Path
) -> None:
    async def test() -> None:
        head = os.urandom(LARGE_BYTES)
        parts: list[Part] = [head, a_file(tmp_path, b"records"), b"tail"]
        async with a_connection() as (writing, reader):
            write_answer(writing.transport, parts)
            assert await all_of(reader, parts) == head + b"records" + b"tail"

    run(test())


@pytest.mark.parametrize("left", [0, 3, LARGE_BYTES - 10])
def test_an_answer_whose_file_became_shorter_ends_the_connection(
    run: Callable[[Awaitable[None]], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    left: int,
) -> None:
    async def test() -> None:
        found = a_file(tmp_path, bytes(LARGE_BYTES))
        os.truncate(tmp_path / "a.log", left)
        async with a_connection() as (writing, _):
            write_answer(writing.transport, [b"head", found])
            await writing.is_lost.wait()

    run(test())
    (said,) = [record for record in caplog.records if record.name == answer_writer.__name__]
    assert (said.levelno, said.getMessage()) == (
        logging.WARNING,
        "answer cut off reason=a file is shorter than it was",
    )


def test_a_client_that_is_gone_ends_the_connection(
    run: Callable[[Awaitable[None]], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That clients leave in the middle of an answer is nothing to be told of."""
    caplog.set_level(logging.DEBUG, logger=answer_writer.__name__)

    async def test() -> None:
        found = a_file(tmp_path, b"records")
        async with a_connection() as (writing, _):
            end = socket.socket(fileno=writing.transport.get_extra_info("socket").fileno())
            end.shutdown(socket.SHUT_WR)
            end.detach()
            write_answer(writing.transport, [b"head", found])
            await writing.is_lost.wait()

    run(test())
    (said,) = [record for record in caplog.records if record.name == answer_writer.__name__]
    assert said.levelno == logging.DEBUG
