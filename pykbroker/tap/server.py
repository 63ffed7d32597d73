"""A server into which taps may be put."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from pykbroker.broker import Broker
from pykbroker.clock import Clock
from pykbroker.config.broker import BrokerConfig
from pykbroker.connection import Connection
from pykbroker.dispatch import REQUEST_HEADER_START, Dispatcher
from pykbroker.faults.rules import Rules
from pykbroker.faults.server import FaultyServer
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import ConnectionInfo
from pykbroker.storage.file_slice import FileSlice
from pykbroker.tap.conversation import Conversation
from pykbroker.tap.taps import Taps
from pykbroker.tap.watching import Result, watched

_SIZE_BYTES: Final = 4


class TappedDispatcher(Dispatcher):
    """A dispatcher that tells taps what passes it, while there are any.

    Args:
        broker: What answers.
        taps: They may come and go.
    """

    def __init__(self, broker: Broker, taps: Taps) -> None:
        super().__init__(broker)
        self._taps = taps
        self._topics = _TopicsOf(broker)

    def dispatch(self, frame: memoryview, connection: ConnectionInfo) -> Result:
        """Answer one request; see `Dispatcher.dispatch`."""
        opened = self._taps.opened
        if not opened or len(frame) < REQUEST_HEADER_START.size:
            return super().dispatch(frame, connection)
        peer = f"{connection.peer_host}:{connection.peer_port}"
        conversations = [tap.conversation(connection, peer, self._topics) for tap in opened]
        asked = _Asked(conversations, frame)
        return watched(partial(super().dispatch, frame, connection), asked)


class TappedServer(FaultyServer):
    """A server that obeys rules, and into which taps may be put; else it is like any other.

    Args:
        config: The settings.
        rules: See `FaultyServer`.
        taps: They may come and go while it runs, and outlive it.
        clock: The broker's.
    """

    def __init__(
        self, config: BrokerConfig, rules: Rules, taps: Taps, clock: Clock | None = None
    ) -> None:
        super().__init__(config, rules, clock)
        self.dispatcher = TappedDispatcher(self.broker, taps)
        self._taps = taps

    def connection_closed(self, connection: Connection) -> None:
        """Forget a connection, and tell of its requests that were not answered."""
        super().connection_closed(connection)
        for tap in self._taps.opened:
            tap.connection_closed(connection)


class _TopicsOf:
    """The topics that the broker itself knows; implements `KnownTopics`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def image(self) -> MetadataImage:
        """All topics."""
        return self._broker.metadata.image

    def learn(self, message: object) -> None:
        """Do nothing: they are known."""


class _Asked:
    """One request, as taps hear it; implements `Watcher`."""

    def __init__(self, conversations: list[Conversation], frame: memoryview) -> None:
        self._conversations = conversations
        self._correlation_id = REQUEST_HEADER_START.unpack_from(frame)[2]
        # The connection uses its memory again, and what was decoded is slices of it.
        copy = memoryview(bytes(frame))
        for conversation in conversations:
            conversation.asked(copy)

    def answered(self, buffers: Iterable[Buffer]) -> None:
        """Tell the answer, files' parts included."""
        answer = memoryview(b"".join(map(_bytes, buffers)))[_SIZE_BYTES:]
        for conversation in self._conversations:
            conversation.answered(answer)

    def ended(self, outcome: str) -> None:
        """Tell why there is no answer."""
        for conversation in self._conversations:
            conversation.dropped(self._correlation_id, outcome)


def _bytes(part: object) -> Buffer:
    if not isinstance(part, FileSlice):
        assert isinstance(part, bytes | bytearray | memoryview)
        return part
    try:
        return part.read()
    except KafkaError:  # the client will hear of it; there is nothing to show
        return bytes(part.size_bytes)
