"""Answers to several connections in one turn of the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from pykbroker.answer_writer import MAX_HELD_ANSWERS, AnswerRound, write_answer
from pykbroker.connection import Connection
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from tests.harness.loop import until
from tests.harness.peers import LOOPS, Peer, connected, run_on, v0
from tests.harness.shell import framed


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine on each kind of event loop."""
    return partial(run_on, request.param)


def test_a_connection_that_is_alone_is_not_held_up(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        turn, one, other, calls = AnswerRound(), object(), object(), list[str]()
        loop = asyncio.get_running_loop()

        def holds(connection: object, name: str) -> bool:
            return turn.holds(connection, partial(calls.append, name), loop)

        assert holds(one, "a")
        assert not holds(one, "b")
        assert holds(other, "c")
        assert calls == []
        await asyncio.sleep(0)
        assert calls == ["a", "c"]
        assert not holds(other, "d")

    run(test())


def test_answers_are_not_held_for_long(run: Callable[[Awaitable[None]], None]) -> None:
    async def test() -> None:
        turn, calls = AnswerRound(), list[int]()
        loop = asyncio.get_running_loop()
        connections = [object() for _ in range(MAX_HELD_ANSWERS + 1)]
        for number, connection in enumerate(connections):
            assert turn.holds(connection, partial(calls.append, number), loop)
        assert calls == list(range(MAX_HELD_ANSWERS))
        await asyncio.sleep(0)
        assert calls == list(range(MAX_HELD_ANSWERS + 1))

    run(test())


async def others_of(peer: Peer, count: int) -> list[socket.socket]:
    """Open more connections to the same server."""
    address = peer.writer.get_extra_info("peername")
    found = []
    for number in range(count):
        found.append(socket.create_connection(address))
        await until(lambda expected=number + 2: len(peer.owner.open) == expected)  # type: ignore[misc]
    return found


async def answer_of(client: socket.socket) -> bytes:
    client.setblocking(False)
    return await asyncio.get_running_loop().sock_recv(client, 100)


ANSWER = b"\0\0\0\6" + b"\0\0\0\1" + b"\0\0"


@pytest.mark.interpreted
def test_answers_to_several_connections_are_written_together(
    run: Callable[[Awaitable[None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def write(transport: asyncio.Transport, parts: list[bytes]) -> None:
        events.append("write")
        write_answer(transport, parts)

    def handle(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        events.append("handle")
        return HeartbeatResponse()

    async def test() -> None:
        monkeypatch.setattr("pykbroker.connection.write_answer", write)
        async with connected(handle) as peer:
            clients = await others_of(peer, 3)
            for client in clients:  # the event loop sees none of them before it sees all
                client.sendall(framed(v0(1)))
            assert [await answer_of(client) for client in clients] == [ANSWER] * 3
            assert events == ["handle"] * 3 + ["write"] * 3
            for client in clients:
                client.close()

    run(test())


def test_a_client_that_ends_its_sending_gets_its_held_answer(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def test() -> None:
        async with connected(lambda context, request: HeartbeatResponse()) as peer:
            clients = await others_of(peer, 2)
            for client in clients:
                client.sendall(framed(v0(1)))
                client.shutdown(socket.SHUT_WR)
            assert [await answer_of(client) for client in clients] == [ANSWER] * 2
            for client in clients:
                client.close()

    run(test())


@pytest.mark.parametrize("order", [Connection.drain, Connection.close, Connection.abort])
def test_a_connection_may_end_while_its_answer_is_held(
    run: Callable[[Awaitable[None]], None], order: Callable[[Connection], None]
) -> None:
    async def test() -> None:
        served: list[Connection] = []

        def handle(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
            served.append(context.connection)
            if len(served) == 2:
                order(served[0])
            return HeartbeatResponse()

        async with connected(handle) as peer:
            clients = await others_of(peer, 2)
            for client in clients:
                client.sendall(framed(v0(1)))
            await until(lambda: len(peer.owner.closed) == 1)
            first = clients[served[0] is not peer.owner.open[1]]
            second = clients[served[0] is peer.owner.open[1]]
            assert await answer_of(second) == ANSWER
            if order is Connection.drain:
                assert await answer_of(first) == ANSWER
            for client in clients:
                client.close()

    run(test())
