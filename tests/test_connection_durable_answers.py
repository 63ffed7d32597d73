"""Produce requests of one connection that wait for the disk together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from pykbroker.connection import MAX_UNANSWERED
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.produce import ProduceRequest, ProduceResponse
from pykbroker.request_context import CloseConnection, WhenDurable
from tests.harness.loop import until
from tests.harness.peers import LOOPS, answer_at_once, connected, run_on, v0
from tests.harness.shell import a_produce, framed


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine on each kind of event loop."""
    return partial(run_on, request.param)


class Disk:
    """A Produce handler whose requests wait until the test says that they are durable."""

    def __init__(self) -> None:
        self.waits: list[asyncio.Future[None]] = []

    def produce(self, context: Any, request: ProduceRequest) -> WhenDurable[ProduceResponse] | None:
        if request.acks == 0:
            return None
        if request.acks not in (-1, 1):
            raise CloseConnection("acks")
        future = asyncio.get_running_loop().create_future()
        self.waits.append(future)
        return WhenDurable([future], ProduceResponse)

    async def has_begun(self, number: int) -> None:
        """Return when so many requests wait, and no more."""
        await until(lambda: len(self.waits) >= number)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(self.waits) == number


def test_produce_requests_wait_for_the_disk_together_and_are_answered_in_order(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        disk = Disk()
        async with connected(answer_at_once, produce=disk.produce) as peer:
            await peer.send(a_produce(1), a_produce(2))
            await disk.has_begun(2)
            await peer.send(a_produce(3), a_produce(4, acks=0))
            await disk.has_begun(3)
            disk.waits[1].set_result(None)
            disk.waits[2].set_exception(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
            for _ in range(20):
                await asyncio.sleep(0)
            assert peer.connection.is_waiting
            disk.waits[0].set_result(None)
            assert [await peer.receive_produced() for _ in range(3)] == [1, 2, 3]
            await until(lambda: not peer.connection.is_waiting)
            await peer.send(v0(5))
            assert await peer.receive() == (5, 0)

    run(test())


@pytest.mark.interpreted
def test_answers_that_became_durable_together_are_written_together(
    run: Callable[[Awaitable[None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(transport: asyncio.Transport, parts: list[bytes]) -> None:
        written.append(len(parts))
        transport.writelines(parts)

    async def test() -> None:
        monkeypatch.setattr("pykbroker.connection.write_answer", write)
        disk = Disk()
        async with connected(answer_at_once, produce=disk.produce) as peer:
            await peer.send(*map(a_produce, range(5)))
            await disk.has_begun(5)
            for future in disk.waits:
                future.set_result(None)
            assert [await peer.receive_produced() for _ in range(5)] == list(range(5))
            assert written == [5]

    run(test())


def test_another_request_waits_for_those_that_wait_for_the_disk(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        disk = Disk()
        beats = 0

        def beat(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            nonlocal beats
            beats += 1
            return HeartbeatResponse()

        async with connected(beat, produce=disk.produce) as peer:
            await peer.send(a_produce(1), v0(2), a_produce(3))
            await disk.has_begun(1)
            assert beats == 0
            disk.waits[0].set_result(None)
            assert await peer.receive_produced() == 1
            assert await peer.receive() == (2, 0)
            await disk.has_begun(2)
            disk.waits[1].set_result(None)
            assert await peer.receive_produced() == 3

    run(test())


def test_no_more_than_so_many_requests_wait_for_the_disk(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        disk = Disk()
        async with connected(answer_at_once, produce=disk.produce) as peer:
            await peer.send(*map(a_produce, range(MAX_UNANSWERED + 10)))
            await disk.has_begun(MAX_UNANSWERED)
            for future in disk.waits:
                future.set_result(None)
            for number in range(MAX_UNANSWERED):
                assert await peer.receive_produced() == number
            await disk.has_begun(MAX_UNANSWERED + 10)
            for future in disk.waits[MAX_UNANSWERED:]:
                future.set_result(None)
            for number in range(MAX_UNANSWERED, MAX_UNANSWERED + 10):
                assert await peer.receive_produced() == number

    run(test())


@pytest.mark.parametrize("last", [framed(a_produce(2, acks=7)), b"\xff\xff\xff\xff"])
def test_what_waits_for_the_disk_is_answered_before_the_connection_closes(
    run: Callable[[Awaitable[None]], None], last: bytes
) -> None:
    async def test() -> None:
        disk = Disk()
        async with connected(answer_at_once, produce=disk.produce) as peer:
            peer.writer.write(framed(a_produce(1)) + last)
            await disk.has_begun(1)
            disk.waits[0].set_result(None)
            assert await peer.receive_produced() == 1
            assert await peer.is_closed_by_broker()

    run(test())


def test_a_drained_connection_answers_what_waits_for_the_disk(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        disk = Disk()
        async with connected(answer_at_once, produce=disk.produce) as peer:
            await peer.send(a_produce(1), a_produce(2))
            await disk.has_begun(2)
            peer.connection.drain()
            await peer.send(a_produce(3))
            for future in disk.waits:
                future.set_result(None)
            assert [await peer.receive_produced() for _ in range(2)] == [1, 2]
            assert await peer.is_closed_by_broker()
            assert len(disk.waits) == 2

    run(test())
