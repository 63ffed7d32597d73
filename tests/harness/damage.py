"""A data directory with everything in it, ways to damage it, and what `verify` says of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.records import Record
from pykbroker.storage.checkpoint import (
    format_clean_shutdown,
    format_meta_properties,
    format_offsets,
    format_partition_metadata,
)
from pykbroker.storage.data_directory import (
    CLEAN_SHUTDOWN,
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    META_PROPERTIES,
    RECOVERY_POINTS,
)
from pykbroker.storage.partition_files import PARTITION_METADATA
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.verify.directory import DirectoryFacts, partitions_in
from pykbroker.storage.verify.findings import Finding, Severity, Summary
from pykbroker.storage.verify.partition import verify_partition
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.logs import TOPIC, TOPIC_ID, a_log, append

PARTITION = f"{TOPIC}-0"


@dataclass
class Verdict:
    """What a check of a data directory said."""

    findings: list[Finding] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [each for each in self.findings if each.severity is Severity.DAMAGE]

    @property
    def texts(self) -> list[str]:
        """What the findings say."""
        return [each.text for each in self.findings]

    @property
    def files(self) -> set[str]:
        """The names of the files that findings are about."""
        return {each.path.name for each in self.findings}


def verdict_on(directory: Path) -> Verdict:
    """Check a data directory as the command does."""
    verdict = Verdict()
    facts = DirectoryFacts(directory)
    facts.report_faults(verdict.findings.append)
    partitions = partitions_in(directory)
    for name, path in partitions:
        around = facts.about(name)
        summary = verify_partition(path, around, verdict.findings.append, lambda *_: None)
        facts.report_beyond(name, summary, verdict.findings.append)
        verdict.summaries.append(summary)
    facts.report_absent([(n.topic, n.partition) for n, _ in partitions], verdict.findings.append)
    return verdict


def a_marker(producer_id: int, *, is_commit: bool) -> dict[str, object]:
    """The arguments of `append` for the marker that ends a transaction."""
    record = Record(0, NOW_MS + 50, struct.pack(">hh", 0, is_commit), struct.pack(">hi", 0, 7))
    return {
        "records": [record],
        "producer_id": producer_id,
        "producer_epoch": 0,
        "is_transactional": True,
        "is_control": True,
    }


def a_data_directory(path: Path, *, is_clean: bool = True, recovery_point: int = 0) -> Path:
    """One partition in three segments: all codecs, transactions."""
    path.mkdir(exist_ok=True)
    log = a_log(path, segment_bytes=1700)
    fill(log)
    log.close()
    directory = log.path
    (directory / PARTITION_METADATA).write_bytes(format_partition_metadata(TOPIC_ID))
    (path / META_PROPERTIES).write_bytes(format_meta_properties("cluster", 1, bytes(16)))
    end = {(TOPIC, 0): log.log_end_offset}
    (path / RECOVERY_POINTS).write_bytes(
        format_offsets({(TOPIC, 0): recovery_point} if not is_clean else end)
    )
    (path / HIGH_WATERMARKS).write_bytes(format_offsets(end))
    (path / LOG_START_OFFSETS).write_bytes(format_offsets({}))
    if is_clean:
        (path / CLEAN_SHUTDOWN).write_bytes(format_clean_shutdown(0))
    return path


def fill(log: PartitionLog) -> None:
    """Append batches of all codecs, and transactions that commit and abort."""
    times = iter(range(NOW_MS, NOW_MS + 10_000, 10))

    def more(**batch: object) -> None:
        now = next(times)
        records = [a_record(timestamp=now + n, value=b"value %d" % n * 3) for n in range(3)]
        append(log, records=records, **batch)  # type: ignore[arg-type]

    for codec in Codec:
        more(codec=codec)
        more(codec=codec)
    for sequence in (0, 3):
        more(producer_id=5, producer_epoch=0, base_sequence=sequence, is_transactional=True)
        more(producer_id=6, producer_epoch=0, base_sequence=sequence, is_transactional=True)
    append_marker(log, 5, is_commit=False)
    more()
    append_marker(log, 6, is_commit=True)
    more(producer_id=6, producer_epoch=0, base_sequence=6, is_transactional=True)
    append_marker(log, 6, is_commit=False)
    for _ in range(8):
        more()


def append_marker(log: PartitionLog, producer_id: int, *, is_commit: bool) -> None:
    """End a transaction."""
    log.append(a_batch(**a_marker(producer_id, is_commit=is_commit)), NOW_MS)  # type: ignore[arg-type]


def segment_file(directory: Path, index: int, suffix: str) -> Path:
    """A file of the partition's first, second and so on segment."""
    logs = sorted((directory / PARTITION).glob("*.log"))
    return logs[index].with_suffix(suffix)


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
