import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from pykbroker.handlers import fetch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.file_slice import FileSlice
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.broker import a_broker
from tests.harness.fetched import a_fetch, ask, numbers, values
from tests.harness.loop import run, turns
from tests.harness.produced import NOW_MS, a_batch, append, only


def test_unknown_partitions_come_last_and_do_not_shorten_the_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((9, 0), (0, 0), max_wait_ms=500), 12)
            await turns()
            assert len(broker.parked) == 1
            broker.clock.advance(500)
            response = await task
            assert numbers(response) == [("t", 0, 0), ("t", 9, 3)]
            assert response.responses[0].partitions[1].aborted_transactions == []

    run(main())


def test_with_nothing_to_wait_for_the_answer_comes_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            assert numbers(await ask(broker, a_fetch((9, 0), max_wait_ms=500))) == [("t", 9, 3)]
            assert numbers(await ask(broker, a_fetch(max_wait_ms=500))) == []
            assert numbers(await ask(broker, a_fetch((0, 0), min_bytes=0, max_wait_ms=500)))
            assert numbers(await ask(broker, a_fetch((0, 5), max_wait_ms=500))) == [("t", 0, 1)]

    run(main())


def test_an_append_ends_the_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            task = broker.start(fetch, a_fetch((0, 0), (1, 0), max_wait_ms=500), 12)
            await turns()
            assert not task.done()
            await append(broker, b"a", partition=1)
            (topic,) = (await task).responses
            assert [values(data) for data in topic.partitions] == [[], [b"a"]]
            assert len(broker.parked) == 0
            assert broker.request_timers == 0

    run(main())


def test_what_is_appended_before_the_waiting_has_begun_ends_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            answer = fetch.handle(broker.context(12), a_fetch((0, 0), max_wait_ms=500))
            assert isinstance(answer, Awaitable), "there is nothing to read yet"
            await append(broker, b"a")
            (topic,) = (await asyncio.wait_for(answer, 5)).responses
            assert [values(data) for data in topic.partitions] == [[b"a"]]
            assert broker.request_timers == 0

    run(main())


def test_the_waiting_goes_on_until_there_are_enough_bytes(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            await append(broker, b"x" * 100)
            task = broker.start(fetch, a_fetch((0, 0), (1, 0), min_bytes=660, max_wait_ms=500), 12)
            await turns()
            await append(broker, b"x" * 100)
            await append(broker, b"x" * 100, partition=1)
            await turns()
            assert not task.done()
            await append(broker, b"x" * 100)
            (topic,) = (await task).responses
            assert [len(values(data)) for data in topic.partitions] == [3, 1]

    run(main())


def test_what_is_there_at_the_deadline_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((0, 0), min_bytes=10_000, max_wait_ms=500), 12)
            await turns()
            await append(broker, b"a")
            broker.clock.advance(500)
            assert values(only(await task)) == [b"a"]

    run(main())


def test_min_bytes_is_not_more_than_max_bytes(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a" * 100)
            request = a_fetch((0, 0), min_bytes=10_000, max_bytes=100, max_wait_ms=500)
            assert len(values(only(await ask(broker, request)))) == 1

    run(main())


def test_the_end_of_a_segment_ends_the_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            request = a_fetch((0, 0), min_bytes=10_000, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            broker.log("t").roll(NOW_MS)
            await append(broker, b"b")
            assert values(only(await task)) == [b"a"], "no append makes an old segment longer"
            assert values(only(await ask(broker, request))) == [b"a"]

    run(main())


def test_deleting_the_topic_ends_the_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((0, 0), max_wait_ms=500), 12)
            await turns()
            await broker.delete_topic("t")
            assert only(await task).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    run(main())


def test_deleting_records_ends_the_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a", b"b")
            request = a_fetch((0, 0), min_bytes=10_000, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            broker.log("t").delete_records(1, NOW_MS)
            assert only(await task).error_code == ErrorCode.OFFSET_OUT_OF_RANGE

    run(main())


def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((0, 0), max_wait_ms=500), 12)
            await turns()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert len(broker.parked) == 0
            assert broker.request_timers == 0

    run(main())


class ColdDisk:
    """Makes every slice look as if it were not in the page cache."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: KafkaError | None = None
        self.reads = 0
        read = FileSlice.read

        def cold_read(file_slice: FileSlice) -> bytes:
            self.reads += 1
            if self.error is not None:
                raise self.error
            return read(file_slice)

        monkeypatch.setattr(FileSlice, "read_cached", lambda file_slice, buffer: False)
        monkeypatch.setattr(FileSlice, "read", cold_read)


@pytest.mark.parametrize("max_wait_ms", [0, 500])
def test_what_is_not_in_the_page_cache_is_read_by_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_wait_ms: int
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            disk = ColdDisk(monkeypatch)
            request = a_fetch((0, 0), (1, 0), max_wait_ms=max_wait_ms)
            if max_wait_ms:
                task = broker.start(fetch, request, 12)
                await turns()
            await append(broker, b"a")
            await append(broker, b"b", partition=1)
            response = await (task if max_wait_ms else ask(broker, request))
            (topic,) = response.responses
            assert [values(data) for data in topic.partitions] == [[b"a"], [b"b"]]
            assert disk.reads == 2

    run(main())


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            disk = ColdDisk(monkeypatch)
            disk.error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
            for version, code in ((5, 6), (6, 56)):
                data = only(await ask(broker, a_fetch((0, 0)), version))
                assert (data.error_code, data.high_watermark) == (code, -1)
                assert bytes(data.records) == b""

    run(main())


def test_an_append_that_may_not_be_read_yet_ends_no_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = a_fetch((0, 0), isolation_level=1, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            batch = a_batch(
                b"a", is_transactional=True, producer_id=7, producer_epoch=0, base_sequence=0
            )
            broker.log("t").append(RecordBatch.parse(bytearray(batch)), NOW_MS)
            await turns()
            assert not task.done()
            broker.clock.advance(500)
            data = only(await task)
            assert (values(data), data.high_watermark, data.last_stable_offset) == ([], 1, 0)

    run(main())


def test_a_log_that_cannot_be_read_ends_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(log: PartitionLog, *arguments: object, **limits: object) -> None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((0, 0), min_bytes=10_000, max_wait_ms=500), 12)
            await turns()
            monkeypatch.setattr(PartitionLog, "read", fail)
            await append(broker, b"a")
            assert only(await task).error_code == ErrorCode.KAFKA_STORAGE_ERROR

    run(main())


def test_stopping_the_broker_ends_the_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            task = broker.start(fetch, a_fetch((0, 0), max_wait_ms=500), 12)
            await turns()
            broker.parked.close()
            assert only(await task).error_code == ErrorCode.NONE

    run(main())
