"""Ranges of versions, in Kafka's spelling: `0-3`, `4+`, `2` and `none`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

OPEN_END: Final = 2**15 - 1
"""The end of `4+`: a version is an int16 on the wire."""


@dataclass(frozen=True, slots=True, order=True)
class VersionRange:
    """The versions from `first` to `last`, both included; empty if last < first."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read Kafka's spelling.

        Raises:
            ValueError: The text is not a range.
        """
        if text == "none":
            return cls(0, -1)
        if text.endswith("+"):
            return cls(int(text[:-1]), OPEN_END)
        first, _, last = text.partition("-")
        return cls(int(first), int(last or first))

    def __str__(self) -> str:
        if not self:
            return "none"
        if self.last == OPEN_END:
            return f"{self.first}+"
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"

    def __bool__(self) -> bool:
        return self.first <= self.last

    def __and__(self, other: "VersionRange") -> "VersionRange":
        return VersionRange(max(self.first, other.first), min(self.last, other.last))

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def covers(self, other: "VersionRange") -> bool:
        """Whether every version of the other range is in this one."""
        return not other or (self.first <= other.first and other.last <= self.last)

    def hull(self, other: "VersionRange") -> "VersionRange":
        """The smallest range with both in it."""
        if not self or not other:
            return self or other
        return VersionRange(min(self.first, other.first), max(self.last, other.last))


NO_VERSIONS: Final = VersionRange(0, -1)
