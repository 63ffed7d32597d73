"""Which values a setting allows, beyond its type.

A validator answers why it refuses a value, or None, and describes what it allows (`allowed`) in
the form that Kafka's documentation uses, such as `[1,...,9]`. Sources: `ConfigDef.Range`,
`ValidString`, `ValidList`, `CompressionType` and others of Kafka 4.3.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Validator(ABC):
    """A rule about values of one setting."""

    __slots__ = ()

    @abstractmethod
    def refuse(self, value: object) -> str | None:
        """Say why `value`, already of the setting's type, is not allowed; None if it is."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, for people."""


@dataclass(frozen=True, slots=True)
class Range(Validator):
    """A number from `low` to `high`, both included; None is unlimited."""

    low: float | None = None
    high: float | None = None

    def refuse(self, value: object) -> str | None:
        """Refuse null and numbers outside of the range."""
        if not isinstance(value, int | float):
            return "Value must be non-null"
        if self.low is not None and value < self.low:
            return f"Value must be at least {self.low}"
        if self.high is not None and value > self.high:
            return f"Value must be no more than {self.high}"
        return None

    @property
    def allowed(self) -> str:
        """Such as [0,...] or [1,...,9]."""
        low = "" if self.low is None else f"{self.low},"
        high = "" if self.high is None else f",{self.high}"
        return f"[{low}...{high}]"


@dataclass(frozen=True, slots=True)
class OneOf(Validator):
    """One of some words."""

    words: tuple[str, ...]
    ignore_case: bool = False

    def refuse(self, value: object) -> str | None:
        """Refuse every other word."""
        if self.ignore_case:
            known = isinstance(value, str) and value.upper() in self.words
        else:
            known = value in self.words
        if known:
            return None
        hint = " (case insensitive)" if self.ignore_case else ""
        return f"String must be one of{hint}: {', '.join(self.words)}"

    @property
    def allowed(self) -> str:
        """The words in brackets."""
        return f"[{', '.join(self.words)}]"


@dataclass(frozen=True, slots=True)
class ListOf(Validator):
    """A list without repetition; of some words if `words` are given."""

    words: tuple[str, ...] = ()
    empty: bool = True
    null: bool = False

    def refuse(self, value: object) -> str | None:
        """Refuse repeated and unknown items, and an empty or null list unless it is allowed."""
        if not isinstance(value, tuple):
            return None if self.null else "values must not be null"
        if not value and not self.empty:
            return f"must not be empty. Valid values include: {self.allowed}"
        if len(set(value)) != len(value):
            return "values must not be duplicated"
        if "" in value:
            return "values must not be empty"
        if self.words and not set(value) <= set(self.words):
            return f"String must be one of: {', '.join(self.words)}"
        return None

    @property
    def allowed(self) -> str:
        """The words in brackets, or what kind of list it is."""
        if self.words:
            return f"[{', '.join(self.words)}]"
        return "a list" if self.empty else "any non-empty value"


@dataclass(frozen=True, slots=True)
class Pattern(Validator):
    """Text, or every item of a list, that matches an expression as a whole."""

    expression: str
    description: str
    null: bool = False

    def refuse(self, value: object) -> str | None:
        """Refuse text that does not match."""
        if value is None:
            return None if self.null else "Value must be non-null"
        items = value if isinstance(value, tuple) else (value,)
        if all(re.fullmatch(self.expression, str(item)) for item in items):
            return None
        return f"Value must be {self.description}"

    @property
    def allowed(self) -> str:
        """The description."""
        return self.description


@dataclass(frozen=True, slots=True)
class LevelOrDefault(Validator):
    """A level from `low` to `high`, or -1 for the codec's own default (gzip)."""

    low: int
    high: int

    def refuse(self, value: object) -> str | None:
        """Refuse other levels."""
        if isinstance(value, int) and (value == -1 or self.low <= value <= self.high):
            return None
        return f"Value must be between {self.low} and {self.high} or equal to -1"

    @property
    def allowed(self) -> str:
        """Such as [1,...,9] or -1."""
        return f"[{self.low},...,{self.high}] or -1"


def at_least(low: float) -> Range:
    """Allow numbers from `low`."""
    return Range(low)


def between(low: float, high: float) -> Range:
    """Allow numbers from `low` to `high`."""
    return Range(low, high)


def one_of(*words: str) -> OneOf:
    """Allow some words."""
    return OneOf(words)


NON_EMPTY = Pattern(".+", "a non-empty string", null=True)
NON_NULL = Pattern("(?s).*", "a non-null string")
ANY_LIST = ListOf()
NON_EMPTY_LIST = ListOf(empty=False)
NON_EMPTY_LIST_OR_NULL = ListOf(empty=False, null=True)
LIST_OR_NULL = ListOf(null=True)
THROTTLED_REPLICAS = Pattern(
    r"\*|[0-9]+:[0-9]+",
    "the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
)
SHARE_OFFSET_RESET = Pattern(
    r"latest|earliest|by_duration:\+?P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?",
    "one of latest, earliest, by_duration:PnDTnHnMn.nS",
)
QUORUM_VOTERS = Pattern(
    r"[0-9]+@[^@/]*:[0-9]+", "a list of {id}@{host}:{port} entries separated by commas"
)
HOST_PORTS = Pattern(r"[^@/]*:[0-9]+", "a list of {host}:{port} entries separated by commas")
COMPRESSION_TYPES = one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
TIMESTAMP_TYPES = one_of("CreateTime", "LogAppendTime")
CLEANUP_POLICIES = ListOf(("compact", "delete"))
GZIP_LEVELS = LevelOrDefault(1, 9)
LZ4_LEVELS = between(1, 17)
ZSTD_LEVELS = between(-131072, 22)
