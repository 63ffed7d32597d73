from pathlib import Path

import pytest

from pykbroker.handlers import delete_topics
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

BY_NAME_VERSIONS = range(1, 6)
NEWEST = 6
NO_ID = bytes(16)
UNKNOWN_ID = bytes(15) + b"\x12"
INVALID = ErrorCode.INVALID_REQUEST


def by_name(name: str) -> DeleteTopicState:
    return DeleteTopicState(name=name)


def by_id(topic_id: bytes) -> DeleteTopicState:
    return DeleteTopicState(topic_id=topic_id)


async def delete(
    broker: BrokerHarness,
    *topics: DeleteTopicState,
    version: int = NEWEST,
    timeout_ms: int = 1000,
) -> list[DeletableTopicResult]:
    request = DeleteTopicsRequest(timeout_ms=timeout_ms)
    if version < NEWEST:
        request.topic_names = [topic.name or "" for topic in topics]
    else:
        request.topics = list(topics)
    response = await answer(broker, delete_topics, request, version)
    assert isinstance(response, DeleteTopicsResponse)
    return response.responses


@pytest.mark.parametrize("version", [*BY_NAME_VERSIONS, NEWEST])
def test_a_topic_is_gone_when_the_answer_comes(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t", partitions=2)
            await broker.create_topic("other")
            results = await delete(broker, by_name("t"), version=version)
            shown_id = topic_id if version >= NEWEST else NO_ID
            assert results == [DeletableTopicResult("t", shown_id, ErrorCode.NONE, None)]
            assert list(broker.image.topics) == ["other"]
            assert broker.logs.get("t", 1) is None

    run(scenario())


@pytest.mark.parametrize("version", [*BY_NAME_VERSIONS, NEWEST])
def test_an_unknown_name_is_an_error_of_its_own(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            results = await delete(broker, by_name("gone"), by_name("t"), version=version)
            assert [(row.name, row.error_code) for row in results] == [
                ("gone", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("t", ErrorCode.NONE),
            ]
            assert bool(results[0].error_message) == (version >= 5)

    run(scenario())


def test_a_topic_is_deleted_by_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            results = await delete(broker, by_id(topic_id), by_id(UNKNOWN_ID))
            assert [(row.name, row.topic_id, row.error_code) for row in results] == [
                ("t", topic_id, ErrorCode.NONE),
                (None, UNKNOWN_ID, ErrorCode.UNKNOWN_TOPIC_ID),
            ]
            assert not broker.image.topics

    run(scenario())


def test_a_topic_made_again_has_another_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            old_id = await broker.create_topic("t")
            await delete(broker, by_name("t"))
            assert await broker.create_topic("t") != old_id
            (result,) = await delete(broker, by_id(old_id))
            assert result.error_code == ErrorCode.UNKNOWN_TOPIC_ID
            assert list(broker.image.topics) == ["t"]

    run(scenario())


def test_what_is_ambiguous_deletes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            neither = DeleteTopicState()
            both = DeleteTopicState("t", topic_id)
            for topics, expected in (
                # Each of these cannot be told from the others, so each is answered.
                ([neither, neither], [(None, NO_ID), (None, NO_ID)]),
                ([both], [("t", topic_id)]),
                ([by_name("t"), by_name("t")], [("t", NO_ID)]),
                ([by_id(topic_id), by_id(topic_id)], [(None, topic_id)]),
                ([by_name("t"), by_id(topic_id)], [("t", topic_id)]),
                ([by_id(topic_id), by_name("t")], [("t", topic_id)]),
                ([both, by_name("t"), by_id(topic_id)], [("t", topic_id), ("t", topic_id)]),
                ([by_name("gone"), by_name("gone")], [("gone", NO_ID)]),
            ):
                results = await delete(broker, *topics)
                assert [(row.name, row.topic_id) for row in results] == expected
                assert {row.error_code for row in results} == {INVALID}
            assert list(broker.image.topics) == ["t"]

    run(scenario())


@pytest.mark.parametrize("version", [*BY_NAME_VERSIONS, NEWEST])
def test_deletion_may_be_disabled(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, delete_topic_enable="false") as broker:
            await broker.create_topic("t")
            results = await delete(broker, by_name("t"), by_name("t"), version=version)
            expected = INVALID if version < 3 else ErrorCode.TOPIC_DELETION_DISABLED
            # Nothing is looked at more closely, so each row of the request is answered.
            assert [(row.name, row.error_code) for row in results] == [("t", expected)] * 2
            assert [row.error_message for row in results] == [None, None]
            assert list(broker.image.topics) == ["t"]

    run(scenario())


@pytest.mark.parametrize("version", [*BY_NAME_VERSIONS, NEWEST])
def test_no_time_left_deletes_nothing(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (result,) = await delete(broker, by_name("t"), version=version, timeout_ms=0)
            assert (result.name, result.error_code) == ("t", ErrorCode.REQUEST_TIMED_OUT)
            assert result.error_message is None
            assert list(broker.image.topics) == ["t"]

    run(scenario())


def test_no_topics_are_no_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            assert await delete(broker) == []
            assert await delete(broker, version=1) == []

    run(scenario())
