"""What a handler knows about the request beside its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pykbroker.broker import Broker
    from pykbroker.protocol.produce_layout import ProduceLayout


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
