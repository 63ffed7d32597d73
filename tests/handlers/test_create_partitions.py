from pathlib import Path

import pytest

from pykbroker.handlers import create_partitions
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

VERSIONS = range(4)
NEWEST = 3
BAD_COUNT = ErrorCode.INVALID_PARTITIONS
BAD_ASSIGNMENT = ErrorCode.INVALID_REPLICA_ASSIGNMENT


def a_topic(
    name: str = "t", count: int = 3, assignments: list[list[int]] | None = None
) -> CreatePartitionsTopic:
    return CreatePartitionsTopic(
        name=name,
        count=count,
        assignments=(
            None
            if assignments is None
            else [CreatePartitionsAssignment(broker_ids=brokers) for brokers in assignments]
        ),
    )


async def grow(
    broker: BrokerHarness,
    *topics: CreatePartitionsTopic,
    version: int = NEWEST,
    timeout_ms: int = 1000,
    validate_only: bool = False,
) -> list[CreatePartitionsTopicResult]:
    request = CreatePartitionsRequest(
        topics=list(topics), timeout_ms=timeout_ms, validate_only=validate_only
    )
    response = await answer(broker, create_partitions, request, version)
    assert isinstance(response, CreatePartitionsResponse)
    return response.results


def count(broker: BrokerHarness, topic: str = "t") -> int:
    return len(broker.image.topics[topic].partitions)


@pytest.mark.parametrize("version", VERSIONS)
def test_new_partitions_are_there_when_the_answer_comes(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            results = await grow(broker, a_topic(count=3), version=version)
            assert results == [CreatePartitionsTopicResult("t", ErrorCode.NONE, None)]
            assert count(broker) == 3
            assert broker.log("t", 2).topic_id == topic_id

    run(scenario())


@pytest.mark.parametrize("version", VERSIONS)
def test_validation_alone_changes_nothing(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (result,) = await grow(broker, a_topic(count=9), version=version, validate_only=True)
            assert result.error_code == ErrorCode.NONE
            assert count(broker) == 1

    run(scenario())


def test_the_new_replicas_may_be_given(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (result,) = await grow(broker, a_topic(count=3, assignments=[[1], [1]]))
            assert result.error_code == ErrorCode.NONE
            assert count(broker) == 3

    run(scenario())


REFUSALS: list[tuple[CreatePartitionsTopic, ErrorCode, str]] = [
    (a_topic(count=2), BAD_COUNT, "Topic already has 2 partition(s)."),
    (a_topic(count=1), BAD_COUNT, "currently has 2 partition(s); 1 would not be an increase"),
    (a_topic(count=-1), BAD_COUNT, "-1 would not be an increase"),
    (a_topic("gone"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ""),
    (a_topic(assignments=[]), BAD_ASSIGNMENT, "only 0 assignment(s) were specified"),
    (a_topic(assignments=[[1], [1]]), BAD_ASSIGNMENT, "only 2 assignment(s)"),
    (a_topic(assignments=[[4]]), BAD_ASSIGNMENT, "broker 4, but no such broker"),
    (a_topic(assignments=[[]]), BAD_ASSIGNMENT, "empty replica list"),
]


def test_a_refused_topic_says_why_and_harms_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            await broker.create_topic("other")
            for number, (topic, code, message) in enumerate(REFUSALS, start=2):
                refused, grown = await grow(broker, topic, a_topic("other", count=number))
                assert (refused.name, refused.error_code) == (topic.name, code)
                assert message in (refused.error_message or "")
                assert bool(message) == (refused.error_message is not None)
                assert grown.error_code == ErrorCode.NONE
                assert (count(broker), count(broker, "other")) == (2, number)

    run(scenario())


def test_too_many_new_partitions_refuse_the_whole_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            await broker.create_topic("other")
            results = await grow(broker, a_topic("other", count=2), a_topic(count=20_000))
            assert [row.error_code for row in results] == [ErrorCode.POLICY_VIOLATION] * 2
            assert (count(broker), count(broker, "other")) == (2, 1)

    run(scenario())


def test_a_name_that_comes_twice_is_refused_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            results = await grow(broker, a_topic(count=2), a_topic(count=3))
            assert [(row.name, row.error_code) for row in results] == [
                ("t", ErrorCode.INVALID_REQUEST)
            ]
            assert count(broker) == 1

    run(scenario())


def test_no_time_left_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (result,) = await grow(broker, a_topic(count=2), timeout_ms=0)
            assert result.error_code == ErrorCode.REQUEST_TIMED_OUT
            assert result.error_message is None
            assert count(broker) == 1

    run(scenario())
