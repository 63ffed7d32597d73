"""Answers that come later, and for which the connection needs no task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.request_context import Deferred
from tests.harness.loop import turns, until
from tests.harness.peers import LOOPS, Peer, connected, run_on, v0


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine on each kind of event loop."""
    return partial(run_on, request.param)


class Coordinator:
    """A Heartbeat handler whose answers the test gives."""

    def __init__(self) -> None:
        self.parked: list[asyncio.Future[HeartbeatResponse]] = []

    def handle(
        self, context: Any, request: HeartbeatRequest
    ) -> HeartbeatResponse | Deferred[HeartbeatResponse]:
        future: asyncio.Future[HeartbeatResponse] = asyncio.get_running_loop().create_future()
        self.parked.append(future)
        return Deferred([future], future.result)

    async def has_parked(self, number: int) -> None:
        """Return when so many requests are parked, and no more."""
        await until(lambda: len(self.parked) >= number)
        await turns(20)
        assert len(self.parked) == number


def is_reading(peer: Peer) -> bool:
    transport = peer.connection._transport
    assert transport is not None
    return transport.is_reading()


def test_the_next_request_waits_until_the_deferred_answer_is_given(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1), v0(2), v0(3))
            for number in range(1, 4):
                await coordinator.has_parked(number)
                coordinator.parked[-1].set_result(HeartbeatResponse(error_code=number))
                assert await peer.receive() == (number, number)

    run(test())


def test_reading_stops_only_when_more_is_sent_meanwhile(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1))
            await coordinator.has_parked(1)
            assert is_reading(peer)
            await peer.send(v0(2))
            await until(lambda: not is_reading(peer))
            await coordinator.has_parked(1)
            for number in (1, 2):
                await coordinator.has_parked(number)
                coordinator.parked[-1].set_result(HeartbeatResponse())
                assert await peer.receive() == (number, 0)
            assert is_reading(peer)

    run(test())


def test_an_error_instead_of_the_answer_is_that_of_the_api(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1))
            await coordinator.has_parked(1)
            coordinator.parked[0].set_exception(KafkaError(ErrorCode.NOT_COORDINATOR))
            assert await peer.receive() == (1, ErrorCode.NOT_COORDINATOR)

    run(test())


def test_a_client_that_sends_nothing_more_gets_its_answer(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1))
            peer.writer.write_eof()
            await coordinator.has_parked(1)
            assert peer.connection.is_waiting
            coordinator.parked[0].set_result(HeartbeatResponse())
            assert await peer.receive() == (1, 0)
            assert await peer.is_closed_by_broker()

    run(test())


def test_a_client_may_be_gone_when_its_answer_comes(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1))
            await coordinator.has_parked(1)
            connection = peer.connection
            connection.abort()
            await until(lambda: bool(peer.owner.closed))
            coordinator.parked[0].set_result(HeartbeatResponse())
            await until(lambda: not connection.is_waiting)

    run(test())


def test_an_answer_that_is_given_up_closes_the_connection(
    run: Callable[[Awaitable[None]], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        coordinator = Coordinator()
        async with connected(coordinator.handle) as peer:
            await peer.send(v0(1))
            await coordinator.has_parked(1)
            coordinator.parked[0].cancel()
            assert await peer.is_closed_by_broker()

    with caplog.at_level("INFO"):
        run(test())
    assert "reason=the broker is stopping" in caplog.text
