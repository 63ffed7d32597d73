"""What comes of a request that was dispatched, told once it is known."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import CloseConnection, ConnectionInfo, Deferred

Result = list[Buffer] | Deferred[list[Buffer]] | Awaitable[list[Buffer] | None] | None

NO_ANSWER_WANTED = "no answer wanted"


class Watcher(Protocol):
    """Who wants to know what comes of one request."""

    def answered(self, buffers: Iterable[Buffer]) -> None:
        """Take the answer, with its size field; some parts may be a `FileSlice`."""

    def ended(self, outcome: str) -> None:
        """Take what there is in place of an answer."""


Watch = Callable[[memoryview, ConnectionInfo], Watcher]
"""Makes who watches a request, of its frame and its connection."""


def watched(dispatch: Callable[[], Result], watcher: Watcher) -> Result:
    """Dispatch a request, and tell what comes of it; returns or raises what `dispatch` does."""
    try:
        answer = dispatch()
    except (ProtocolError, CloseConnection) as reason:
        watcher.ended(f"connection closed: {reason}")
        raise
    if answer is None:
        watcher.ended(NO_ANSWER_WANTED)
    elif isinstance(answer, list):
        watcher.answered(answer)
    elif isinstance(answer, Deferred):
        return answer.then(partial(_answered, watcher))
    else:
        return _answered_later(watcher, answer)
    return answer


def _answered(watcher: Watcher, answer: Callable[[], list[Buffer]]) -> list[Buffer]:
    try:
        buffers = answer()
    except CloseConnection as reason:
        watcher.ended(f"connection closed: {reason}")
        raise
    watcher.answered(buffers)
    return buffers


async def _answered_later(
    watcher: Watcher, answer: Awaitable[list[Buffer] | None]
) -> list[Buffer] | None:
    try:
        buffers = await answer
    except CloseConnection as reason:
        watcher.ended(f"connection closed: {reason}")
        raise
    if buffers is None:
        watcher.ended(NO_ANSWER_WANTED)
    else:
        watcher.answered(buffers)
    return buffers
