"""Exchanges as they come, as lines of JSON, to whoever listens."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

# Of who does not read as fast as there is something to be told.
MAX_WAITING: Final = 10_000
CHECK_S: Final = 1.0


class Live:
    """What one listener is yet to be told; all in the broker's event loop."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._missed = 0

    def put(self, exchange: dict[str, Any]) -> None:
        """Tell an exchange; too many are only counted."""
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put_nowait(exchange)
        else:
            self._missed += 1

    def end(self) -> None:
        """Tell no more than what is waiting."""
        self._waiting.put_nowait(None)

    async def lines(self, is_gone: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield what there is to tell until the end, or until nobody listens any more.

        Args:
            is_gone: Whether the listener is; asked again and again.
        """
        while not is_gone():
            try:
                exchange = await asyncio.wait_for(self._waiting.get(), CHECK_S)
            except TimeoutError:
                continue
            if exchange is None:
                return
            yield json.dumps(exchange).encode() + b"\n"
            if self._missed and self._waiting.empty():
                missed, self._missed = self._missed, 0
                yield json.dumps({"missed": missed}).encode() + b"\n"
