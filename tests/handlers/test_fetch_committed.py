"""Fetch with isolation level read_committed: where it ends, and what its readers must skip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import fetch
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.fetch import PartitionData
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage import segment_chain
from pykbroker.storage.file_slice import DeferredSlice
from pykbroker.storage.transaction_index import TransactionIndex
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.fetched import a_fetch, a_wish, ask, values
from tests.harness.loop import run, turns
from tests.harness.produced import NOW_MS, a_batch, append, only

PRODUCER: dict[str, Any] = {"is_transactional": True, "producer_id": 7, "producer_epoch": 0}


class Transactions:
    """Writes transactions straight into the log."""

    def __init__(self, broker: BrokerHarness) -> None:
        self.log = broker.log("t")
        self._sequence = 0

    def write(self, value: bytes) -> None:
        batch = a_batch(value, base_sequence=self._sequence, **PRODUCER)
        self.log.append(RecordBatch.parse(bytearray(batch)), NOW_MS)
        self._sequence += 1

    def end(self, *, is_commit: bool = False) -> None:
        self.log.append_marker(7, 0, is_commit=is_commit, coordinator_epoch=0, now_ms=NOW_MS)


async def committed(broker: BrokerHarness, offset: int, **wish: Any) -> PartitionData:
    data = only(await ask(broker, a_fetch(a_wish(0, offset, **wish), isolation_level=1)))
    assert isinstance(data, PartitionData)
    return data


def aborted(data: PartitionData) -> list[tuple[int, int]]:
    assert data.aborted_transactions is not None
    return [(each.producer_id, each.first_offset) for each in data.aborted_transactions]


def test_only_committed_records_are_shown_to_those_who_ask_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            transactions = Transactions(broker)
            transactions.write(b"b")
            await append(broker, b"c")
            data = await committed(broker, 0)
            assert (values(data), aborted(data)) == ([b"a"], [])
            assert (data.high_watermark, data.last_stable_offset) == (3, 1)
            assert (await committed(broker, 2)).error_code == ErrorCode.NONE
            transactions.end()
            data = await committed(broker, 0)
            assert aborted(data) == [(7, 1)]
            assert values(data)[:3] == [b"a", b"b", b"c"]
            assert aborted(await committed(broker, 3)) == [(7, 1)], "its marker is at 3"
            assert aborted(await committed(broker, 4)) == []
            uncommitted = only(await ask(broker, a_fetch((0, 0))))
            assert uncommitted.aborted_transactions is None

    run(main())


def test_only_what_overlaps_the_bytes_is_listed(tmp_path: Path) -> None:
    """As in Kafka the bound is the next entry of the offset index, so it may be some more."""

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", index_interval_bytes="0")
            transactions = Transactions(broker)
            for _ in range(20):
                transactions.write(b"x")
                transactions.end()
            batch_bytes = len(a_batch(b"x"))
            for first in range(0, 36, 2):
                data = await committed(broker, first, partition_max_bytes=batch_bytes)
                assert aborted(data) in ([(7, first)], [(7, first), (7, first + 2)])
            everything = await committed(broker, 0)
            assert aborted(everything) == [(7, first) for first in range(0, 40, 2)]

    run(main())


def test_what_is_read_from_the_disk_has_its_list_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deferred(self: segment_chain.SegmentChain, *arguments: Any, **options: Any) -> Any:
        found = original(self, *arguments, **options)
        return None if found is None else DeferredSlice(found.size_bytes, lambda: found)

    original = segment_chain.SegmentChain.read
    monkeypatch.setattr(segment_chain.SegmentChain, "read", deferred)

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            transactions = Transactions(broker)
            transactions.write(b"a")
            transactions.end()
            data = await committed(broker, 0)
            assert (values(data)[0], aborted(data)) == (b"a", [(7, 0)])

    run(main())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(5, "injected"), ErrorCode.KAFKA_STORAGE_ERROR),
        (FileNotFoundError(), ErrorCode.OFFSET_OUT_OF_RANGE),
    ],
)
def test_without_the_list_there_are_no_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, code: ErrorCode
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            transactions = Transactions(broker)
            transactions.write(b"a")
            transactions.end()
            monkeypatch.setattr(TransactionIndex, "collect", fail)
            data = await committed(broker, 0)
            assert (data.error_code, bytes(data.records or b"")) == (code, b"")

    run(main())


def test_a_transaction_index_that_cannot_be_opened_fails_the_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: TransactionIndex) -> int:
        raise OSError(5, "injected")

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            monkeypatch.setattr(TransactionIndex, "last_offset", property(fail))
            assert (await committed(broker, 0)).error_code == ErrorCode.KAFKA_STORAGE_ERROR

    run(main())


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_reader_waits_for_the_end_of_the_transaction(tmp_path: Path, offset: int) -> None:
    """Also one that is already behind the last stable offset."""

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            transactions = Transactions(broker)
            transactions.write(b"a")
            transactions.write(b"b")
            request = a_fetch((0, offset), isolation_level=1, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            await append(broker, b"c")
            await turns()
            assert not task.done()
            transactions.end(is_commit=True)
            data = only(await task)
            assert values(data)[:-1] == [b"a", b"b", b"c"][offset:], "the last one is the marker"
            assert (data.last_stable_offset, aborted(data)) == (4, [])

    run(main())


def test_bytes_behind_the_last_stable_offset_do_not_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await append(broker, b"a")
            transactions = Transactions(broker)
            transactions.write(b"x" * 10_000)
            request = a_fetch((0, 0), isolation_level=1, min_bytes=5_000, max_wait_ms=500)
            task = broker.start(fetch, request, 12)
            await turns()
            transactions.write(b"x" * 10_000)
            await turns()
            assert not task.done()
            transactions.end(is_commit=True)
            assert values(only(await task))[0] == b"a"

    run(main())
