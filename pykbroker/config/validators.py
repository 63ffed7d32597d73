"""Which values a setting allows, beyond its type.

A validator answers why it refuses a value, or None, and describes what it allows (`allowed`) in
the form that Kafka's documentation uses, such as `[1,...,9]`. Messages are Kafka's. Sources:
`ConfigDef.Range`, `ValidString`, `ValidList`, `CompressionType`, `ThrottledReplicaListValidator`
of Kafka 4.3.
"""

import re
from typing import Final


class Validator:
    """A rule about the values of one setting."""

    __slots__ = ("allowed",)

    def __init__(self, allowed: str) -> None:
        self.allowed: Final = allowed

    def refuse(self, name: str, value: object) -> str | None:
        """Say why a value of the setting's type is not allowed; None if it is."""
        raise NotImplementedError


def invalid(name: str, value: object, reason: str) -> str:
    """Return Kafka's sentence about a value that is not allowed."""
    return f"Invalid value {value} for configuration {name}: {reason}"


class Range(Validator):
    """A number from `low` to `high`, both included; None is unlimited."""

    __slots__ = ("high", "low")

    def __init__(self, low: float, high: float | None = None) -> None:
        super().__init__(f"[{low},...]" if high is None else f"[{low},...,{high}]")
        self.low: Final = low
        self.high: Final = high

    def refuse(self, name: str, value: object) -> str | None:
        """Refuse numbers outside of the range."""
        if not isinstance(value, int | float) or value < self.low:
            return invalid(name, value, f"Value must be at least {self.low}")
        if self.high is not None and value > self.high:
            return invalid(name, value, f"Value must be no more than {self.high}")
        return None


class OneOf(Validator):
    """One of some words; in capitals if case does not matter."""

    __slots__ = ("ignore_case", "words")

    def __init__(self, words: tuple[str, ...], *, ignore_case: bool = False) -> None:
        super().__init__(f"[{', '.join(words)}]")
        self.words: Final = words
        self.ignore_case: Final = ignore_case

    def refuse(self, name: str, value: object) -> str | None:
        """Refuse every other word."""
        word = str(value).upper() if self.ignore_case else value
        if word in self.words:
            return None
        hint = " (case insensitive)" if self.ignore_case else ""
        return invalid(name, value, f"String must be one of{hint}: {', '.join(self.words)}")


class ListOf(Validator):
    """A list of non-empty items; of some words only if `words` are given."""

    __slots__ = ("empty", "words")

    def __init__(self, words: tuple[str, ...] = (), *, empty: bool = True) -> None:
        anything = "a list" if empty else "any non-empty value"
        super().__init__(f"[{', '.join(words)}]" if words else anything)
        self.words: Final = words
        self.empty: Final = empty

    def refuse(self, name: str, value: object) -> str | None:
        """Refuse unknown and empty items, and an empty list unless it is allowed."""
        items = value if isinstance(value, tuple) else ()
        if not items and not self.empty:
            return f"Configuration '{name}' must not be empty. Valid values include: {self.allowed}"
        for item in items:
            if not item:
                return f"Configuration '{name}' values must not be empty."
            if self.words and item not in self.words:
                return invalid(name, item, f"String must be one of: {', '.join(self.words)}")
        return None


class Matching(Validator):
    """Text, or every item of a list, that matches an expression as a whole."""

    __slots__ = ("expression",)

    def __init__(self, expression: str, allowed: str) -> None:
        super().__init__(allowed)
        self.expression: Final = expression

    def refuse(self, name: str, value: object) -> str | None:
        """Refuse text that does not match."""
        items = value if isinstance(value, tuple) else (value,)
        if all(re.fullmatch(self.expression, str(item)) for item in items):
            return None
        shown = f"[{', '.join(value)}]" if isinstance(value, tuple) else value
        return invalid(name, shown, f"{name} must be {self.allowed}")


class Level(Validator):
    """A level from `low` to `high`, or -1 for the codec's own default (gzip)."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        super().__init__(f"[{low},...,{high}] or -1")
        self.low: Final = low
        self.high: Final = high

    def refuse(self, name: str, value: object) -> str | None:
        """Refuse other levels."""
        if isinstance(value, int) and (value == -1 or self.low <= value <= self.high):
            return None
        reason = f"Value must be between {self.low} and {self.high} or equal to -1"
        return invalid(name, value, reason)


def at_least(low: float) -> Range:
    """Allow numbers from `low`."""
    return Range(low)


def between(low: float, high: float) -> Range:
    """Allow numbers from `low` to `high`."""
    return Range(low, high)


def one_of(*words: str) -> OneOf:
    """Allow some words."""
    return OneOf(words)


NON_EMPTY: Final = Matching("(?s).+", "a non-empty string")
ANY_LIST: Final = ListOf()
NON_EMPTY_LIST: Final = ListOf(empty=False)
THROTTLED_REPLICAS: Final = Matching(
    r"\*|[0-9]+:[0-9]+",
    "the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
)
SHARE_OFFSET_RESET: Final = Matching(
    r"latest|earliest|by_duration:\+?P(?!$)([0-9]+D)?"
    r"(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]+)?S)?)?",
    "one of latest, earliest, by_duration:PnDTnHnMn.nS",
)
QUORUM_VOTERS: Final = Matching(
    r"[0-9]+@[^@/]*:[0-9]+", "a list of {id}@{host}:{port} entries separated by commas"
)
CLUSTER_ID: Final = Matching(
    r"[!-\[\]-~]*", "empty, or printable ASCII without spaces and backslashes"
)
HOST_PORTS: Final = Matching(
    r"[^@/]*:[0-9]+", "a list of {host}:{port} entries separated by commas"
)
COMPRESSION_TYPES: Final = one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
TIMESTAMP_TYPES: Final = one_of("CreateTime", "LogAppendTime")
CLEANUP_POLICIES: Final = ListOf(("compact", "delete"))
GZIP_LEVELS: Final = Level(1, 9)
