"""One operation in progress: its circumstances, and the effects it has gathered so far.

Timers are named by tuples that begin with their kind; each group or member has at most one of a
kind running.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings
from pykbroker.coordinator.group.topics_view import NO_TOPICS, TopicsView
from pykbroker.coordinator.transition import (
    Answer,
    CancelTimer,
    Computation,
    ComputationKey,
    CoordinatorRecord,
    SetTimer,
    TimerKey,
    Transition,
)

ResponseT = TypeVar("ResponseT")

SESSION: Final = "session"
JOIN: Final = "join"
SYNC: Final = "sync"
REBALANCE: Final = "rebalance"
REGEX: Final = "regex"
DOWNGRADE: Final = "downgrade"


def session_timer(group_id: str, member_id: str) -> TimerKey:
    """Expires when a member, or the holder of a promised member id, was silent for too long."""
    return (SESSION, group_id, member_id)


def join_timer(group_id: str) -> TimerKey:
    """Expires when the join phase has lasted as long as it may."""
    return (JOIN, group_id)


def sync_timer(group_id: str) -> TimerKey:
    """Expires when all members should have sent SyncGroup for the current generation."""
    return (SYNC, group_id)


def rebalance_timer(group_id: str, member_id: str) -> TimerKey:
    """Expires when a member of a consumer group should have let its partitions go."""
    return (REBALANCE, group_id, member_id)


def regex_computation(group_id: str) -> ComputationKey:
    """Finds the topics of the group's regular expressions."""
    return (REGEX, group_id)


def downgrade_timer(group_id: str) -> TimerKey:
    """Expires at once: the members of a group that has become classic are told to rejoin."""
    return (DOWNGRADE, group_id)


def member_join_timer(group_id: str, member_id: str) -> TimerKey:
    """Expires when a classic member of a consumer group should have rejoined."""
    return (JOIN, group_id, member_id)


def member_sync_timer(group_id: str, member_id: str) -> TimerKey:
    """Expires when a classic member of a consumer group should have synced."""
    return (SYNC, group_id, member_id)


@dataclass(slots=True, frozen=True)
class GroupSettings:
    """Limits and times of groups and offsets; Kafka's defaults, but for the initial delay."""

    max_size: int = 2**31 - 1
    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    new_member_join_timeout_ms: int = 300_000
    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int = 7 * 24 * 60 * 60 * 1_000
    consumer: ConsumerGroupSettings = field(default_factory=ConsumerGroupSettings)


class Caller(NamedTuple):
    """Who asks: what a request says about its client outside its own fields.

    `client_host` is the peer's address as Kafka shows it to administrators, `/127.0.0.1`.
    """

    client_id: str
    client_host: str
    api_version: int


@dataclass(slots=True)
class Step:
    """Collects what one operation wants done and becomes its `Transition`.

    `now_ms` is wall time, for timestamps in records; timers are relative and need no clock.
    `topics` is the cluster's metadata at this moment.
    """

    now_ms: int
    settings: GroupSettings
    topics: TopicsView = NO_TOPICS
    records: list[CoordinatorRecord] = field(default_factory=list)
    timers: list[SetTimer | CancelTimer] = field(default_factory=list)
    computations: list[Computation] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    if_append_fails: object | None = None

    def set_timer(self, key: TimerKey, delay_ms: int) -> None:
        """Start or restart a timer."""
        self.timers.append(SetTimer(key, delay_ms))

    def start_timer(self, key: TimerKey, delay_ms: int) -> None:
        """Start a timer unless it runs already."""
        self.timers.append(SetTimer(key, delay_ms, keeps_running=True))

    def cancel_timer(self, key: TimerKey) -> None:
        """Stop a timer if it runs."""
        self.timers.append(CancelTimer(key))

    def compute(self, key: ComputationKey, task: Callable[[], object]) -> None:
        """Have something computed that may take long."""
        self.computations.append(Computation(key, task))

    def answer(self, token: int, response: object) -> None:
        """Answer a parked request."""
        self.answers.append(Answer(token, response))

    def log(self, event: str) -> None:
        """Leave a line for the broker's log."""
        self.events.append(event)

    def done(self, response: ResponseT) -> Transition[ResponseT]:
        """End the operation."""
        return Transition(
            response,
            records=self.records,
            timers=self.timers,
            computations=self.computations,
            answers=self.answers,
            events=self.events,
            if_append_fails=self.if_append_fails,
        )
