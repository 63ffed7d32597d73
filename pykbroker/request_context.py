"""What a handler knows about the request beside its fields."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pykbroker.clock import TimerHandle
from pykbroker.protocol.errors import KafkaError

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


class WhenDurable(Awaitable[T], Generic[T]):
    """An answer that waits for the disk and for nothing else.

    Its request is done and its bytes are not needed any more, so the next request of the
    connection may be started meanwhile: one flush then answers both.

    Args:
        waits: Done when what was appended is durable, or with the KafkaError that it is not.
        answer: Makes the answer, once all of them are done; must be called then.
        timer: Ends the waiting; cancelled when that is over.
    """

    __slots__ = ("_answer", "_timer", "_waits")

    def __init__(
        self,
        waits: Sequence[asyncio.Future[None]],
        answer: Callable[[], T],
        timer: TimerHandle | None = None,
    ) -> None:
        self._waits = waits
        self._answer = answer
        self._timer = timer

    def is_ready(self) -> bool:
        """Whether awaiting it takes no time."""
        return all(future.done() for future in self._waits)

    def then(self, convert: Callable[[T], U]) -> WhenDurable[U]:
        """Return the same answer converted."""
        return WhenDurable(self._waits, lambda: convert(self._answer()), self._timer)

    def __await__(self) -> Generator[object, None, T]:
        try:
            for future in self._waits:
                try:
                    yield from future
                except KafkaError:
                    continue  # the answer says so
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for future in self._waits:
                future.cancel()  # who gives up waits no more
        return self._answer()
