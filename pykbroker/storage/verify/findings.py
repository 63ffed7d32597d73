"""What a check reports, and what it has to know of the data directory around."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


class Severity(enum.Enum):
    """How bad a finding is."""

    WARNING = "warning"  # the next start puts it right
    DAMAGE = "damage"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        severity: How bad it is.
        path: The file.
        text: What is wrong.
        position: Where in the file, in bytes; None where it is the whole file.
        offset: Which offset of the log it is about, if any.
        advice: What an operator can do.
    """

    severity: Severity
    path: Path
    text: str
    position: int | None = None
    offset: int | None = None
    advice: str = ""


Report: TypeAlias = Callable[[Finding], None]
Progress: TypeAlias = Callable[[Path, int], None]
"""Called with a file and how many more of its bytes have been read."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the data directory says about one partition.

    Attributes:
        is_known: Whether there is a data directory around it.
        is_clean: Whether its last stop was clean, so that the next start checks nothing.
        recovery_point: Everything below is durable; 0 where nothing is known.
        log_start_offset: From its checkpoint, if it has one.
        cleaned_offset: Up to where the log is compacted, if it was ever.
    """

    is_known: bool = False
    is_clean: bool = False
    recovery_point: int = 0
    log_start_offset: int | None = None
    cleaned_offset: int | None = None

    def is_checked_at_start(self, end_offset: int) -> bool:
        """Whether the next start looks at what is at or behind `end_offset`."""
        return self.is_known and not self.is_clean and end_offset >= self.recovery_point


@dataclass(slots=True)
class Summary:
    """What there is in one partition.

    Attributes:
        path: Its directory.
        segments: `.log` files.
        batches: Whole ones.
        records: Those in them, control records too.
        size_bytes: Of the `.log` files.
        start_offset: Of the first batch; -1 without.
        end_offset: Behind the last batch; that of the last segment's name without.
        damage: How many findings were damage.
        warnings: How many were not.
    """

    path: Path
    segments: int = 0
    batches: int = 0
    records: int = 0
    size_bytes: int = 0
    start_offset: int = -1
    end_offset: int = 0
    damage: int = 0
    warnings: int = 0
