"""What a coordinator's operation wants done, as data.

A coordinator is pure: an operation takes a request and the time and returns a `Transition`. It
has changed only soft state (who waits, which timers run). Hard state, that which must survive a
restart, changes when the runtime has appended the transition's records and hands them to
`replay`; a restart replays the same records. The runtime also arms the timers and sends the
answers, after everything that the coordinator has written is durable.

Every request makes several of these values; a named tuple is made in a third of the time of a
frozen dataclass.

Model: Kafka's CoordinatorResult and CoordinatorTimer.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from pykbroker.protocol.primitives import Buffer

ResponseT_co = TypeVar("ResponseT_co", covariant=True)

TimerKey = tuple[str, ...]
"""What a timer is for, such as ("session", group id, member id); setting it again replaces it."""


class RecordValue(Protocol):
    """A generated value message of an internal topic."""

    def encode(self, version: int) -> list[Buffer]:
        """Return the message's bytes in one of its versions."""


class RecordKey(RecordValue, Protocol):
    """A generated key message of an internal topic; its type number goes before its fields."""

    RECORD_TYPE: ClassVar[int]


class CoordinatorRecord(NamedTuple):
    """One record of an internal topic before it is encoded; no value is a tombstone."""

    key: RecordKey
    value: RecordValue | None
    value_version: int = 0


class SetTimer(NamedTuple):
    """Call the coordinator's `expire` with this key once the delay has passed.

    A timer that runs already is set anew, or with `keeps_running` left as it is.
    """

    key: TimerKey
    delay_ms: int
    keeps_running: bool = False


class CancelTimer(NamedTuple):
    """Forget the timer of this key, if it runs."""

    key: TimerKey


ComputationKey = tuple[str, ...]
"""What a computation is for, such as ("regex", group id); at most one of a key is under way."""


class Computation(NamedTuple):
    """What may take long is computed beside the loop, and its result given to `computed`.

    `task` is pure, and knows all that it needs; of one that fails the result is None.
    """

    key: ComputationKey
    task: Callable[[], object]


class Answer(NamedTuple):
    """The response to a parked request, named by the token it came with."""

    token: int
    response: object


class Transition(NamedTuple, Generic[ResponseT_co]):
    """The outcome of one operation.

    `response` is for the operation's own caller (None where answers go by token), `events` are
    lines for the log, and `if_append_fails` names, in the coordinator's own terms, the soft
    state that must be put right when the records could not be written.
    """

    response: ResponseT_co
    records: Sequence[CoordinatorRecord] = ()
    timers: Sequence[SetTimer | CancelTimer] = ()
    computations: Sequence[Computation] = ()
    answers: Sequence[Answer] = ()
    events: Sequence[str] = ()
    if_append_fails: object | None = None
