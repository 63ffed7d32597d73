"""`pykbroker log`: print and check the files of a data directory.

Both commands only read, need no broker, and work on what Apache Kafka wrote. Beside a running
broker they see the end of a log as it is being written.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import click

from pykbroker.commands.log_dump import DumpOptions, Outcome, dump_file
from pykbroker.storage.data_directory import META_PROPERTIES
from pykbroker.storage.log_names import parse_log_file_name, parse_partition_name
from pykbroker.storage.partition_files import LEADER_EPOCHS, PARTITION_METADATA
from pykbroker.storage.segment import OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX
from pykbroker.storage.verify.directory import OFFSET_CHECKPOINTS, DirectoryFacts, partitions_in
from pykbroker.storage.verify.findings import Finding, Severity, Summary, Surroundings
from pykbroker.storage.verify.partition import verify_partition
from pykbroker.storage.verify.small_files import is_small_file, verify_small_file

EXIT_DAMAGE: Final = 1
_PROGRESS_AFTER_S: Final = 1.0
_MEGABYTE: Final = 1_000_000

path_argument = click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def log() -> None:
    """Print and check the files of logs, of pykbroker or Apache Kafka.

    PATH is a data directory, a partition's directory, or a file in one. Nothing is changed, and no
    broker is needed; beside a running one, the end of a log may be a batch that it is writing.
    """


@log.command()
@path_argument
@click.option("-r", "--records", is_flag=True, help="Print the records of each batch.")
@click.option("--from-offset", type=click.IntRange(min=0), default=0, help="Start with this one.")
@click.option("--to-offset", type=click.IntRange(min=0), help="Stop after this one.")
@click.option("--max-batches", type=click.IntRange(min=0), help="Stop after so many of a file.")
@click.option("--max-bytes", type=click.IntRange(min=0), help="Print so many of a key or value.")
@click.option("--indexes", is_flag=True, help="Print the indexes in a directory, too.")
@json_option
def dump(
    paths: Sequence[Path],
    records: bool,
    from_offset: int,
    to_offset: int | None,
    max_batches: int | None,
    max_bytes: int | None,
    indexes: bool,
    as_json: bool,
) -> None:
    """Print batches, records, index entries, producers, checkpoints.

    Bytes are printed as text, others than UTF-8 as \\xNN; with --json as a string, or if they are
    not UTF-8 as {"base64": "..."}. Exit code 1 if something cannot be read.
    """
    options = DumpOptions(records, from_offset, to_offset, max_batches, max_bytes, as_json)
    outcome = Outcome()
    try:
        for path in paths:
            for file in _files_to_dump(path, indexes):
                for line in dump_file(file, options, outcome):
                    click.echo(line)
    except BrokenPipeError:
        raise  # the command line ends quietly then
    except OSError as error:
        raise _failure(error) from error
    if outcome.damage:
        sys.exit(EXIT_DAMAGE)


@log.command()
@path_argument
@json_option
def verify(paths: Sequence[Path], as_json: bool) -> None:
    """Check batches, records, offsets, indexes and checkpoints.

    A file of a segment has its whole segment checked. Exit code 1 on damage. Warnings are what the
    next start puts right, such as a batch that was being written when the broker stopped.
    """
    verifier = Verifier(as_json=as_json, progress=ProgressLine(sys.stderr, time.monotonic))
    try:
        for path in paths:
            verifier.verify(path)
    except BrokenPipeError:
        raise  # the command line ends quietly then
    except OSError as error:
        raise _failure(error) from error
    finally:
        verifier.finish()
    if verifier.damage:
        sys.exit(EXIT_DAMAGE)


class ProgressLine:
    """Says on a terminal how far a long check has come.

    Args:
        stream: Nothing is written if it is no terminal.
        monotonic: Seconds since some moment.
    """

    def __init__(self, stream: TextIO, monotonic: Callable[[], float]) -> None:
        self._stream = stream
        self._monotonic = monotonic
        self._is_shown = stream.isatty()
        self._started = self._told = monotonic()
        self._bytes = 0

    def advance(self, path: Path, size_bytes: int) -> None:
        """Note that more bytes of a file have been read."""
        self._bytes += size_bytes
        now = self._monotonic()
        if self._is_shown and now - self._told >= _PROGRESS_AFTER_S:
            self._told = now
            speed = self._bytes / _MEGABYTE / (now - self._started)
            text = f"{self._bytes // _MEGABYTE:,} MB checked, {speed:.0f} MB/s: {path}"
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def clear(self) -> None:
        """Make room for other lines."""
        if self._told != self._started:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class Verifier:
    """Checks paths and prints what is found.

    Attributes:
        damage: How many findings were damage.
    """

    def __init__(self, *, as_json: bool, progress: ProgressLine) -> None:
        self._as_json = as_json
        self._progress = progress
        self._advice: dict[str, None] = {}
        self._warnings = 0
        self.damage = 0

    def verify(self, path: Path) -> None:
        """Check a data directory, a partition's directory or a file."""
        if path.is_file():
            self._verify_file(path)
        elif _is_partition(path):
            facts = DirectoryFacts(path.absolute().parent)
            self._verify_partition(path, facts, is_part_of_directory=False)
        else:
            self._verify_directory(path)

    def _verify_directory(self, path: Path) -> None:
        facts = DirectoryFacts(path)
        facts.report_faults(self._report)
        partitions = partitions_in(path)
        if not partitions and not facts.is_known:
            raise _no_log_path(path)
        for _, each in partitions:
            self._verify_partition(each, facts, is_part_of_directory=True)
        present = [(name.topic, name.partition) for name, _ in partitions if not name.state]
        facts.report_absent(present, self._report)

    def _verify_partition(
        self, path: Path, facts: DirectoryFacts, *, is_part_of_directory: bool
    ) -> None:
        name = parse_partition_name(path.absolute().name)
        around = facts.about(name)
        summary = verify_partition(path, around, self._report, self._progress.advance)
        if name is not None and around.is_known:
            if not is_part_of_directory:
                facts.report_faults(self._report, OFFSET_CHECKPOINTS)
            facts.report_beyond(name, summary, self._report)
        self._summarize(summary)

    def _verify_file(self, path: Path) -> None:
        name = parse_log_file_name(path.name)
        if is_small_file(path):
            verify_small_file(path, self._report)
            return
        if name is None or name.offset is None:
            raise _no_log_path(path)
        directory = path.absolute().parent
        around = DirectoryFacts(directory.parent).about(parse_partition_name(directory.name))
        self._summarize(
            verify_partition(
                path.parent,
                Surroundings() if name.state else around,
                self._report,
                self._progress.advance,
                only_segment=name.offset,
                state=name.state,
            )
        )

    def _report(self, finding: Finding) -> None:
        if finding.severity is Severity.DAMAGE:
            self.damage += 1
        else:
            self._warnings += 1
        if finding.advice:
            self._advice[finding.advice] = None
        self._progress.clear()
        if self._as_json:
            facts = {
                "finding": finding.severity.value,
                "file": str(finding.path),
                "position": finding.position,
                "offset": finding.offset,
                "text": finding.text,
                "advice": finding.advice,
            }
            click.echo(json.dumps(facts))
            return
        where = str(finding.path)
        where += f", byte {finding.position}" if finding.position is not None else ""
        where += f", offset {finding.offset}" if finding.offset is not None else ""
        click.echo(f"{finding.severity.value}: {where}: {finding.text}")

    def _summarize(self, summary: Summary) -> None:
        self._progress.clear()
        if self._as_json:
            click.echo(json.dumps({"partition": str(summary.path), **_facts_of(summary)}))
            return
        offsets = f"offsets {summary.start_offset} to {summary.end_offset - 1}"
        if not summary.batches:
            offsets = f"ends at offset {summary.end_offset}"
        verdict = [f"{summary.damage} damaged"] if summary.damage else []
        verdict += [f"{summary.warnings} warnings"] if summary.warnings else []
        click.echo(
            f"{summary.path}: {summary.segments} segments, {summary.batches} batches,"
            f" {summary.records} records, {summary.size_bytes} bytes, {offsets}:"
            f" {', '.join(verdict) or 'good'}"
        )

    def finish(self) -> None:
        """Say what an operator can do."""
        self._progress.clear()
        if self._as_json or not (self.damage or self._warnings):
            return
        click.echo(f"{self.damage} damaged, {self._warnings} warnings")
        for advice in self._advice:
            click.echo(f"* {advice}")


def _facts_of(summary: Summary) -> dict[str, Any]:
    return {
        "segments": summary.segments,
        "batches": summary.batches,
        "records": summary.records,
        "bytes": summary.size_bytes,
        "start_offset": summary.start_offset,
        "end_offset": summary.end_offset,
        "damage": summary.damage,
        "warnings": summary.warnings,
    }


def _files_to_dump(path: Path, with_indexes: bool) -> Iterator[Path]:
    if path.is_file():
        if not _is_known_file(path):
            raise _no_log_path(path)
        yield path
    elif _is_partition(path):
        for file in sorted(path.iterdir()):
            if _is_known_file(file) and (
                with_indexes or not file.name.endswith((OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX))
            ):
                yield file
    else:
        partitions = partitions_in(path)
        if not partitions and not (path / META_PROPERTIES).exists():
            raise _no_log_path(path)
        for name in (META_PROPERTIES, *OFFSET_CHECKPOINTS):
            if (path / name).exists():
                yield path / name
        for _, partition in partitions:
            yield from _files_to_dump(partition, with_indexes)


def _is_known_file(path: Path) -> bool:
    name = parse_log_file_name(path.name)
    return is_small_file(path) or (name is not None and name.offset is not None)


def _is_partition(path: Path) -> bool:
    """Whether a directory is that of a partition, whatever its name."""
    if (path / META_PROPERTIES).exists():
        return False
    names = [each.name for each in path.iterdir()]
    is_named_so = parse_partition_name(path.absolute().name) is not None
    return is_named_so or any(
        name in (LEADER_EPOCHS, PARTITION_METADATA) or parse_log_file_name(name) is not None
        for name in names
    )


def _no_log_path(path: Path) -> click.UsageError:
    return click.UsageError(f"{path} is no data directory, partition's directory or file of one")


def _failure(error: OSError) -> click.ClickException:
    return click.ClickException(f"cannot read {error.filename}: {error.strerror}")
