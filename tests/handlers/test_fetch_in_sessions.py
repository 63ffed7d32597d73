from pathlib import Path
from typing import Any

from pykbroker.handlers import fetch
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.fetch import (
    FetchResponse,
    ForgottenTopic,
)
from tests.harness.broker import a_broker
from tests.harness.fetched import a_fetch, ask, numbers, values
from tests.harness.loop import run, turns
from tests.harness.produced import append, only


def test_a_session_answers_what_has_changed(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=3)
            opened = await ask(broker, a_fetch((0, 0), (1, 0), (9, 0), session_epoch=0))
            session_id = opened.session_id
            assert session_id > 0
            assert numbers(opened) == [("t", 0, 0), ("t", 1, 0), ("t", 9, 3)]

            async def follow(
                epoch: int, *partitions: tuple[int, int], **more: Any
            ) -> FetchResponse:
                request = a_fetch(*partitions, session_id=session_id, session_epoch=epoch, **more)
                return await ask(broker, request)

            again = await follow(1)
            assert (again.session_id, numbers(again)) == (session_id, [("t", 9, 3)])
            await append(broker, b"a", partition=1)
            response = await follow(2)
            assert numbers(response) == [("t", 1, 0), ("t", 9, 3)]
            assert values(response.responses[0].partitions[0]) == [b"a"]
            forgotten = [ForgottenTopic(topic="t", partitions=[9])]
            assert numbers(await follow(3, (1, 1), forgotten_topics_data=forgotten)) == []
            await append(broker, b"b", partition=0)
            assert numbers(await follow(4)) == [("t", 0, 0)]
            assert (await follow(3)).error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH

    run(main())


def test_a_session_without_news_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            session_id = (await ask(broker, a_fetch((0, 0), (1, 0), session_epoch=0))).session_id
            request = a_fetch(session_id=session_id, session_epoch=1, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            assert not task.done()
            await append(broker, b"a", partition=1)
            assert numbers(await task) == [("t", 1, 0)]

    run(main())


def test_a_session_error_has_no_partitions(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            session_id = (await ask(broker, a_fetch((0, 0), session_epoch=0))).session_id
            for request, version, code in (
                (a_fetch(session_id=session_id + 1, session_epoch=1), 12, 70),
                (a_fetch(session_id=session_id, session_epoch=5), 12, 71),
                (
                    a_fetch((0, 0), topic_id=topic_id, session_id=session_id, session_epoch=1),
                    13,
                    106,
                ),
            ):
                response = await ask(broker, request, version)
                assert (response.error_code, response.session_id) == (code, 0)
                assert response.responses == []

    run(main())


def test_two_requests_in_one_session_epoch_are_noticed(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            session_id = (await ask(broker, a_fetch((0, 0), session_epoch=0))).session_id
            slow = broker.start(
                fetch, a_fetch(session_id=session_id, session_epoch=1, max_wait_ms=500), 12
            )
            await turns()
            await ask(broker, a_fetch(session_id=session_id, session_epoch=2))
            broker.clock.advance(500)
            response = await slow
            assert response.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
            assert (response.session_id, response.responses) == (session_id, [])

    run(main())


def test_a_topic_that_appears_is_found_by_the_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            later = broker.image
            broker.show_image(later.without_topics(["t"]))
            opened = await ask(broker, a_fetch((0, 0), topic_id=topic_id, session_epoch=0), 13)
            assert only(opened).error_code == ErrorCode.UNKNOWN_TOPIC_ID
            broker.show_image(later)
            request = a_fetch(session_id=opened.session_id, session_epoch=1)
            assert only(await ask(broker, request, 13)).error_code == ErrorCode.NONE

    run(main())


def test_a_topic_that_was_made_again_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            await append(broker, b"a")
            opened = await ask(broker, a_fetch((0, 0), topic_id=topic_id, session_epoch=0), 13)
            await broker.delete_topic("t")
            request = a_fetch(session_id=opened.session_id, session_epoch=1)
            gone = only(await ask(broker, request, 13))
            assert gone.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            await broker.create_topic("t")
            request.session_epoch = 2
            other = only(await ask(broker, request, 13))
            assert other.error_code == ErrorCode.INCONSISTENT_TOPIC_ID

    run(main())
