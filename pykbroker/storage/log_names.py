"""What the names in a data directory mean (Kafka's `LogFileUtils` and `UnifiedLog`).

A partition's directory is `<topic>-<partition>`; one that is being deleted, moved or was given up
is `<topic>-<partition>.<32 hex digits>-delete`, `-future` or `-stray`. In it, a file that belongs
to an offset is `<20 digits><suffix>`, and `.deleted`, `.cleaned` or `.swap` behind that.
"""

import re
from typing import Final, NamedTuple

from pykbroker.storage.segment import SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX

_SUFFIXES: Final = (*SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX)
_STATES: Final = (".deleted", ".cleaned", ".swap")
_OFFSET_DIGITS: Final = re.compile(r"[0-9]{20}")
_DIRECTORY: Final = re.compile(
    r"(?P<topic>[a-zA-Z0-9._-]+)-(?P<partition>[0-9]+)"
    r"(\.[0-9a-f]{32}-(?P<state>delete|future|stray))?"
)


class LogFileName(NamedTuple):
    """The name of a file that belongs to an offset.

    Attributes:
        offset: The base offset of the segment, or that of the snapshot; None where the digits are
            not as they should be.
        suffix: What is in it, such as `.log`.
        state: `.deleted`, `.cleaned`, `.swap` or empty.
    """

    offset: int | None
    suffix: str
    state: str


class PartitionName(NamedTuple):
    """The name of a partition's directory.

    Attributes:
        topic: Possibly cut, where the state is not empty.
        partition: Its number.
        state: `delete`, `future`, `stray` or empty.
    """

    topic: str
    partition: int
    state: str


def parse_log_file_name(name: str) -> LogFileName | None:
    """Return what a file name says, None if it is none of a segment's or snapshot's."""
    state = next((state for state in _STATES if name.endswith(state)), "")
    name = name.removesuffix(state)
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            digits = name.removesuffix(suffix)
            offset = int(digits) if _OFFSET_DIGITS.fullmatch(digits) else None
            return LogFileName(offset, suffix, state)
    return None


def parse_partition_name(name: str) -> PartitionName | None:
    """Return what a directory's name says, None if it is none of a partition's."""
    match = _DIRECTORY.fullmatch(name)
    if match is None:
        return None
    return PartitionName(match["topic"], int(match["partition"]), match["state"] or "")
