"""Taps of a broker: what its clients and it say to each other, as far as somebody looks.

A tap keeps the last exchanges of each connection as JSON, or gives each to a listener. Requests are
decoded a second time for each tap; without taps nothing is done.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from pykbroker.faults.matching import Match
from pykbroker.faults.rules import Apis, RuleError, apis_named
from pykbroker.tap.conversation import Conversation, KnownTopics

LAST: Final = 100
# Those that have ended are among them; the oldest goes first.
MAX_CONNECTIONS: Final = 1000

Exchange = dict[str, Any]


class Tap:
    """One tap, open until it is closed; at the end of a `with` block it is.

    Attributes:
        id: Its number.
        match: What is told.
        last: How many exchanges are kept of each connection.
    """

    def __init__(
        self,
        owner: "Taps",
        number: int,
        match: Match,
        last: int,
        listener: Callable[[Exchange], None] | None,
    ) -> None:
        self.id = number
        self.match = match
        self.last = last
        self._told = 0
        self._owner = owner
        self._tell = listener or self._keep
        self._kept: OrderedDict[str, deque[tuple[int, Exchange]]] = OrderedDict()
        self._conversations: dict[object, Conversation] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Be open; it is already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def told(self) -> int:
        """How many exchanges there have been."""
        return self._told

    @property
    def exchanges(self) -> list[Exchange]:
        """The last exchanges of each connection, in the order in which they were answered."""
        with self._lock:
            kept = [each for of_connection in self._kept.values() for each in of_connection]
        return [exchange for _, exchange in sorted(kept, key=lambda each: each[0])]

    def close(self) -> None:
        """Hear no more; what was kept stays. Does nothing the second time."""
        self._owner.discard(self.id)

    def conversation(self, key: object, peer: str, topics: KnownTopics) -> Conversation:
        """Return what follows a connection, in the broker's thread."""
        found = self._conversations.get(key)
        if found is None:
            found = Conversation(peer, topics, self.match, self._take)
            self._conversations[key] = found
        return found

    def connection_closed(self, key: object) -> None:
        """Tell of the requests of a connection that will not be answered any more."""
        conversation = self._conversations.pop(key, None)
        if conversation is not None:
            conversation.ended()

    def _take(self, exchange: Exchange) -> None:
        self._told += 1
        self._tell(exchange)

    def _keep(self, exchange: Exchange) -> None:
        peer = exchange["connection"]
        with self._lock:
            self._kept.setdefault(peer, deque(maxlen=self.last)).append((self._told, exchange))
            if len(self._kept) > MAX_CONNECTIONS:
                self._kept.popitem(last=False)


class Taps:
    """The taps of one broker; from any thread.

    Args:
        spared_client: Not told, as `Match.spared_client`.

    Attributes:
        opened: Those that are open.
    """

    def __init__(self, *, spared_client: str | None = None) -> None:
        self.opened: tuple[Tap, ...] = ()
        self._spared_client = spared_client
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.opened)

    def __iter__(self) -> Iterator[Tap]:
        return iter(self.opened)

    def open(
        self,
        api: Apis = None,
        *,
        client_id: str | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        transactional_id: str | None = None,
        spared_client: str | None = None,
        last: int = LAST,
        listener: Callable[[Exchange], None] | None = None,
    ) -> Tap:
        """Open a tap; what is chosen is chosen as by `Rules.add`.

        Args:
            api: Only this API, or one of several.
            client_id: Only this client.
            topic: Only what is about this topic.
            partition: Only what is about this partition.
            group: Only what is about this group.
            transactional_id: Only what is about this id.
            spared_client: Not this client.
            last: Keep so many exchanges of each connection.
            listener: Gets all, in the broker's thread; nothing is kept then.

        Raises:
            RuleError: There is no such API, or nothing would be kept.
        """
        if last < 1:
            raise RuleError(f"last={last} exchanges of each connection")
        ids = client_id, topic, partition, group, transactional_id
        match = Match(apis_named(api), *ids, spared_client or self._spared_client)
        return self._enter(match, last, listener)

    def get(self, number: int) -> Tap | None:
        """Return a tap that is open."""
        return next((tap for tap in self.opened if tap.id == number), None)

    def discard(self, number: int) -> bool:
        """Close a tap, if there is such a tap; tell whether there was."""
        with self._lock:
            left = tuple(tap for tap in self.opened if tap.id != number)
            is_gone = len(left) < len(self.opened)
            self.opened = left
        self._changed()
        return is_gone

    def clear(self) -> None:
        """Close all taps."""
        with self._lock:
            self.opened = ()
        self._changed()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when taps come or go, in their thread; returns what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def _changed(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _enter(self, match: Match, last: int, listener: Callable[[Exchange], None] | None) -> Tap:
        with self._lock:
            tap = Tap(self, next(self._numbers), match, last, listener)
            self.opened += (tap,)
        self._changed()
        return tap
