"""Rules: which requests get what, asked for each request in the order in which they were added.

Delays add up and the longest throttle time counts. Of what ends a request the first counts: an
error for some of its items leaves the others to the rules behind; a connection closed or an answer
lost leaves nothing.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

from pykbroker.faults.matching import Asked, Item, Match
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode

Apis = str | Iterable[str] | None
When = Literal["before", "after"]

_API_NAMES: Final = {api.display_name.lower(): api for api in ApiKey}


class RuleError(ValueError):
    """A rule that cannot be; the message says what is wrong with it."""


class End(StrEnum):
    """What a request may come to other than its answer."""

    CLOSE_BEFORE = "the connection is closed before the request has an effect"
    CLOSE_AFTER = "the connection is closed after the request had its effect"
    LOSE_ANSWER = "the request has its effect, and is never answered"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a request gets; anything may be combined with a delay and a throttle time.

    Attributes:
        error: An error code in the answer.
        after_effect: Whether what fails with the error is done nevertheless.
        end: What happens to the connection.
        delay_ms: How much later the request is begun.
        throttle_ms: The throttle time that the answer tells.
        read_bytes_per_s: How fast the request is read: later by its size; 0 is at once.
    """

    error: ErrorCode | None = None
    after_effect: bool = False
    end: End | None = None
    delay_ms: int = 0
    throttle_ms: int = 0
    read_bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Failing:
    """Items of a request that fail."""

    items: tuple[Item, ...]
    code: ErrorCode
    after_effect: bool
    match: Match


@dataclass(slots=True)
class Verdict:
    """What all rules together say about a request."""

    delay_ms: int = 0
    throttle_ms: int = 0
    read_bytes_per_s: int = 0
    end: End | None = None
    failing: list[Failing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Limits:
    """Which of the matching requests get the fault.

    Attributes:
        first: The first that gets it, counted from 1.
        times: How many get it; None for all.
        probability: The share of them that gets it.
        seed: Of the draws.
        until_s: When the rule ends.
    """

    first: int = 1
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    until_s: float | None = None

    def __post_init__(self) -> None:
        if self.first < 1 or (self.times is not None and self.times < 1):
            raise RuleError("first and times count from 1")
        if not 0 <= self.probability <= 1:
            raise RuleError(f"a probability of {self.probability}")


class Rule:
    """One rule, in force until it is removed; at the end of a `with` block it is.

    Attributes:
        id: Its number.
        match: Which requests it is for.
        fault: What they get.
        limits: Which of them.
    """

    def __init__(
        self, owner: "Rules", number: int, match: Match, fault: Fault, limits: Limits
    ) -> None:
        self.id = number
        self.match = match
        self.fault = fault
        self.limits = limits
        self._matched = 0
        self._applied = 0
        self._owner = owner
        self._draw = Random(limits.seed).random

    def __repr__(self) -> str:
        return f"<Rule {self.id}: {self.match}, {self.fault}, applied {self._applied} times>"

    def __enter__(self) -> Self:
        """Be in force; it is already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove it."""
        self.remove()

    @property
    def matched(self) -> int:
        """How many requests have matched."""
        return self._matched

    @property
    def applied(self) -> int:
        """How many have got the fault."""
        return self._applied

    def remove(self) -> None:
        """Take it out of force; does nothing the second time."""
        self._owner.discard(self.id)

    def has_ended(self, now_s: float) -> bool:
        """Whether its time is over."""
        return self.limits.until_s is not None and now_s >= self.limits.until_s

    def applies(self) -> bool:
        """Count a request that matches, and say whether it gets the fault."""
        self._matched += 1
        limits = self.limits
        if self._matched < limits.first or self._applied == limits.times:
            return False
        if self._draw() >= limits.probability:
            return False
        self._applied += 1
        return True


class Rules:
    """The rules of one broker; from any thread.

    Args:
        monotonic_s: The time by which rules end.
        spared_client: See `Match.spared_client`.
    """

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        spared_client: str | None = None,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._spared_client = spared_client
        self._rules: dict[int, Rule] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        self._remove_ended(self._monotonic_s())
        return len(self._rules)

    def __iter__(self) -> Iterator[Rule]:
        self._remove_ended(self._monotonic_s())
        return iter(list(self._rules.values()))

    def add(
        self,
        api: Apis = None,
        *,
        client_id: str | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        transactional_id: str | None = None,
        spared_client: str | None = None,
        first: int = 1,
        times: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
        for_s: float | None = None,
        error: str | int | None = None,
        after_effect: bool = False,
        close: When | None = None,
        lose_answer: bool = False,
        delay_ms: int = 0,
        throttle_ms: int = 0,
        read_bytes_per_s: int = 0,
    ) -> Rule:
        """Put a rule in force; it has an effect on requests that come from now on.

        Args:
            api: The API by Kafka's name, or several.
            client_id: As the client says it; may have wildcards, as all names below.
            topic: Name of a topic that the request is about.
            partition: A partition that it is about.
            group: Id of a group that it is about.
            transactional_id: What it is about or part of.
            spared_client: This client is left alone; see `Match.spared_client`.
            first: The first matching request that gets the fault: 3 is the third.
            times: So many get it.
            probability: Each of them gets it with this probability.
            seed: Of the draws; the same ones each time.
            for_s: The rule ends so many seconds from now.
            error: A Kafka error by name or number, for the items that match.
            after_effect: The error is told, but the request is carried out.
            close: The connection is closed before or after the request took effect.
            lose_answer: It takes effect, and no answer comes on its connection any more.
            delay_ms: It is begun so much later.
            throttle_ms: The answer tells this throttle time.
            read_bytes_per_s: It is begun so much later as reading it at this speed takes.

        Raises:
            RuleError: This cannot be a rule.
        """
        ids = client_id, topic, partition, group, transactional_id
        match = Match(apis_named(api), *ids, spared_client or self._spared_client)
        fault = Fault(
            None if error is None else error_code(error),
            after_effect,
            _end(close, lose_answer),
            delay_ms,
            throttle_ms,
            read_bytes_per_s,
        )
        _check(fault)
        until_s = None if for_s is None else self._monotonic_s() + for_s
        return self._enter(match, fault, Limits(first, times, probability, seed, until_s))

    def get(self, number: int) -> Rule | None:
        """Return a rule that is in force."""
        return self._rules.get(number)

    def discard(self, number: int) -> bool:
        """Take a rule out of force, if there is such a rule; tell whether there was."""
        with self._lock:
            is_gone = self._rules.pop(number, None) is not None
        self._changed()
        return is_gone

    def clear(self) -> None:
        """Take all rules out of force."""
        with self._lock:
            self._rules.clear()
        self._changed()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when rules come or go, in their thread; returns what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def decide(self, asked: Asked) -> Verdict | None:
        """Say what a request gets; None if nothing but its answer."""
        verdict: Verdict | None = None
        left = list(asked.items)
        now_s = self._monotonic_s()
        self._remove_ended(now_s)
        with self._lock:
            for rule in self._rules.values():
                items = rule.match.items(asked, left)
                if not items or not rule.applies():
                    continue
                fault = rule.fault
                verdict = verdict or Verdict()
                verdict.delay_ms += fault.delay_ms
                verdict.throttle_ms = max(verdict.throttle_ms, fault.throttle_ms)
                verdict.read_bytes_per_s = fault.read_bytes_per_s or verdict.read_bytes_per_s
                if fault.error is not None:
                    verdict.failing.append(
                        Failing(tuple(items), fault.error, fault.after_effect, rule.match)
                    )
                    left = [item for item in left if item not in items]
                if fault.end is not None:
                    verdict.end = fault.end
                    break
        return verdict

    def _enter(self, match: Match, fault: Fault, limits: Limits) -> Rule:
        with self._lock:
            rule = Rule(self, next(self._numbers), match, fault, limits)
            self._rules[rule.id] = rule
        self._changed()
        return rule

    def _remove_ended(self, now_s: float) -> None:
        with self._lock:
            ended = [rule.id for rule in self._rules.values() if rule.has_ended(now_s)]
            for number in ended:
                del self._rules[number]
        if ended:
            self._changed()

    def _changed(self) -> None:
        for listener in list(self._listeners):
            listener()


def error_code(error: str | int) -> ErrorCode:
    """Return an error by its name or number.

    Raises:
        RuleError: There is none.
    """
    try:
        code = ErrorCode[error.upper()] if isinstance(error, str) else ErrorCode(error)
    except (KeyError, ValueError) as unknown:
        raise RuleError(f"Kafka has no error {error}") from unknown
    if code is ErrorCode.NONE:
        raise RuleError("NONE is no error")
    return code


def apis_named(given: Apis) -> frozenset[ApiKey] | None:
    """Return APIs by their names; None for any.

    Raises:
        RuleError: There is no such API.
    """
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise RuleError("a rule for no API")
    found = set()
    for name in names:
        api = _API_NAMES.get(name.replace("_", "").lower())
        if api is None:
            raise RuleError(f"Kafka has no API {name}")
        found.add(api)
    return frozenset(found)


def _end(close: When | None, lose_answer: bool) -> End | None:
    if close is not None and lose_answer:
        raise RuleError("an answer is lost, or its connection closed")
    if lose_answer:
        return End.LOSE_ANSWER
    if close not in (None, "before", "after"):
        raise RuleError(f"close={close}: before or after the request took effect")
    return {None: None, "before": End.CLOSE_BEFORE, "after": End.CLOSE_AFTER}[close]


def _check(fault: Fault) -> None:
    if fault == Fault(after_effect=fault.after_effect):
        raise RuleError("a rule without anything that a request gets")
    if fault.error is not None and fault.end is not None:
        raise RuleError("an error needs an answer")
    if fault.after_effect and fault.error is None:
        raise RuleError("after_effect is about an error; see close")
    if min(fault.delay_ms, fault.throttle_ms, fault.read_bytes_per_s) < 0:
        raise RuleError("a time or speed below 0")
