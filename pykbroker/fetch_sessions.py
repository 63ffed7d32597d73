"""Incremental fetch sessions (KIP-227; Kafka's FetchSession.scala).

A client that polls many partitions names them once. The broker remembers them with what it last
told about each; later requests carry only what changes, and answers only the partitions that have
something to say: records, an error, a new high watermark or log start offset, a diverging epoch.

A request says what it wants by its session id and epoch:

| epoch | id | meaning |
|-------|----|---------|
| -1    | 0  | no session |
| -1    | n  | close session n; this request has none |
| 0     | n  | close session n if it exists, and open a new one if there is room |
| k > 0 | n  | the k-th request in session n, in order |

Id 0 in an answer means that there is no session.

A partition is known by topic id from Fetch v13 on and by topic name before; a session keeps to the
one that it was opened with. Partitions with records move to the back, so each gets its turn to be
read first when an answer has no room for all.

Not here, for there are no followers: privileged sessions, which consumers cannot evict.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from pykbroker.clock import Clock
from pykbroker.protocol.errors import ErrorCode, KafkaError

NO_SESSION_ID: Final = 0
INITIAL_EPOCH: Final = 0
FINAL_EPOCH: Final = -1
MAX_EPOCH: Final = (1 << 31) - 1
# Session ids are drawn from 1 up to, not including, this.
SESSION_ID_LIMIT: Final = (1 << 31) - 1
# A session is safe from larger newcomers for so long after its start, and is given up when it has
# not been used for so long (Kafka's MinIncrementalFetchSessionEvictionMs).
EVICTION_MS: Final = 120_000

NO_TOPIC_ID: Final = bytes(16)

PartitionKey = tuple[bytes | str | None, int]


class FetchPartition:
    """One partition that a client fetches, with its wishes and what it was told last.

    Attributes:
        topic: Name; None while the topic id of a v13+ request is not known here.
        topic_id: 16 bytes; zero when the request goes by names.
        high_watermark: As last answered; -1 before the first answer and after an error, which
            makes sure that the partition is answered when the error is gone.
        log_start_offset: As last answered, likewise.
    """

    __slots__ = (
        "current_leader_epoch",
        "fetch_offset",
        "high_watermark",
        "last_fetched_epoch",
        "log_start_offset",
        "max_bytes",
        "partition",
        "topic",
        "topic_id",
    )

    def __init__(
        self,
        topic: str | None,
        topic_id: bytes,
        partition: int,
        *,
        fetch_offset: int = 0,
        max_bytes: int = 0,
        current_leader_epoch: int = -1,
        last_fetched_epoch: int = -1,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.partition = partition
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.current_leader_epoch = current_leader_epoch
        self.last_fetched_epoch = last_fetched_epoch
        self.high_watermark = -1
        self.log_start_offset = -1

    @property
    def key(self) -> PartitionKey:
        """What makes two mentions of a partition the same one."""
        return (self.topic if self.topic_id == NO_TOPIC_ID else self.topic_id, self.partition)

    def take_wishes(self, other: "FetchPartition") -> None:
        """Take the request's side from a newer mention of the partition."""
        self.fetch_offset = other.fetch_offset
        self.max_bytes = other.max_bytes
        self.current_leader_epoch = other.current_leader_epoch
        self.last_fetched_epoch = other.last_fetched_epoch


class PartitionAnswer(Protocol):
    """What a session looks at in the answer for one partition."""

    wanted: FetchPartition
    high_watermark: int
    log_start_offset: int
    size_bytes: int

    @property
    def error_code(self) -> int:
        """Of the partition."""

    @property
    def is_diverging(self) -> bool:
        """Whether the answer tells the client to truncate."""


AnswerT = TypeVar("AnswerT", bound=PartitionAnswer)


class FetchSession:
    """The partitions of one client and where it stands."""

    __slots__ = (
        "created_ms",
        "epoch",
        "id",
        "last_used_ms",
        "listed_size",
        "partitions",
        "uses_ids",
    )

    def __init__(
        self,
        session_id: int,
        partitions: dict[PartitionKey, FetchPartition],
        uses_ids: bool,
        now_ms: int,
    ) -> None:
        self.id = session_id
        self.partitions = partitions
        self.uses_ids = uses_ids
        self.created_ms = now_ms
        self.last_used_ms = now_ms
        # The epoch that the next request has to carry.
        self.epoch = next_epoch(INITIAL_EPOCH)
        # Number of partitions under which the cache lists it as evictable; -1 while it does not.
        self.listed_size = -1


class FetchContext:
    """One request's view: the partitions to read, and which answers to send.

    This class serves a request without a session; the subclasses are the other kinds.
    """

    __slots__ = ("partitions",)

    def __init__(self, partitions: Iterable[FetchPartition]) -> None:
        self.partitions = partitions

    def select(self, answers: Sequence[AnswerT]) -> tuple[int, Sequence[AnswerT]]:
        """Choose the answers that the client has to see, and note what it is told.

        Returns:
            The session id to answer, and the chosen ones.

        Raises:
            KafkaError: INVALID_FETCH_SESSION_EPOCH, another request went by in the session.
        """
        return NO_SESSION_ID, answers


class FullFetchContext(FetchContext):
    """A request that names all its partitions and would like a session for the next ones."""

    __slots__ = ("_cache", "_uses_ids")

    def __init__(
        self, partitions: Iterable[FetchPartition], cache: "FetchSessionCache", uses_ids: bool
    ) -> None:
        super().__init__(partitions)
        self._cache = cache
        self._uses_ids = uses_ids

    def select(self, answers: Sequence[AnswerT]) -> tuple[int, Sequence[AnswerT]]:
        """Choose all of them, and open the session if there is room."""
        remembered: dict[PartitionKey, FetchPartition] = {}
        for answer in answers:
            wanted = answer.wanted
            wanted.high_watermark = answer.high_watermark
            wanted.log_start_offset = answer.log_start_offset
            remembered[wanted.key] = wanted
        return self._cache.maybe_create(remembered, self._uses_ids), answers


class IncrementalFetchContext(FetchContext):
    """A request within a session."""

    __slots__ = ("_epoch", "_session")

    def __init__(self, session: FetchSession) -> None:
        super().__init__(session.partitions.values())
        self._session = session
        self._epoch = session.epoch

    def select(self, answers: Sequence[AnswerT]) -> tuple[int, Sequence[AnswerT]]:
        """Choose what has changed."""
        session = self._session
        if session.epoch != self._epoch:
            raise KafkaError(
                ErrorCode.INVALID_FETCH_SESSION_EPOCH, "another request used the session meanwhile"
            )
        chosen = []
        for answer in answers:
            wanted = answer.wanted
            is_failed = answer.error_code != ErrorCode.NONE
            if (
                answer.size_bytes > 0
                or wanted.high_watermark != answer.high_watermark
                or wanted.log_start_offset != answer.log_start_offset
                or is_failed
                or answer.is_diverging
            ):
                wanted.high_watermark = -1 if is_failed else answer.high_watermark
                wanted.log_start_offset = answer.log_start_offset
                chosen.append(answer)
                if answer.size_bytes > 0:
                    session.partitions[wanted.key] = session.partitions.pop(wanted.key)
        return session.id, chosen


class FetchSessionCache:
    """All sessions of this broker, a limited number."""

    def __init__(self, max_sessions: int, clock: Clock, draw: Callable[[int], int]) -> None:
        """Create it.

        Args:
            max_sessions: `max.incremental.fetch.session.cache.slots`.
            clock: Monotonic time for the eviction.
            draw: Returns a random number from 0 up to, not including, its argument; unpredictable,
                or one client could use the session of another.
        """
        self.evictions = 0
        self._max_sessions = max_sessions
        self._clock = clock
        self._draw = draw
        # The longest unused is first.
        self._sessions: dict[int, FetchSession] = {}
        # (number of partitions, id) of the sessions that a larger newcomer may evict, sorted.
        self._evictable: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._sessions)

    @property
    def total_partitions(self) -> int:
        """How many partitions all sessions remember."""
        return sum(len(session.partitions) for session in self._sessions.values())

    def partitions_of(self, session_id: int) -> list[PartitionKey]:
        """Return the partitions that a session remembers; none if there is no such session."""
        session = self._sessions.get(session_id)
        return [] if session is None else list(session.partitions)

    def new_context(
        self,
        session_id: int,
        epoch: int,
        wanted: dict[PartitionKey, FetchPartition],
        forgotten: Iterable[PartitionKey],
        *,
        uses_ids: bool,
    ) -> FetchContext:
        """Find out what a request is about.

        Args:
            session_id: As the request says.
            epoch: As the request says.
            wanted: The partitions that the request names, in its order.
            forgotten: The partitions that the client no longer wants in its session.
            uses_ids: Whether the request goes by topic ids (v13+).

        Raises:
            KafkaError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or
                FETCH_SESSION_TOPIC_ID_ERROR; the client then starts a new session.
        """
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if session_id != NO_SESSION_ID:
                self._remove(session_id)
            if epoch == FINAL_EPOCH:
                return FetchContext(wanted.values())
            return FullFetchContext(wanted.values(), self, uses_ids)

        session = self._sessions.get(session_id)
        if session is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.uses_ids != uses_ids:
            raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)

        for key, partition in wanted.items():
            known = session.partitions.get(key)
            if known is None:
                session.partitions[key] = partition
            else:
                known.take_wishes(partition)
        for key in forgotten:
            session.partitions.pop(key, None)
        if not session.partitions:
            self._remove(session_id)
            return FetchContext(wanted.values())
        self._touch(session)
        session.epoch = next_epoch(session.epoch)
        return IncrementalFetchContext(session)

    def maybe_create(self, partitions: dict[PartitionKey, FetchPartition], uses_ids: bool) -> int:
        """Open a session if there is room or if room can be made.

        Returns:
            Its id, or NO_SESSION_ID.
        """
        now_ms = self._clock.monotonic_ms()
        if len(self._sessions) >= self._max_sessions and not self._evict(len(partitions), now_ms):
            return NO_SESSION_ID
        session_id = 1 + self._draw(SESSION_ID_LIMIT - 1)
        while session_id in self._sessions:
            session_id = 1 + self._draw(SESSION_ID_LIMIT - 1)
        self._sessions[session_id] = FetchSession(session_id, partitions, uses_ids, now_ms)
        return session_id

    def _evict(self, newcomer_size: int, now_ms: int) -> bool:
        """Make room: give up a session that is not used, or else the smallest that is not new.

        Returns:
            False if every session is worth more than the newcomer.
        """
        longest_unused = next(iter(self._sessions.values()), None)
        if longest_unused is None:
            return False
        if now_ms - longest_unused.last_used_ms > EVICTION_MS:
            victim_id = longest_unused.id
        elif self._evictable and newcomer_size > self._evictable[0][0]:
            victim_id = self._evictable[0][1]
        else:
            return False
        self._remove(victim_id)
        self.evictions += 1
        return True

    def _touch(self, session: FetchSession) -> None:
        """Note that a session was used just now."""
        now_ms = self._clock.monotonic_ms()
        session.last_used_ms = now_ms
        self._sessions[session.id] = self._sessions.pop(session.id)
        size = len(session.partitions)
        if size != session.listed_size and now_ms - session.created_ms > EVICTION_MS:
            self._unlist(session)
            session.listed_size = size
            insort(self._evictable, (size, session.id))

    def _remove(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._unlist(session)

    def _unlist(self, session: FetchSession) -> None:
        if session.listed_size >= 0:
            del self._evictable[bisect_left(self._evictable, (session.listed_size, session.id))]
            session.listed_size = -1


def next_epoch(epoch: int) -> int:
    """Return the epoch after one of a live session; it wraps to 1, for 0 means a new session."""
    return 1 if epoch == MAX_EPOCH else epoch + 1
