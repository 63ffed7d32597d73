import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.faults.server import FaultyServer
from pykbroker.handlers import heartbeat
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.server import DRAIN_TIMEOUT_S
from tests.harness.loop import run, until
from tests.harness.servers import Client, a_config

REQUEST = HeartbeatRequest(group_id="g", member_id="m")


@asynccontextmanager
async def a_faulty_server(directory: Path, rules: Rules) -> AsyncIterator[FaultyServer]:
    server = FaultyServer(a_config(directory, pykbroker_fsync="never"), rules)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def answered(client: Client) -> int:
    return (await client.call(REQUEST, 4, HeartbeatResponse)).error_code


def test_rules_come_and_go_while_clients_are_connected(tmp_path: Path) -> None:
    async def main() -> None:
        rules = Rules()
        async with a_faulty_server(tmp_path, rules) as server, await Client.connect(server) as peer:
            assert await answered(peer) == ErrorCode.NOT_COORDINATOR
            with rules.add("Heartbeat", error="REBALANCE_IN_PROGRESS", times=1) as rule:
                assert await answered(peer) == ErrorCode.REBALANCE_IN_PROGRESS
                assert await answered(peer) == ErrorCode.NOT_COORDINATOR
                assert (rule.matched, rule.applied) == (2, 1)
            assert await answered(peer) == ErrorCode.NOT_COORDINATOR

    run(main())


def test_without_rules_nothing_stands_before_the_handlers(tmp_path: Path) -> None:
    async def main() -> None:
        rules = Rules()
        async with a_faulty_server(tmp_path, rules) as server, await Client.connect(server) as peer:
            for _ in range(2):
                await answered(peer)
                table = server.dispatcher._loaded
                assert table[ApiKey.HEARTBEAT].handle is heartbeat.handle
                with rules.add(delay_ms=1):
                    await answered(peer)
                    table = server.dispatcher._loaded
                    assert table[ApiKey.HEARTBEAT].handle is not heartbeat.handle

    run(main())


def test_requests_wait_while_time_is_moved_on(tmp_path: Path) -> None:
    async def main() -> None:
        clock = MovableClock()
        server = FaultyServer(a_config(tmp_path, pykbroker_fsync="never"), Rules(), clock)
        await server.start()
        try:
            async with await Client.connect(server) as peer:
                answers: list[asyncio.Task[int]] = []
                clock.call_later(1000, lambda: answers.append(asyncio.create_task(answered(peer))))
                is_answered = []
                for seconds in range(2, 10):
                    clock.call_later(seconds * 1000, lambda: is_answered.append(answers[0].done()))
                await clock.advance(10_000)
                assert is_answered == [False] * 8
                assert await answers[0] == ErrorCode.NOT_COORDINATOR
                await answered(peer)
                assert server.dispatcher._loaded[ApiKey.HEARTBEAT].handle is heartbeat.handle
        finally:
            await server.stop()
        assert clock._listeners == []

    run(main())


def test_rules_outlive_the_server(tmp_path: Path) -> None:
    async def main() -> None:
        rules = Rules()
        rules.add("Heartbeat", error="REBALANCE_IN_PROGRESS")
        for _ in range(2):
            async with (
                a_faulty_server(tmp_path, rules) as server,
                await Client.connect(server) as peer,
            ):
                assert await answered(peer) == ErrorCode.REBALANCE_IN_PROGRESS
        assert rules._listeners == []

    run(main())


def test_a_server_that_cannot_start_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        rules = Rules()
        async with a_faulty_server(tmp_path, rules):
            second = FaultyServer(a_config(tmp_path), rules)
            with pytest.raises(Exception, match="in use"):
                await second.start()
            assert len(rules._listeners) == 1
        await FaultyServer(a_config(tmp_path), rules).stop()

    run(main())


@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"delay_ms": 60_000}])
def test_requests_that_are_held_do_not_delay_the_stop(
    tmp_path: Path, fault: dict[str, int]
) -> None:
    async def main() -> None:
        rules = Rules()
        rule = rules.add("Heartbeat", **fault)  # type: ignore[arg-type]
        async with a_faulty_server(tmp_path, rules) as server:
            peer = await Client.connect(server)
            await peer.send(REQUEST, 4)
            await until(lambda: rule.applied == 1)
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < DRAIN_TIMEOUT_S
        async with peer:
            assert await peer.is_closed_by_server()

    run(main())
