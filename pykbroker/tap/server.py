"""A server into which taps may be put."""

from collections.abc import Callable, Iterable
from typing import Final

from pykbroker.broker import Broker
from pykbroker.clock import Clock
from pykbroker.config.broker import BrokerConfig
from pykbroker.connection import Connection
from pykbroker.dispatch import REQUEST_HEADER_START
from pykbroker.faults.rules import Rules
from pykbroker.faults.server import FaultyServer
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import ConnectionInfo
from pykbroker.storage.file_slice import FileSlice
from pykbroker.tap.conversation import Conversation
from pykbroker.tap.taps import Taps
from pykbroker.watching import Watch, Watcher

_SIZE_BYTES: Final = 4


class TappedServer(FaultyServer):
    """A server that obeys rules, and into which taps may be put; else it is like any other.

    Args:
        config: The settings.
        rules: See `FaultyServer`.
        taps: They may come and go while it runs, and outlive it.
        clock: The broker's.
        watch: Also hears all requests.
    """

    def __init__(
        self,
        config: BrokerConfig,
        rules: Rules,
        taps: Taps,
        clock: Clock | None = None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(config, rules, clock)
        self._taps = taps
        self._other = watch
        self._topics = _TopicsOf(self.broker)
        self._end_listening: Callable[[], None] | None = None

    async def start(self) -> None:
        """Open the data directories, then the listeners; see `Server.start`."""
        self._end_listening = self._taps.subscribe(self._listen_to_taps)
        self._listen_to_taps()
        await super().start()

    async def stop(self) -> None:
        """Stop, and have the taps hear no more."""
        await super().stop()
        if self._end_listening is not None:
            self._end_listening()

    def connection_closed(self, connection: Connection) -> None:
        """Forget a connection, and tell of its requests that were not answered."""
        super().connection_closed(connection)
        for tap in self._taps.opened:
            tap.connection_closed(connection)

    def _listen_to_taps(self) -> None:
        self.dispatcher.watch(self._tapped if self._taps.opened else self._other)

    def _tapped(self, frame: memoryview, connection: ConnectionInfo) -> Watcher:
        peer = f"{connection.peer_host}:{connection.peer_port}"
        opened = self._taps.opened
        conversations = [tap.conversation(connection, peer, self._topics) for tap in opened]
        other = None if self._other is None else self._other(frame, connection)
        return _Asked(conversations, frame, other)


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
    """One request, as taps and maybe somebody else hear it; implements `Watcher`."""

    def __init__(
        self, conversations: list[Conversation], frame: memoryview, other: Watcher | None
    ) -> None:
        self._other = other
        self._conversations = conversations
        self._correlation_id = REQUEST_HEADER_START.unpack_from(frame)[2]
        # The connection uses its memory again, and what was decoded is slices of it.
        copy = memoryview(bytes(frame))
        for conversation in conversations:
            conversation.asked(copy)

    def answered(self, buffers: Iterable[Buffer]) -> None:
        """Tell the answer, files' parts included."""
        parts = list(buffers)
        if self._other is not None:
            self._other.answered(parts)
        answer = memoryview(b"".join(map(_bytes, parts)))[_SIZE_BYTES:]
        for conversation in self._conversations:
            conversation.answered(answer)

    def ended(self, outcome: str) -> None:
        """Tell why there is no answer."""
        if self._other is not None:
            self._other.ended(outcome)
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
