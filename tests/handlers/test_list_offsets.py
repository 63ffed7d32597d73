from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import list_offsets
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run
from tests.harness.produced import NOW_MS, append, only

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, PENDING_UPLOAD = range(-1, -7, -1)


def a_question(
    timestamp: int, *partitions: int, topic: str = "t", epoch: int = -1, **fields: Any
) -> ListOffsetsRequest:
    wanted = [
        ListOffsetsPartition(
            partition_index=partition, current_leader_epoch=epoch, timestamp=timestamp
        )
        for partition in partitions or (0,)
    ]
    defaults = {"replica_id": -1}
    return ListOffsetsRequest(
        topics=[ListOffsetsTopic(name=topic, partitions=wanted)], **(defaults | fields)
    )


async def ask(
    broker: BrokerHarness, request: ListOffsetsRequest, version: int = 11
) -> ListOffsetsResponse:
    response = await broker.call(list_offsets, request, version)
    assert isinstance(response, ListOffsetsResponse)
    return response


async def fill(broker: BrokerHarness) -> None:
    """Write offsets 0 to 5 with rising times but for offset 3, the latest of all."""
    await broker.create_topic("t", partitions=2)
    await append(broker, b"a", b"b", timestamp=NOW_MS)
    await append(broker, b"c", timestamp=NOW_MS + 10)
    await append(broker, b"d", timestamp=NOW_MS + 90)
    await append(broker, b"e", b"f", timestamp=NOW_MS + 20)
    broker.log("t").delete_records(1, NOW_MS)


FOUND = {
    # timestamp: (first version, (timestamp, offset, leader epoch))
    LATEST: (1, (-1, 6, 0)),
    EARLIEST: (1, (-1, 1, 0)),
    MAX_TIMESTAMP: (7, (NOW_MS + 90, 3, 0)),
    EARLIEST_LOCAL: (8, (-1, 1, 0)),
    LATEST_TIERED: (9, (-1, -1, -1)),
    PENDING_UPLOAD: (11, (-1, -1, -1)),
    -7: (12, (-1, -1, -1)),
    0: (1, (NOW_MS + 1, 1, 0)),
    NOW_MS + 11: (1, (NOW_MS + 90, 3, 0)),
    NOW_MS + 91: (1, (-1, -1, -1)),
}


def test_special_and_other_timestamps(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            for timestamp, (first_version, (when, offset, epoch)) in FOUND.items():
                for version in range(1, 12):
                    found = only(await ask(broker, a_question(timestamp), version))
                    if version < first_version:
                        expected = ListOffsetsPartitionResponse(
                            error_code=ErrorCode.UNSUPPORTED_VERSION
                        )
                    else:
                        expected = ListOffsetsPartitionResponse(
                            timestamp=when,
                            offset=offset,
                            leader_epoch=epoch if version >= 4 else -1,
                        )
                    assert found == expected, f"timestamp {timestamp} in version {version}"

    run(main())


def test_an_empty_partition_has_an_end_and_a_start_but_no_times(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for timestamp, offset, epoch in (
                (LATEST, 0, 0),
                (EARLIEST, 0, 0),
                (MAX_TIMESTAMP, -1, -1),
                (0, -1, -1),
            ):
                found = only(await ask(broker, a_question(timestamp)))
                assert (found.timestamp, found.offset, found.leader_epoch) == (-1, offset, epoch)

    run(main())


def test_read_committed_ends_at_the_last_stable_offset(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            log = broker.log("t")
            log.last_stable_offset = 2

            async def found(timestamp: int, isolation_level: int, replica_id: int = -1) -> int:
                request = a_question(
                    timestamp, isolation_level=isolation_level, replica_id=replica_id
                )
                offset = only(await ask(broker, request)).offset
                assert isinstance(offset, int)
                return offset

            assert [await found(LATEST, level) for level in (0, 1)] == [6, 2]
            assert [await found(NOW_MS + 11, level) for level in (0, 1)] == [3, -1]
            assert await found(LATEST, 1, replica_id=-2) == 6, "isolation is for consumers"

    run(main())


def test_a_partition_named_twice_is_an_invalid_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            request = a_question(LATEST, 0, 1, 0, 0)
            request.topics += a_question(LATEST, 1).topics
            (topic,) = (await ask(broker, request)).topics
            answers = [(found.partition_index, found.error_code) for found in topic.partitions]
            assert answers == [(0, 42), (1, 42)]

    run(main())


def test_errors_of_a_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            broker.change_partition("t", 1, leader=9)
            for topic, partition, epoch, code in (
                ("nope", 0, -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("t", 7, -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                ("t", 0, -2, ErrorCode.FENCED_LEADER_EPOCH),
                ("t", 0, 2, ErrorCode.UNKNOWN_LEADER_EPOCH),
                ("t", 1, -1, ErrorCode.NOT_LEADER_OR_FOLLOWER),
            ):
                request = a_question(LATEST, partition, topic=topic, epoch=epoch)
                found = only(await ask(broker, request))
                assert found == ListOffsetsPartitionResponse(partition, code)
            current = only(await ask(broker, a_question(LATEST, epoch=0)))
            assert (current.error_code, current.offset) == (ErrorCode.NONE, 6)

    run(main())


def test_an_isolation_level_that_does_not_exist_fails_the_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            request = a_question(LATEST, isolation_level=9)
            with pytest.raises(KafkaError) as caught:
                await ask(broker, request)
            found = only(list_offsets.error_response(request, caught.value.code))
            assert (found.error_code, found.offset, found.timestamp) == (-1, -1, -1)
            assert (await ask(broker, ListOffsetsRequest(isolation_level=9))).topics == []

    run(main())


@pytest.mark.parametrize(
    "error", [OSError(5, "disk"), DamagedSegmentError(Path("x"), 0, "damaged")]
)
def test_a_search_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(log: PartitionLog, timestamp: int, up_to: int) -> None:
        raise error

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            monkeypatch.setattr(PartitionLog, "offset_for_timestamp", fail)
            found = only(await ask(broker, a_question(NOW_MS)))
            assert (found.error_code, found.offset) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)

    run(main())


def test_a_topic_without_partitions_is_not_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await fill(broker)
            request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t")])
            assert (await ask(broker, request)).topics == []

    run(main())
