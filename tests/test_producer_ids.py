import asyncio

import pytest

from pykbroker.producer_ids import BLOCK_SIZE, PREFETCH_AT, ProducerIds
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.loop import run, turns


class FakeStore:
    """Gives out blocks as the metadata controller does."""

    def __init__(self) -> None:
        self.next_id = 4000
        self.blocks = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def allocate(self, count: int) -> range:
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        block = range(self.next_id, self.next_id + count)
        self.next_id += count
        self.blocks += 1
        return block


def test_ids_are_unique_and_rise_across_blocks() -> None:
    async def main() -> None:
        ids = ProducerIds(FakeStore().allocate)
        taken = [await ids.take() for _ in range(2 * BLOCK_SIZE + 1)]
        assert taken == list(range(4000, 4000 + 2 * BLOCK_SIZE + 1))
        await ids.close()

    run(main())


def test_only_the_first_id_waits_for_the_store() -> None:
    async def main() -> None:
        store = FakeStore()
        ids = ProducerIds(store.allocate)
        assert ids.take_at_once() is None
        assert await ids.take() == 4000
        for number in range(1, 3 * BLOCK_SIZE):
            assert ids.take_at_once() == 4000 + number
            await turns(1)
        await ids.close()

    run(main())


def test_the_next_block_is_fetched_when_a_tenth_is_left() -> None:
    async def main() -> None:
        store = FakeStore()
        ids = ProducerIds(store.allocate)
        for _ in range(BLOCK_SIZE - PREFETCH_AT - 1):
            await ids.take()
        await turns()
        assert store.blocks == 1
        await ids.take()
        await turns()
        assert store.blocks == 2
        await ids.close()

    run(main())


def test_all_who_wait_for_the_first_block_share_it() -> None:
    async def main() -> None:
        store = FakeStore()
        store.may_answer.clear()
        ids = ProducerIds(store.allocate)
        tasks = [asyncio.create_task(ids.take()) for _ in range(3)]
        await turns()
        tasks[0].cancel()
        store.may_answer.set()
        assert await asyncio.gather(*tasks[1:]) == [4000, 4001]
        assert tasks[0].cancelled()
        assert store.blocks == 1
        await ids.close()

    run(main())


def test_a_failed_allocation_is_told_and_tried_again() -> None:
    async def main() -> None:
        store = FakeStore()
        store.error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        ids = ProducerIds(store.allocate)
        with pytest.raises(KafkaError):
            await ids.take()
        store.error = None
        assert await ids.take() == 4000
        await ids.close()

    run(main())


def test_a_failed_prefetch_disturbs_nobody() -> None:
    async def main() -> None:
        store = FakeStore()
        ids = ProducerIds(store.allocate)
        await ids.take()
        store.error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        for _ in range(BLOCK_SIZE - 1):
            await ids.take()
            await turns(2)
        store.error = None
        assert await ids.take() == 5000
        await ids.close()

    run(main())


def test_closing_stops_an_allocation_that_hangs() -> None:
    async def main() -> None:
        store = FakeStore()
        store.may_answer.clear()
        ids = ProducerIds(store.allocate)
        waiting = asyncio.create_task(ids.take())
        await turns()
        await ids.close()
        await turns()
        assert waiting.cancelled()
        await ProducerIds(store.allocate).close()

    run(main())
