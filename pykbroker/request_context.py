"""What a handler knows about the request beside its fields."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pykbroker.clock import TimerHandle

if TYPE_CHECKING:
    from pykbroker.broker import Broker
    from pykbroker.protocol.produce_layout import ProduceLayout


T = TypeVar("T")
U = TypeVar("U")


class CloseConnection(Exception):  # noqa: N818 - an order, not an error of ours
    """Raised by a handler: the protocol has no answer for this, so the connection is closed."""


class ConnectionInfo(Protocol):
    """One client's connection, as far as handlers may see it."""

    peer_host: str
    peer_port: int
    local_host: str
    local_port: int
    listener_name: str
    software_name: str
    software_version: str
    # What its last Produce request was like.
    produce_layout: ProduceLayout | None

    @property
    def sends_files(self) -> bool:
        """Whether an answer may have a `FileSlice` in place of a buffer."""

    @property
    def max_response_bytes(self) -> int:
        """How large an answer should be at most, as far as the handler can choose."""

    def response_buffer(self, size_bytes: int) -> memoryview:
        """Lend writable memory for this request's answer.

        It is the connection's own and is used again for its next answer, so nothing else may keep
        it. Calling it twice for one request lends the same memory twice.
        """


@dataclass(slots=True)
class RequestContext:
    """The circumstances of one request."""

    broker: Broker
    api_version: int
    client_id: str
    client_host: str
    connection: ConnectionInfo


class Deferred(Awaitable[T], Generic[T]):
    """An answer that waits for futures, and for which no task is needed; one may await it, too.

    Its request has been read: nobody needs the bytes that it came in any more.

    Args:
        waits: Done when the answer can be made, with or without an error.
        answer: Makes the answer once all of them are done, or raises why there is none; called
            once, and in any case, so that no error of a future is left unseen.
        timer: Cancelled when the waiting is over.
    """

    __slots__ = ("_answer", "_done", "_timer", "_waits")

    def __init__(
        self,
        waits: Sequence[asyncio.Future[Any]],
        answer: Callable[[], T],
        timer: TimerHandle | None = None,
    ) -> None:
        self._waits = waits
        self._answer = answer
        self._timer = timer
        self._done = 0

    def next_wait(self) -> asyncio.Future[Any] | None:
        """A future that is not done yet; None when the answer can be taken."""
        while self._done < len(self._waits):
            future = self._waits[self._done]
            if not future.done():
                return future
            self._done += 1
        return None

    def take(self) -> T:
        """Make the answer; there must be nothing to wait for.

        Raises:
            Exception: What the handler would have raised, had it answered at once.
        """
        if self._timer is not None:
            self._timer.cancel()
        return self._answer()

    def __await__(self) -> Generator[object, None, T]:
        try:
            while (future := self.next_wait()) is not None:
                yield from _until_done(future)
        except asyncio.CancelledError:
            if self._timer is not None:
                self._timer.cancel()
            raise
        return self.take()

    def then(self, convert: Callable[[Callable[[], T]], U]) -> Deferred[U]:
        """Return an answer that waits as this one, converted from what makes this one."""
        return Deferred(self._waits, partial(convert, self._answer), self._timer)


def _until_done(future: asyncio.Future[Any]) -> asyncio.Future[None]:
    """Return a future that is done when `future` is, and may be cancelled without it.

    As `asyncio.wait` for one future, at a fraction of its cost.
    """
    waiter: asyncio.Future[None] = future.get_loop().create_future()

    def wake(_: asyncio.Future[Any]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    return waiter


class WhenDurable(Deferred[T]):
    """An answer that waits for the disk and for nothing else.

    The next request of the connection may be started meanwhile: one flush then answers both.
    """

    __slots__ = ()

    def then(self, convert: Callable[[Callable[[], T]], U]) -> WhenDurable[U]:
        """Return an answer that waits as this one, converted from what makes this one."""
        return WhenDurable(self._waits, partial(convert, self._answer), self._timer)
