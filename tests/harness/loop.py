"""The event loop in tests: no plugin, one way to run a coroutine, and no sleeping."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Far above what any test needs; a test that hangs fails instead of blocking the suite.
HANG_SECONDS = 10


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own."""

    async def main() -> T:
        return await asyncio.wait_for(coroutine, HANG_SECONDS)

    return asyncio.run(main())


async def turns(number: int = 5) -> None:
    """Let everything that is ready run, for so many turns of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a thread does; the limit of `run` applies."""
    while not condition():  # noqa: ASYNC110 - a thread has no event to set
        await asyncio.sleep(0.001)
