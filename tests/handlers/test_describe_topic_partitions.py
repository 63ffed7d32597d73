from pathlib import Path

import pytest

from pykbroker.handlers import describe_topic_partitions
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    TopicRequest,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

Page = tuple[list[tuple[str | None, list[int]]], tuple[str, int] | None]


def a_request(
    *names: str, limit: int = 2000, cursor: tuple[str, int] | None = None
) -> DescribeTopicPartitionsRequest:
    return DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names],
        response_partition_limit=limit,
        cursor=None if cursor is None else Cursor(*cursor),
    )


def page(response: DescribeTopicPartitionsResponse) -> Page:
    """The topics with their partitions, and where to continue."""
    cursor = response.next_cursor
    return (
        [
            (topic.name, [partition.partition_index for partition in topic.partitions])
            for topic in response.topics
        ],
        None if cursor is None else (cursor.topic_name, cursor.partition_index),
    )


async def describe(
    broker: BrokerHarness, request: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse:
    response = await answer(broker, describe_topic_partitions, request, 0)
    assert isinstance(response, DescribeTopicPartitionsResponse)
    return response


def test_a_topic_is_described_with_all_that_the_api_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            (topic,) = (await describe(broker, a_request("t"))).topics

            assert (topic.error_code, topic.name, topic.topic_id) == (0, "t", topic_id)
            assert topic.topic_authorized_operations == 3576
            assert not topic.is_internal
            assert topic.partitions == [
                DescribeTopicPartitionsResponsePartition(
                    partition_index=0,
                    leader_id=1,
                    leader_epoch=0,
                    replica_nodes=[1],
                    isr_nodes=[1],
                    eligible_leader_replicas=[],
                    last_known_elr=[],
                )
            ]

    run(scenario())


PAGES: list[tuple[DescribeTopicPartitionsRequest, Page]] = [
    # By name, each once, unknown ones included.
    (a_request("c", "a", "x", "a"), ([("a", [0, 1, 2]), ("c", [0, 1, 2]), ("x", [])], None)),
    # An empty list is all.
    (a_request(), ([("a", [0, 1, 2]), ("b", [0, 1, 2]), ("c", [0, 1, 2])], None)),
    (a_request("a", "b", limit=4), ([("a", [0, 1, 2]), ("b", [0])], ("b", 1))),
    (a_request("a", "b", limit=3), ([("a", [0, 1, 2])], ("b", 0))),
    (a_request("a", limit=3), ([("a", [0, 1, 2])], None)),
    # Below one partition there would be no progress.
    (a_request("a", limit=0), ([("a", [0])], ("a", 1))),
    (a_request("a", limit=-1), ([("a", [0])], ("a", 1))),
    # An unknown topic takes no room, but waits for its turn.
    (a_request("Z", "a", limit=1), ([("Z", []), ("a", [0])], ("a", 1))),
    (a_request("a", "x", limit=3), ([("a", [0, 1, 2])], ("x", 0))),
    (a_request("a", "b", limit=4, cursor=("b", 1)), ([("b", [1, 2])], None)),
    (a_request("a", "c", cursor=("a", 30)), ([("a", []), ("c", [0, 1, 2])], None)),
    (a_request("a", "x", cursor=("x", 0)), ([("x", [])], None)),
    # The topic of the cursor is gone: the next one starts from its beginning.
    (a_request(limit=4, cursor=("aa", 2)), ([("b", [0, 1, 2]), ("c", [0])], ("c", 1))),
    (a_request(cursor=("z", 0)), ([], None)),
]


def test_pages_follow_the_names_and_the_cursor(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            for name in ("c", "a", "b"):
                await broker.create_topic(name, partitions=3)
            for request, expected in PAGES:
                assert page(await describe(broker, request)) == expected, request

    run(scenario())


def test_the_brokers_limit_counts_when_it_is_lower(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, max_request_partition_size_limit="2") as broker:
            await broker.create_topic("t", partitions=3)
            assert page(await describe(broker, a_request("t"))) == ([("t", [0, 1])], ("t", 2))

    run(scenario())


@pytest.mark.parametrize("cursor", [("b", 0), ("a", -1), ("", 0)])
def test_a_cursor_outside_of_the_request_is_refused_for_every_topic(
    tmp_path: Path, cursor: tuple[str, int]
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("a")
            response = await describe(broker, a_request("a", "c", cursor=cursor))
            codes = [(topic.name, topic.error_code) for topic in response.topics]
            assert codes == [("a", ErrorCode.INVALID_REQUEST), ("c", ErrorCode.INVALID_REQUEST)]

    run(scenario())


def test_topics_that_are_not_there_carry_their_own_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            response = await describe(broker, a_request("a b", "gone", "__consumer_offsets"))
            assert [
                (topic.name, topic.error_code, topic.is_internal) for topic in response.topics
            ] == [
                ("__consumer_offsets", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, True),
                ("a b", ErrorCode.INVALID_TOPIC_EXCEPTION, False),
                ("gone", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, False),
            ]

    run(scenario())
