from pathlib import Path

import pytest

from pykbroker.handlers import describe_log_dirs
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)
from pykbroker.protocol.records import Record
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run

Topics = list[DescribableLogDirTopic] | None


def listed(response: DescribeLogDirsResponse) -> list[tuple[str, list[int]]]:
    (directory,) = response.results
    return [
        (topic.name, [partition.partition_index for partition in topic.partitions])
        for topic in directory.topics
    ]


@pytest.mark.parametrize("version", range(1, 6))
def test_sizes_are_those_of_the_segments(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            log = broker.log("t", 1)
            log.append_records([Record(0, 0, None, b"value", ())], now_ms=0)
            request = DescribeLogDirsRequest(topics=None)
            response = await answer(broker, describe_log_dirs, request, version)

            assert response.error_code == ErrorCode.NONE
            (directory,) = response.results
            assert directory.error_code == ErrorCode.NONE
            assert directory.log_dir == str(log.directory.path)
            (topic,) = directory.topics
            sizes = [(row.partition_size, row.offset_lag) for row in topic.partitions]
            assert sizes == [(0, 0), (log.size_bytes, 0)]
            assert log.size_bytes > 0
            if version >= 4:
                assert directory.total_bytes > directory.usable_bytes > 0
            else:
                assert directory.total_bytes == directory.usable_bytes == -1

    run(scenario())


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (None, [("a", [0]), ("b", [0, 1])]),
        ([], []),
        ([DescribableLogDirTopic("b", [1, 0])], [("b", [0, 1])]),
        ([DescribableLogDirTopic("b", [])], []),
        ([DescribableLogDirTopic("b", [9, 0, -1])], [("b", [0])]),
        ([DescribableLogDirTopic("gone", [0])], []),
        ([DescribableLogDirTopic("b", [0, 0]), DescribableLogDirTopic("b", [1])], [("b", [0, 1])]),
    ],
)
def test_what_is_not_there_is_left_out(
    tmp_path: Path, topics: Topics, expected: list[tuple[str, list[int]]]
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("b", partitions=2)
            await broker.create_topic("a")
            request = DescribeLogDirsRequest(topics=topics)
            assert listed(await answer(broker, describe_log_dirs, request, 5)) == expected

    run(scenario())


def test_an_offline_directory_is_listed_with_an_error_and_without_topics(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (directory,) = broker.logs.directories
            directory.fail("the disk is gone")
            request = DescribeLogDirsRequest(topics=None)
            response = await answer(broker, describe_log_dirs, request, 5)

            (row,) = response.results
            assert row.error_code == ErrorCode.KAFKA_STORAGE_ERROR
            assert (row.log_dir, row.topics) == (str(directory.path), [])

    run(scenario())


def test_the_size_of_a_volume_that_cannot_be_asked_is_unknown(tmp_path: Path) -> None:
    sizes = describe_log_dirs.volume_sizes([tmp_path / "missing"])
    assert sizes == {tmp_path / "missing": (-1, -1)}


def test_a_failure_is_said_at_the_top() -> None:
    response = describe_log_dirs.error_response(
        DescribeLogDirsRequest(), ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    )
    assert response == DescribeLogDirsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
