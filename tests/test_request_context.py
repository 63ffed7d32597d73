import asyncio
from typing import cast

from pykbroker.broker import Broker
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.request_context import ConnectionInfo, Deferred, RequestContext, WhenDurable
from tests.harness.clock import ManualClock
from tests.harness.connections import FakeConnection
from tests.harness.loop import run, turns


def test_a_context_carries_what_a_handler_asks_for() -> None:
    connection: ConnectionInfo = FakeConnection(listener_name="EXTERNAL")
    context = RequestContext(cast(Broker, None), 3, "client", connection.peer_host, connection)
    assert context.connection.listener_name == "EXTERNAL"
    assert len(context.connection.response_buffer(10)) == 10


def test_a_deferred_answer_waits_for_all_of_its_futures() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(3)]
        answer = Deferred(futures, lambda: "answer")
        assert answer.next_wait() is futures[0]
        futures[1].set_exception(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))
        futures[0].set_result(None)
        assert answer.next_wait() is futures[2]
        futures[2].set_result(None)
        assert answer.next_wait() is None
        assert answer.take() == "answer"
        assert futures[1].exception() is not None

    run(main())


def test_a_converted_answer_stays_of_its_kind_and_ends_its_timer() -> None:
    async def main() -> None:
        clock = ManualClock()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        durable = WhenDurable([future], lambda: 20, clock.call_later(1_000, lambda: None))
        converted = durable.then(lambda make: make() + 1)
        assert isinstance(converted, WhenDurable)
        waiting = asyncio.ensure_future(converted)
        await turns()
        assert clock.pending_timers == 1
        future.set_result(None)
        assert await waiting == 21
        assert clock.pending_timers == 0
        assert not isinstance(Deferred([], lambda: 1).then(lambda make: make()), WhenDurable)

    run(main())


def test_who_gives_up_waiting_needs_no_timer_any_more() -> None:
    async def main() -> None:
        clock = ManualClock()
        loop = asyncio.get_running_loop()
        for timer in (clock.call_later(1_000, lambda: None), None):
            future: asyncio.Future[None] = loop.create_future()
            waiting = asyncio.ensure_future(WhenDurable([future], lambda: 20, timer))
            await turns()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert waiting.cancelled()
            assert clock.pending_timers == 0

    run(main())
