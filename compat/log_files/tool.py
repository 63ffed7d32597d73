"""Kafka's `DumpLogSegments` (kafka-dump-log.sh), and what counts as a complaint of it."""

import re
from collections.abc import Iterable
from pathlib import Path

from compat.jvm import JavaTools

TOOL = "org.apache.kafka.tools.DumpLogSegments"
# The tool tells of mismatches on standard error, but of some damage between its other lines.
_COMPLAINT = re.compile(
    r"isvalid: false|invalid bytes|Exception|Could not|not found", re.IGNORECASE
)
# It takes any segment but the first for a gap, its author's own files too (4.3.1).
_FALSE_ALARM = re.compile(
    r"Non-consecutive offsets in \S+/0*([0-9]+)\.log\n  -1 is followed by \1(\n(?!  )|$)"
)


class DumpError(AssertionError):
    """The tool has found something wrong."""


class DumpTool:
    """The tool in a JVM that reads many files, one call after the other."""

    def __init__(self) -> None:
        self._jvm = JavaTools()

    def dump(self, files: Iterable[Path], *options: str) -> list[str]:
        """Let the tool read files; gives the lines that it prints.

        Raises:
            DumpError: It complains, in whatever way.
        """
        paths = ",".join(map(str, files))
        call = self._jvm.run(TOOL, "--files", paths, *options, seconds=120)
        errors = _FALSE_ALARM.sub("", "".join(f"{line}\n" for line in call.err))
        complaints = [line for line in call.out if _COMPLAINT.search(line)]
        if call.status or errors or complaints:
            raise DumpError("\n".join([f"exit {call.status}", errors, *complaints]))
        return call.out

    def close(self) -> None:
        self._jvm.close()


def files_of(directory: Path, *suffixes: str) -> list[Path]:
    """The files of partition directories that end so, in their order."""
    return sorted(path for path in directory.glob("*-*/*") if path.suffix in suffixes)
