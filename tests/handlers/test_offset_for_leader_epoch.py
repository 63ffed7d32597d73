from pathlib import Path

from pykbroker.handlers import offset_for_leader_epoch
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from tests.harness.broker import a_broker
from tests.harness.loop import run
from tests.harness.produced import append, only


def a_question(
    epoch: int, *, topic: str = "t", partition: int = 0, current: int = -1
) -> OffsetForLeaderEpochRequest:
    wanted = OffsetForLeaderPartition(
        partition=partition, current_leader_epoch=current, leader_epoch=epoch
    )
    return OffsetForLeaderEpochRequest(
        topics=[OffsetForLeaderTopic(topic=topic, partitions=[wanted])]
    )


def test_the_end_of_an_epoch(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            log = broker.log("t")
            log.leader_epoch = 2
            await append(broker, b"a", b"b")
            log.leader_epoch = 5
            await append(broker, b"c")
            for version in (2, 3, 4):
                for epoch, expected in (
                    (1, (1, 0)),
                    (2, (2, 2)),
                    (3, (2, 2)),
                    (5, (5, 3)),
                    (6, (-1, -1)),
                    (-1, (-1, -1)),
                ):
                    response = await broker.call(
                        offset_for_leader_epoch, a_question(epoch), version
                    )
                    assert response.topics[0].topic == "t"
                    found = only(response)
                    assert found.error_code == ErrorCode.NONE
                    assert (found.leader_epoch, found.end_offset) == expected

    run(main())


def test_the_current_epoch_ends_at_the_end_even_of_an_empty_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            found = only(await broker.call(offset_for_leader_epoch, a_question(0), 4))
            assert found == EpochEndOffset(partition=0, leader_epoch=0, end_offset=0)

    run(main())


def test_an_epoch_without_records_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    """A consumer may have it from ListOffsets; it must not take its position for lost."""

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            log = broker.log("t")
            log.leader_epoch = 1
            found = only(await broker.call(offset_for_leader_epoch, a_question(0), 4))
            assert (found.leader_epoch, found.end_offset) == (0, 0)

            await append(broker, b"a")
            log.leader_epoch = 3
            found = only(await broker.call(offset_for_leader_epoch, a_question(2), 4))
            assert (found.leader_epoch, found.end_offset) == (1, 1)

    run(main())


def test_errors_of_a_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for topic, partition, current, code in (
                ("nope", 0, -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("t", 9, -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("t", 0, 3, ErrorCode.UNKNOWN_LEADER_EPOCH),
                ("t", 0, -2, ErrorCode.FENCED_LEADER_EPOCH),
            ):
                request = a_question(0, topic=topic, partition=partition, current=current)
                found = only(await broker.call(offset_for_leader_epoch, request, 4))
                assert found == EpochEndOffset(error_code=code, partition=partition)

    run(main())


def test_the_error_response_repeats_the_error() -> None:
    response = offset_for_leader_epoch.error_response(
        a_question(0, partition=3), ErrorCode.UNKNOWN_SERVER_ERROR
    )
    assert only(response) == EpochEndOffset(error_code=-1, partition=3)
