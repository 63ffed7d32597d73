"""Regular expressions at work: whether one matches all of a name.

An expression becomes a machine of states that is walked for all alternatives at once (Thompson), so
that the time grows with the length of the name and never runs away; sets of states that were met
are remembered, so that a character of a name usually costs one look-up.

No library, on purpose: the maintained binding of RE2 has no wheels for musl, so that this package
could not be installed on Alpine, and Python's own `re` takes exponential time for some expressions.
"""

import enum
from typing import Final

from pykbroker.coordinator.regex.syntax import (
    WORD,
    Chars,
    Choice,
    Node,
    Place,
    RegexError,
    Repeat,
    Sequence,
    parse,
)

MAX_LENGTH: Final = 20_000
MAX_STATES: Final = 5_000
# Of all sets that are remembered together.
MAX_REMEMBERED_STATES: Final = 100_000
# Names of topics are not longer: more repetitions of anything make no difference.
MAX_REPEAT_FOR_TOPICS: Final = 250
_END: Final = -1


class _Neighbour(enum.Enum):
    """What a place between two characters can see on either side."""

    NOTHING = enum.auto()
    NEWLINE = enum.auto()
    WORD = enum.auto()
    OTHER = enum.auto()


class _Met:
    """A set of states that some beginning of a name leads to."""

    __slots__ = ("accepts", "before", "following", "states")

    def __init__(self, states: frozenset[int], before: _Neighbour) -> None:
        self.states = states
        self.before = before
        self.following: dict[str, _Met] = {}
        self.accepts: bool | None = None


class Regex:
    """One expression as a machine.

    A state is a number. It takes a character, asks something of its place, or only leads on.
    """

    def __init__(self, pattern: str, max_repeat: int = MAX_REPEAT_FOR_TOPICS) -> None:
        """Read an expression.

        Args:
            pattern: The expression.
            max_repeat: How many repetitions are told from each other: as long as a name may be.

        Raises:
            RegexError: It cannot be read, or it is too large.
        """
        if len(pattern) > MAX_LENGTH:
            raise RegexError("expression is too large")
        self._max_repeat = max_repeat
        self._chars: dict[int, frozenset[str]] = {}
        self._places: dict[int, Place] = {}
        self._next: list[tuple[int, ...]] = []
        first = self._add(parse(pattern), _END)
        self._start = _Met(frozenset({first}), _Neighbour.NOTHING)
        self._met: dict[tuple[frozenset[int], _Neighbour], _Met] = {}
        self._remembered_states = 0

    def matches(self, name: str) -> bool:
        """Whether the expression matches all of a name."""
        met = self._start
        for char in name:
            if not met.states:
                return False
            met = met.following.get(char) or self._step(met, char)
        if met.accepts is None:
            met.accepts = _END in self._reached(met, _Neighbour.NOTHING)
        return met.accepts

    def _step(self, met: _Met, char: str) -> _Met:
        after = _neighbour(char)
        states = frozenset(
            self._next[state][0]
            for state in self._reached(met, after)
            if state in self._chars and char in self._chars[state]
        )
        following = self._met.get((states, after))
        if following is None:
            following = self._remember(_Met(states, after))
        met.following[char] = following
        return following

    def _remember(self, met: _Met) -> _Met:
        self._remembered_states += len(met.states)
        if self._remembered_states > MAX_REMEMBERED_STATES:
            self._met.clear()
            self._start.following.clear()
            self._remembered_states = len(met.states)
        self._met[met.states, met.before] = met
        return met

    def _reached(self, met: _Met, after: _Neighbour) -> set[int]:
        """The states that a set leads to without taking a character."""
        reached: set[int] = set()
        waiting = list(met.states)
        while waiting:
            state = waiting.pop()
            if state in reached:
                continue
            reached.add(state)
            if state == _END or state in self._chars:
                continue
            place = self._places.get(state)
            if place is None or _is_at(place, met.before, after):
                waiting.extend(self._next[state])
        return reached

    def _add(self, node: Node, then: int) -> int:
        """Add the states of a node, which lead to `then`; returns the first of them."""
        match node:
            case Chars(chars):
                state = self._state(then)
                self._chars[state] = chars
                return state
            case Place():
                state = self._state(then)
                self._places[state] = node
                return state
            case Sequence(parts):
                for part in reversed(parts):
                    then = self._add(part, then)
                return then
            case Choice(parts):
                return self._state(*(self._add(part, then) for part in parts))
            case Repeat(part, least, most):
                return self._add_repeat(part, least, most, then)

    def _add_repeat(self, part: Node, least: int, most: int | None, then: int) -> int:
        least = min(least, self._max_repeat)
        if most is None:
            loop = self._state(then)
            self._next[loop] = (self._add(part, loop), then)
            then = loop
        else:
            end = then
            for _ in range(min(most, self._max_repeat) - least):
                then = self._state(self._add(part, then), end)
        for _ in range(least):
            then = self._add(part, then)
        return then

    def _state(self, *following: int) -> int:
        if len(self._next) >= MAX_STATES:
            raise RegexError("expression is too large")
        self._next.append(following)
        return len(self._next) - 1


def _neighbour(char: str) -> _Neighbour:
    if char == "\n":
        return _Neighbour.NEWLINE
    return _Neighbour.WORD if char in WORD else _Neighbour.OTHER


def _is_at(place: Place, before: _Neighbour, after: _Neighbour) -> bool:
    match place:
        case Place.TEXT_START:
            return before is _Neighbour.NOTHING
        case Place.TEXT_END:
            return after is _Neighbour.NOTHING
        case Place.LINE_START:
            return before in (_Neighbour.NOTHING, _Neighbour.NEWLINE)
        case Place.LINE_END:
            return after in (_Neighbour.NOTHING, _Neighbour.NEWLINE)
        case Place.WORD_BOUNDARY:
            return (before is _Neighbour.WORD) != (after is _Neighbour.WORD)
        case Place.NO_WORD_BOUNDARY:
            return (before is _Neighbour.WORD) == (after is _Neighbour.WORD)
