"""Checking a data directory: the files at its top, and every partition in it.

What the files at the top say about a partition is read before its log, which only grows.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    parse_meta_properties,
    parse_offsets,
)
from pykbroker.storage.data_directory import (
    CLEAN_SHUTDOWN,
    CLEANER_OFFSETS,
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    META_PROPERTIES,
    RECOVERY_POINTS,
)
from pykbroker.storage.log_names import PartitionName, parse_partition_name
from pykbroker.storage.verify.findings import Finding, Report, Severity, Summary, Surroundings

OFFSET_CHECKPOINTS: Final = (RECOVERY_POINTS, LOG_START_OFFSETS, HIGH_WATERMARKS, CLEANER_OFFSETS)

ADVICE_RECOVERY_POINTS: Final = (
    "Remove recovery-point-offset-checkpoint while the broker is stopped to have every log checked"
    " in full at the next start."
)
ADVICE_CHECKPOINT: Final = (
    "A damaged checkpoint of offsets may be removed while the broker is stopped: it is made anew."
    " Without log-start-offset-checkpoint, deleted records before the start of a log show again."
)
ADVICE_META: Final = "Restore meta.properties: it says which cluster and node the directory is of."
ADVICE_SHORT: Final = (
    "A log that ends before its recovery point has lost records that were durable: restore the"
    " partition's files from a backup."
)

TopicPartition = tuple[str, int]


class DirectoryFacts:
    """What the files at the top of a data directory say.

    Attributes:
        path: The directory.
        is_known: Whether it is a data directory.
        is_clean: Whether the last stop was clean.
        checkpoints: File name -> offsets; a damaged file is as one that is not there.
        faults: File name -> what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints: dict[str, Mapping[TopicPartition, int]] = {}
        self.faults: dict[str, str] = {}
        for name in OFFSET_CHECKPOINTS:
            self.checkpoints[name] = {}
            try:
                self.checkpoints[name] = parse_offsets((path / name).read_bytes())
            except FileNotFoundError:
                pass
            except CheckpointFormatError as error:
                self.faults[name] = str(error)
        self.is_clean = (path / CLEAN_SHUTDOWN).exists()
        self.is_known = (path / META_PROPERTIES).exists()
        if self.is_known:
            fault = _fault_of_meta_properties(path / META_PROPERTIES)
            if fault is not None:
                self.faults[META_PROPERTIES] = fault

    def about(self, partition: PartitionName | None) -> Surroundings:
        """Return what is said about a partition."""
        if partition is None or partition.state or not self.is_known:
            return Surroundings()
        key = partition.topic, partition.partition
        return Surroundings(
            is_known=True,
            is_clean=self.is_clean,
            recovery_point=self.checkpoints[RECOVERY_POINTS].get(key, 0),
            log_start_offset=self.checkpoints[LOG_START_OFFSETS].get(key),
            cleaned_offset=self.checkpoints[CLEANER_OFFSETS].get(key),
        )

    def report_faults(self, report: Report, names: Iterable[str] | None = None) -> None:
        """Report the damaged files, or those of the given names."""
        for name, fault in self.faults.items():
            if names is None or name in names:
                advice = ADVICE_CHECKPOINT
                if name == META_PROPERTIES:
                    advice = ADVICE_META
                elif name == RECOVERY_POINTS:
                    advice = ADVICE_RECOVERY_POINTS
                report(Finding(Severity.DAMAGE, self.path / name, fault, advice=advice))

    def report_beyond(self, partition: PartitionName, summary: Summary, report: Report) -> None:
        """Report the offsets of a partition that its log does not have."""
        key = partition.topic, partition.partition
        for name in OFFSET_CHECKPOINTS:
            offset = self.checkpoints[name].get(key, 0)
            if offset <= summary.end_offset:
                continue
            # A recovery point is what an fsync has confirmed; the others may be ahead in a crash.
            is_repaired = name != RECOVERY_POINTS and not self.is_clean
            summary.warnings += is_repaired
            summary.damage += not is_repaired
            report(
                Finding(
                    Severity.WARNING if is_repaired else Severity.DAMAGE,
                    self.path / name,
                    f"{partition.topic} {partition.partition} is at offset {offset}, but the log"
                    f" ends at {summary.end_offset}",
                    offset=offset,
                    advice=ADVICE_SHORT if name == RECOVERY_POINTS else ADVICE_CHECKPOINT,
                )
            )

    def report_absent(self, present: Iterable[TopicPartition], report: Report) -> None:
        """Warn of the partitions in the checkpoints that have no directory."""
        known = set(present)
        for name, offsets in self.checkpoints.items():
            for topic, partition in offsets:
                if (topic, partition) not in known:
                    text = f"{topic} {partition} has no directory: was the topic deleted?"
                    report(Finding(Severity.WARNING, self.path / name, text))


def partitions_in(path: Path) -> list[tuple[PartitionName, Path]]:
    """Return the partitions of a data directory in the order of their names.

    Those that are being deleted or were given up are left out.
    """
    found = []
    for each in path.iterdir():
        name = parse_partition_name(each.name)
        if name is not None and name.state in ("", "future") and each.is_dir():
            found.append((name, each))
    return sorted(found)


def _fault_of_meta_properties(path: Path) -> str | None:
    try:
        properties = parse_meta_properties(path.read_bytes())
    except CheckpointFormatError as error:
        return str(error)
    missing = [name for name in ("version", "cluster.id") if name not in properties]
    return f"there is no {' and no '.join(missing)}" if missing else None
