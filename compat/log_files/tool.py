"""Kafka's `DumpLogSegments` (kafka-dump-log.sh), and what counts as a complaint of it."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from compat.targets import COMPAT_DIR, kafka_libs

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


def dump(files: Iterable[Path], *options: str) -> list[str]:
    """Let the tool read files; gives the lines that it prints.

    Raises:
        DumpError: It complains, in whatever way.
    """
    logging = f"-Dlog4j2.configurationFile={COMPAT_DIR / 'kafka' / 'log4j2.properties'}"
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_libs()}/*", logging]
    command += [
        "org.apache.kafka.tools.DumpLogSegments",
        "--files",
        ",".join(map(str, files)),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    errors = _FALSE_ALARM.sub("", done.stderr)
    lines = done.stdout.splitlines()
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    if done.returncode or errors or complaints:
        raise DumpError("\n".join([f"exit {done.returncode}", errors, *complaints]))
    return lines


def files_of(directory: Path, *suffixes: str) -> list[Path]:
    """The files of partition directories that end so, in their order."""
    return sorted(path for path in directory.glob("*-*/*") if path.suffix in suffixes)
