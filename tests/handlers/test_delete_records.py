import asyncio
import errno
from pathlib import Path

import pytest

from pykbroker.handlers import delete_records
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.logs import FaultyFiles
from tests.harness.loop import run
from tests.harness.produced import append, only


def a_request(*partitions: tuple[int, int], topic: str = "t") -> DeleteRecordsRequest:
    wanted = [DeleteRecordsPartition(partition_index=p, offset=offset) for p, offset in partitions]
    return DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=wanted)])


async def fill(broker: BrokerHarness, **configs: str) -> None:
    await broker.create_topic("t", partitions=2, **configs)
    await append(broker, b"a", b"b", b"c")
    await append(broker, b"d")


@pytest.mark.parametrize(("version", "offset", "start"), [(0, 2, 2), (1, -1, 4), (2, 4, 4)])
def test_the_log_starts_where_it_was_asked_to(
    tmp_path: Path, version: int, offset: int, start: int
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            result = only(await broker.call(delete_records, a_request((0, offset)), version))
            assert (result.error_code, result.low_watermark) == (0, start)
            assert broker.log("t").log_start_offset == start

    run(main())


def test_an_offset_below_the_start_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            for offset in (3, 1):
                result = only(await broker.call(delete_records, a_request((0, offset)), 2))
                assert (result.error_code, result.low_watermark) == (0, 3)

    run(main())


def test_of_a_partition_named_twice_the_last_offset_counts(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            result = only(await broker.call(delete_records, a_request((0, 3), (0, 1)), 2))
            assert result.low_watermark == 1

    run(main())


def test_errors_of_a_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            await broker.create_topic("compacted", cleanup_policy="compact")
            await broker.create_topic("both", cleanup_policy="compact,delete")
            await broker.create_topic("neither", cleanup_policy="")
            await broker.create_topic("__consumer_offsets")
            broker.change_partition("t", 1, leader=5)
            for topic, partition, offset, code in (
                ("t", 0, 5, ErrorCode.OFFSET_OUT_OF_RANGE),
                ("t", 0, -2, ErrorCode.OFFSET_OUT_OF_RANGE),
                ("t", 9, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("nope", 0, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("__consumer_offsets", 0, 0, ErrorCode.INVALID_TOPIC_EXCEPTION),
                ("compacted", 0, 0, ErrorCode.POLICY_VIOLATION),
                ("both", 0, 0, ErrorCode.NONE),
                ("neither", 0, 0, ErrorCode.NONE),
                ("t", 1, 0, ErrorCode.NOT_LEADER_OR_FOLLOWER),
            ):
                request = a_request((partition, offset), topic=topic)
                response = await broker.call(delete_records, request, 2)
                assert response.topics[0].name == topic
                low_watermark = -1 if code else 0
                assert only(response) == DeleteRecordsPartitionResult(
                    partition, low_watermark, code
                )

    run(main())


def test_the_error_response_repeats_the_error() -> None:
    response = delete_records.error_response(a_request((3, 0)), ErrorCode.UNKNOWN_SERVER_ERROR)
    assert only(response) == DeleteRecordsPartitionResult(3, -1, -1)


def test_the_answer_waits_until_a_start_would_know(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            checkpoint = tmp_path / "data" / "log-start-offset-checkpoint"
            for offset in (2, 3):
                await broker.call(delete_records, a_request((0, offset)), 2)
                assert f"t 0 {offset}" in checkpoint.read_text()
            flushes = broker.broker.start_offsets.flushes
            await asyncio.gather(
                *(broker.call(delete_records, a_request((0, 4), (1, 0)), 2) for _ in range(20))
            )
            assert broker.broker.start_offsets.flushes - flushes <= 3, "requests share the writes"

    run(main())


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            broker.logs.directories[0].files = files = FaultyFiles()
            files.failures["rename"] = errno.ENOSPC
            result = only(await broker.call(delete_records, a_request((0, 2)), 2))
            assert result.error_code == ErrorCode.KAFKA_STORAGE_ERROR
            assert result.low_watermark == -1

    run(main())


def test_a_topic_without_partitions_is_not_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            assert (await broker.call(delete_records, a_request(), 2)).topics == []

    run(main())
