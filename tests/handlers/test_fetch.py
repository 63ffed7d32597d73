from collections.abc import Sequence
from pathlib import Path

import pytest

from pykbroker.handlers import fetch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.fetch import (
    EpochEndOffset,
    FetchResponse,
    ReplicaState,
)
from pykbroker.storage.file_slice import FileSlice
from tests.harness.broker import a_broker
from tests.harness.fetched import a_fetch, a_wish, ask, numbers, values
from tests.harness.loop import run
from tests.harness.produced import NOW_MS, append, only

UNKNOWN_ID = bytes(15) + b"\x01"


def test_whole_batches_from_the_one_with_the_offset_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a", b"b")
            await append(broker, b"c", b"d")
            await append(broker, b"e")
            for version in range(4, 13):
                data = only(await ask(broker, a_fetch((0, 3)), version))
                assert values(data) == [b"c", b"d", b"e"]
                assert (data.error_code, data.high_watermark, data.last_stable_offset) == (0, 5, 5)
                assert data.log_start_offset == (0 if version >= 5 else -1)
                assert data.preferred_read_replica == -1
                assert data.aborted_transactions is None

    run(main())


def test_version_13_goes_by_topic_ids(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            await append(broker, b"a")
            for version in range(13, 19):
                response = await ask(broker, a_fetch((0, 0), topic_id=topic_id), version)
                assert response.responses[0].topic_id == topic_id
                assert values(only(response)) == [b"a"]
                for unknown in (UNKNOWN_ID, bytes(16)):
                    data = only(await ask(broker, a_fetch((0, 0), topic_id=unknown), version))
                    assert data.error_code == ErrorCode.UNKNOWN_TOPIC_ID
                    assert (data.high_watermark, data.aborted_transactions) == (-1, [])
                data = only(await ask(broker, a_fetch((7, 0), topic_id=topic_id), version))
                assert data.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    run(main())


def test_unknown_ids_come_before_unknown_partitions(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            request = a_fetch((7, 0), (0, 0), topic_id=topic_id)
            request.topics += a_fetch((0, 0), topic_id=UNKNOWN_ID).topics
            response = await ask(broker, request, 13)
            codes = [part.error_code for topic in response.responses for part in topic.partitions]
            assert codes == [
                ErrorCode.NONE,
                ErrorCode.UNKNOWN_TOPIC_ID,
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ]

    run(main())


def test_the_end_of_the_log_is_empty_not_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            for isolation_level, aborted in ((0, None), (1, [])):
                request = a_fetch((0, 1), isolation_level=isolation_level)
                data = only(await ask(broker, request))
                assert (data.error_code, data.high_watermark, bytes(data.records)) == (0, 1, b"")
                assert data.aborted_transactions == aborted

    run(main())


@pytest.mark.parametrize("offset", [-1, 0, 4])
def test_an_offset_outside_of_the_log_is_out_of_range(tmp_path: Path, offset: int) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a", b"b", b"c")
            broker.log("t").delete_records(1, NOW_MS)
            data = only(await ask(broker, a_fetch((0, offset), isolation_level=1)))
            assert data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
            offsets = (data.high_watermark, data.last_stable_offset, data.log_start_offset)
            assert offsets == (-1, -1, -1)
            assert bytes(data.records) == b""
            assert data.aborted_transactions is None

    run(main())


@pytest.mark.parametrize(
    ("epoch", "version", "code"),
    [
        (2, 9, ErrorCode.FENCED_LEADER_EPOCH),
        (4, 9, ErrorCode.UNKNOWN_LEADER_EPOCH),
        (3, 9, ErrorCode.NONE),
        (-1, 9, ErrorCode.NONE),
        (-2, 9, ErrorCode.NONE),
        (2, 8, ErrorCode.NONE),
    ],
)
def test_the_leader_epoch_of_the_client_must_be_the_current_one(
    tmp_path: Path, epoch: int, version: int, code: ErrorCode
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            broker.change_partition("t", 0, leader_epoch=3)
            wish = a_wish(0, 0)
            if version >= 9:
                wish.current_leader_epoch = epoch
            assert only(await ask(broker, a_fetch(wish), version)).error_code == code

    run(main())


def test_another_leader_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t", partitions=2)
            broker.change_partition("t", 0, leader=2, leader_epoch=4)
            broker.change_partition("t", 1, leader_epoch=4)
            request = a_fetch((0, 0), a_wish(1, 0, current_leader_epoch=1), topic_id=topic_id)
            response = await ask(broker, request, 16)
            other, own = response.responses[0].partitions
            assert other.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
            assert (other.current_leader.leader_id, other.current_leader.leader_epoch) == (2, 4)
            assert own.error_code == ErrorCode.FENCED_LEADER_EPOCH
            assert (own.current_leader.leader_id, own.current_leader.leader_epoch) == (1, 4)
            (endpoint,) = response.node_endpoints
            assert (endpoint.node_id, endpoint.port) == (1, 9092)
            older = await ask(broker, request, 15)
            assert older.responses[0].partitions[0].current_leader.leader_id == -1

    run(main())


@pytest.mark.parametrize(
    ("offset", "epoch", "expected"),
    [
        (2, 5, EpochEndOffset()),
        (2, 6, EpochEndOffset()),
        (3, 5, EpochEndOffset(epoch=5, end_offset=2)),
        (9, 6, EpochEndOffset(epoch=6, end_offset=3)),
        (2, 7, ErrorCode.OFFSET_OUT_OF_RANGE),
        (0, 5, ErrorCode.OFFSET_OUT_OF_RANGE),
        (2, -5, EpochEndOffset()),
    ],
)
def test_a_diverging_history_is_told(
    tmp_path: Path, offset: int, epoch: int, expected: EpochEndOffset | ErrorCode
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            log = broker.log("t")
            log.leader_epoch = 5
            await append(broker, b"a", b"b")
            log.leader_epoch = 6
            await append(broker, b"c")
            log.delete_records(1, NOW_MS)
            wish = a_wish(0, offset, last_fetched_epoch=epoch)
            data = only(await ask(broker, a_fetch(wish, max_wait_ms=500)))
            if isinstance(expected, ErrorCode):
                assert data.error_code == expected
            else:
                assert (data.error_code, data.diverging_epoch) == (0, expected)
                assert bool(values(data)) == (expected == EpochEndOffset())
                assert data.high_watermark == 3

    run(main())


@pytest.mark.parametrize(
    ("replica", "epoch", "code"),
    [(1, -1, 6), (7, -1, 6), (7, 0, 75), (-2, -1, 0), (-3, -1, 0)],
)
@pytest.mark.parametrize("version", [12, 15])
def test_nobody_replicates_from_here(
    tmp_path: Path, replica: int, epoch: int, code: int, version: int
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            wish = a_wish(0, 0, current_leader_epoch=epoch)
            request = a_fetch(wish, topic_id=topic_id)
            if version < 15:
                request.replica_id = replica
            else:
                request.replica_state = ReplicaState(replica_id=replica)
            assert only(await ask(broker, request, version)).error_code == code

    run(main())


def test_limits_of_partition_request_and_broker(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, fetch_max_bytes="2000") as broker:
            await broker.create_topic("t", partitions=2)
            for partition in (0, 1):
                for _ in range(4):
                    await append(broker, b"x" * 600, partition=partition)

            async def sizes(first: int, second: int, max_bytes: int = 50 << 20) -> list[int]:
                request = a_fetch(
                    a_wish(0, 0, partition_max_bytes=first),
                    a_wish(1, 0, partition_max_bytes=second),
                    max_bytes=max_bytes,
                )
                (topic,) = (await ask(broker, request)).responses
                return [len(values(data)) for data in topic.partitions]

            assert await sizes(1500, 1500) == [2, 0], "1500 of 2000 bytes are taken"
            assert await sizes(700, 1500) == [1, 1]
            assert await sizes(0, 0) == [1, 0], "one batch in any case, in the first partition"
            assert await sizes(1500, 1500, max_bytes=0) == [1, 0]

    run(main())


def test_the_first_partition_with_records_may_exceed_the_limits(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            await append(broker, b"x" * 600, partition=1)
            request = a_fetch((0, 0), a_wish(1, 0, partition_max_bytes=1), max_bytes=1)
            (topic,) = (await ask(broker, request)).responses
            assert [len(values(data)) for data in topic.partitions] == [0, 1]

    run(main())


def test_a_negative_limit_fails_as_in_kafka(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            data = only(await ask(broker, a_fetch((0, 0), max_bytes=-1)))
            assert data.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            assert only(await ask(broker, a_fetch((0, 1), max_bytes=-1))).error_code == 0

    run(main())


def test_of_a_partition_named_twice_the_last_wishes_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            await append(broker, b"a")
            await append(broker, b"b")
            response = await ask(broker, a_fetch((0, 0), (1, 0), (0, 1)))
            assert numbers(response) == [("t", 0, 0), ("t", 1, 0)]
            assert values(response.responses[0].partitions[0]) == [b"b"]

    run(main())


@pytest.mark.parametrize(("version", "partitions"), [(12, [("t", 0, -1)]), (13, [])])
def test_an_isolation_level_that_does_not_exist_fails_the_request(
    tmp_path: Path, version: int, partitions: Sequence[tuple[str, int, int]]
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            request = a_fetch((0, 0), isolation_level=2)
            if version >= 13:
                request.topics[0].topic, request.topics[0].topic_id = "", topic_id
            with pytest.raises(KafkaError) as caught:
                await ask(broker, request, version)
            response = fetch.error_response(request, caught.value.code)
            assert (response.error_code, numbers(response)) == (-1, partitions)
            unread = a_fetch((9, 0), isolation_level=2)
            assert numbers(await ask(broker, unread)) == [("t", 9, 3)]

    run(main())


def test_partitions_of_one_topic_share_an_entry(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            for topic in ("t", "u"):
                await broker.create_topic(topic, partitions=2)
            request = a_fetch((0, 0), (1, 0))
            request.topics += a_fetch((0, 0), topic="u").topics
            response = await ask(broker, request)
            assert [topic.topic for topic in response.responses] == ["t", "u"]
            assert numbers(response) == [("t", 0, 0), ("t", 1, 0), ("u", 0, 0)]

    run(main())


def test_much_of_a_file_is_sent_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t", partitions=2)
            value = b"x" * fetch.MIN_SENT_FROM_FILE_BYTES
            await append(broker, value)
            await append(broker, b"small", partition=1)
            request = a_fetch((0, 0), (1, 0), topic_id=topic_id)
            context = broker.context(18)
            for is_cached, sends_files in ((True, True), (False, True), (True, False)):
                broker.connection.sends_files = sends_files
                monkeypatch.setattr(FileSlice, "is_cached", is_cached)
                response = fetch.handle(context, request)
                if not isinstance(response, FetchResponse):
                    response = await response
                large, small = response.responses[0].partitions
                assert isinstance(large.records, FileSlice) == (is_cached and sends_files)
                if isinstance(large.records, FileSlice):
                    large.records = large.records.read()
                assert values(large) == [value]
                assert values(small) == [b"small"]

    run(main())
