"""One connection over real sockets, with handlers that the test controls."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from pykbroker.connection import MAX_REQUESTS_PER_TURN
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.request_context import CloseConnection
from pykbroker.request_memory import RequestMemory
from tests.harness.loop import until
from tests.harness.peers import LOOPS, Handle, answer_at_once, connected, run_on, v0
from tests.harness.shell import RecordingOwner, a_heartbeat, framed


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine on each kind of event loop."""
    return partial(run_on, request.param)


def test_requests_are_answered_in_order(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            await peer.send(*map(v0, range(500)))
            assert [await peer.receive() for _ in range(500)] == [(n, 0) for n in range(500)]

    run(test())


def test_a_client_that_pipelines_lets_others_have_their_turn(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        groups: list[str] = []

        def note(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            groups.append(request.group_id)
            return HeartbeatResponse()

        async with connected(note) as peer:
            host, port = peer.writer.get_extra_info("peername")[:2]
            _, other = await asyncio.open_connection(host, port)
            await until(lambda: len(peer.owner.open) == 2)
            other.write(framed(a_heartbeat(0, group_id="other")))
            await peer.send(*(a_heartbeat(0, n, "first") for n in range(500)))
            assert [await peer.receive() for _ in range(500)] == [(n, 0) for n in range(500)]
            assert groups.index("other") <= 2 * MAX_REQUESTS_PER_TURN
            other.close()

    run(test())


def test_a_connection_may_close_before_its_next_turn(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        done = 0

        def close_late(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            nonlocal done
            done += 1
            if done == MAX_REQUESTS_PER_TURN:
                context.connection.abort()
            return HeartbeatResponse()

        async with connected(close_late) as peer:
            await peer.send(*(v0(n) for n in range(100)))
            await until(lambda: bool(peer.owner.closed))
            await asyncio.sleep(0)
            assert done == MAX_REQUESTS_PER_TURN

    run(test())


def test_a_request_may_arrive_byte_by_byte(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            for byte in framed(v0(1)) + framed(v0(2)):
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0)
            assert [await peer.receive(), await peer.receive()] == [(1, 0), (2, 0)]

    run(test())


def test_one_request_is_worked_on_at_a_time(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        started = 0
        gates: list[asyncio.Event] = []

        async def wait(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            nonlocal started
            started += 1
            gates.append(asyncio.Event())
            await gates[-1].wait()
            return HeartbeatResponse()

        def is_started(number: int) -> bool:
            return len(gates) >= number

        async with connected(wait) as peer:
            await peer.send(v0(1), v0(2))
            await peer.send(v0(3))
            for number in (1, 2, 3):
                await until(partial(is_started, number))
                assert started == number
                assert peer.connection.is_waiting
                gates[number - 1].set()
                assert await peer.receive() == (number, 0)

    run(test())


def test_a_client_that_does_not_read_is_not_read(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        served = 0

        async def large(context: Any, request: HeartbeatRequest) -> Any:
            nonlocal served
            served += 1
            return LargeResponse()

        class LargeResponse(HeartbeatResponse):
            def encode(self, version: int) -> list[bytes | bytearray | memoryview]:
                return [b"head", bytes(8 << 20)]

        async with connected(large) as peer:
            transport_socket = peer.writer.get_extra_info("socket")
            assert isinstance(transport_socket, socket.socket) or transport_socket is not None
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await peer.send(*map(v0, range(20)))
            await until(lambda: peer.owner.unsent_bytes > 0)
            for _ in range(200):
                await asyncio.sleep(0)
            assert served == 1
            assert peer.owner.unsent_bytes < (8 << 20) + 8

            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(20):
                size = int.from_bytes(await peer.reader.readexactly(4), "big")
                assert size == (8 << 20) + 8
                left = size
                while left:
                    left -= len(await peer.reader.read(min(left, 1 << 20)))
            assert served == 20
            await until(lambda: peer.owner.unsent_bytes == 0)

    run(test())


@pytest.mark.interpreted
def test_small_answers_to_requests_that_came_together_are_written_together(
    run: Callable[[Awaitable[None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(transport: asyncio.Transport, parts: list[bytes]) -> None:
        written.append(len(parts))
        transport.writelines(parts)

    async def test() -> None:
        monkeypatch.setattr("pykbroker.connection.write_answer", write)
        async with connected(answer_at_once) as peer:
            await peer.send(v0(0))
            assert await peer.receive() == (0, 0)
            written.clear()
            await peer.send(*map(v0, range(10)))
            assert [await peer.receive() for _ in range(10)] == [(n, 0) for n in range(10)]
            assert written == [10]

    run(test())


def test_an_answer_does_not_wait_for_the_next_one_if_that_takes_time(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        gate = asyncio.Event()
        served = 0

        async def wait() -> HeartbeatResponse:
            await gate.wait()
            return HeartbeatResponse()

        def handle(context: Any, request: HeartbeatRequest) -> Any:
            nonlocal served
            served += 1
            return wait() if served == 3 else HeartbeatResponse()

        async with connected(handle) as peer:
            await peer.send(*map(v0, range(5)))
            assert [await peer.receive() for _ in range(2)] == [(0, 0), (1, 0)]
            assert peer.connection.is_waiting
            gate.set()
            assert [await peer.receive() for _ in range(3)] == [(2, 0), (3, 0), (4, 0)]

    run(test())


@pytest.mark.parametrize("is_bad_frame", [True, False])
def test_what_was_answered_before_the_connection_closes_is_written(
    run: Callable[[Awaitable[None]], None], is_bad_frame: bool
) -> None:
    async def test() -> None:
        served = 0

        def handle(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            nonlocal served
            served += 1
            if served == 3:
                raise CloseConnection("acks=0")
            return HeartbeatResponse()

        async with connected(handle) as peer:
            last = b"\xff\xff\xff\xff" if is_bad_frame else framed(v0(2))
            peer.writer.write(framed(v0(0)) + framed(v0(1)) + last)
            assert [await peer.receive() for _ in range(2)] == [(0, 0), (1, 0)]
            assert await peer.is_closed_by_broker()

    run(test())


def test_a_slow_reader_gets_all_answers_in_order(run: Callable[[Awaitable[None]], None]) -> None:
    requests, body = 2000, bytes(5000)

    class Response(HeartbeatResponse):
        def encode(self, version: int) -> list[bytes | bytearray | memoryview]:
            return [body]

    async def later() -> HeartbeatResponse:
        await asyncio.sleep(0)
        return Response()

    async def test() -> None:
        served = 0

        def handle(context: Any, request: HeartbeatRequest) -> Any:
            nonlocal served
            served += 1
            return later() if served % 7 == 0 else Response()

        async with connected(handle) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            sending = asyncio.create_task(peer.send(*map(v0, range(requests))))
            await until(lambda: peer.owner.unsent_bytes > 0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert peer.owner.unsent_bytes < 200_000
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(requests):
                head = await peer.reader.readexactly(8)
                assert struct.unpack(">ii", head) == (4 + len(body), number)
                await peer.reader.readexactly(len(body))
            await sending
            assert served == requests

    run(test())


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS handshake"),
        (b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", "HTTP request"),
        (b"\x7f\xff\xff\xff" + b"x" * 20, "larger than the limit"),
        (b"\xff\xff\xff\xff" + b"x" * 20, "cannot have -1 bytes"),
        (framed(b"\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff"), "unknown API key 999"),
        (framed(b"\x00"), "no room for a header"),
    ],
)
def test_bad_input_closes_the_connection_with_one_clear_line(
    run: Callable[[Awaitable[None]], None],
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    logged: str,
) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            peer.writer.write(sent)
            assert await peer.is_closed_by_broker()
            assert peer.owner.bad_inputs == 1

    with caplog.at_level(logging.INFO, logger="pykbroker"):
        run(test())
    (record,) = caplog.records
    assert logged in record.getMessage()
    assert "peer=127.0.0.1:" in record.getMessage()


def test_a_handler_may_order_to_close(run: Callable[[Awaitable[None]], None]) -> None:
    def at_once(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise CloseConnection("acks=0")

    async def later(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        await asyncio.sleep(0)
        raise CloseConnection("acks=0")

    async def test(handle: Handle) -> None:
        async with connected(handle) as peer:
            await peer.send(v0(1))
            assert await peer.is_closed_by_broker()

    run(test(at_once))
    run(test(later))


def test_a_refused_connection_is_closed(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        owner = RecordingOwner(refusal="max.connections=1")
        async with connected(answer_at_once, owner) as peer:
            assert await peer.is_closed_by_broker()

    run(test())


def test_a_drained_connection_answers_what_is_in_progress(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        gate = asyncio.Event()

        async def wait(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            await gate.wait()
            return HeartbeatResponse()

        async with connected(wait) as peer:
            await peer.send(v0(1))
            await until(lambda: bool(peer.owner.open) and peer.connection.is_waiting)
            peer.connection.drain()
            gate.set()
            assert await peer.receive() == (1, 0)
            assert await peer.is_closed_by_broker()

    run(test())


def test_an_idle_connection_is_drained_at_once(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            await peer.send(v0(1))
            await peer.receive()
            peer.connection.drain()
            assert await peer.is_closed_by_broker()

    run(test())


def test_response_memory_is_lent_again(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            await peer.send(v0(1))
            await peer.receive()
            connection = peer.connection
            first = connection.response_buffer(1000)
            assert connection.response_buffer(60_000).obj is first.obj
            larger = connection.response_buffer(100_000)
            assert len(larger) == 100_000
            assert larger.obj is not first.obj
            huge = connection.response_buffer(10_000_000)
            assert huge.obj is not connection.response_buffer(10_000_000).obj

    run(test())


def test_addresses_of_both_ends_are_known(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        async with connected(answer_at_once) as peer:
            await peer.send(v0(1))
            await peer.receive()
            ours = peer.writer.get_extra_info("sockname")
            theirs = peer.writer.get_extra_info("peername")
            connection = peer.connection
            assert (connection.peer_host, connection.peer_port) == ours
            assert (connection.local_host, connection.local_port) == theirs

    run(test())


def test_a_large_request_waits_for_memory(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        memory = RequestMemory(lambda: 1)
        async with connected(answer_at_once, RecordingOwner(request_memory=memory)) as peer:
            await peer.send(v0(1))
            await peer.receive()
            assert memory.reserve(10, lambda: None)
            # An API that is not flexible ignores what follows the body.
            large = framed(v0(2) + bytes(90_000))
            peer.writer.write(large)
            await until(lambda: memory.waiting == 1)
            assert not peer.connection.is_reading
            memory.release(10)
            assert await peer.receive() == (2, 0)
            assert memory.reserved_bytes == 0

    run(test())


def test_memory_is_given_back_when_the_client_goes_away(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        memory = RequestMemory(lambda: 1_000_000)
        async with connected(answer_at_once, RecordingOwner(request_memory=memory)) as peer:
            peer.writer.write(framed(bytes(90_000))[:1000])
            await until(lambda: memory.reserved_bytes == 90_000)
        assert memory.reserved_bytes == 0

    run(test())
