"""Producer ids for idempotent producers, handed out without I/O (RPCProducerIdManager).

The metadata store gives out blocks of ids, durably, so an id is never given to two producers, not
even across restarts; what is left of a block at a stop is skipped. The next block is fetched when
nine tenths of the current one are gone. Where Kafka answers COORDINATOR_LOAD_IN_PROGRESS while the
first block is on its way, the request simply waits for it here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

BLOCK_SIZE: Final = 1000
# The block behind the current one is fetched when this many ids are left.
PREFETCH_AT: Final = BLOCK_SIZE // 10


class ProducerIds:
    """A queue of fresh producer ids."""

    def __init__(self, allocate_block: Callable[[int], Awaitable[range]]) -> None:
        """Create it; no I/O until the first id is asked for.

        Args:
            allocate_block: Reserves that many ids for this broker durably.
        """
        self._allocate_block = allocate_block
        self._current = range(0)
        self._prefetched = range(0)
        self._allocation: asyncio.Task[None] | None = None

    def take_at_once(self) -> int | None:
        """Return a fresh id, or None when a block has to be fetched first, which begins then."""
        if not self._current:
            if not self._prefetched:
                self._ensure_allocation()
                return None
            self._current, self._prefetched = self._prefetched, range(0)
        producer_id = self._current[0]
        self._current = self._current[1:]
        if len(self._current) <= PREFETCH_AT and not self._prefetched:
            self._ensure_allocation()
        return producer_id

    async def take(self) -> int:
        """Return a fresh id, waiting for a block if need be.

        Raises:
            KafkaError: The metadata store refused; the next call tries again.
        """
        while True:
            producer_id = self.take_at_once()
            if producer_id is not None:
                return producer_id
            await self.refill()

    async def refill(self) -> None:
        """Return when another block is there; raises as `take`."""
        # One who gives up must not take the block away from the others.
        await asyncio.shield(self._ensure_allocation())

    async def close(self) -> None:
        """Stop fetching."""
        if self._allocation is not None:
            self._allocation.cancel()
            await asyncio.gather(self._allocation, return_exceptions=True)

    def _ensure_allocation(self) -> asyncio.Task[None]:
        if self._allocation is None:
            self._allocation = asyncio.get_running_loop().create_task(self._fetch_block())
            self._allocation.add_done_callback(self._allocation_done)
        return self._allocation

    async def _fetch_block(self) -> None:
        self._prefetched = await self._allocate_block(BLOCK_SIZE)

    def _allocation_done(self, allocation: asyncio.Task[None]) -> None:
        self._allocation = None
        # A failed prefetch has nobody to tell; it is repeated when the next id is taken.
        if not allocation.cancelled():
            allocation.exception()
