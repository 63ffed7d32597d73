"""Apache Kafka's own `Cleaner` leaves the same of random logs as ours.

Both clean the same files in the same passes; `CleanLogs.java` is Kafka's side. Compared is what a
reader or a later pass can tell: file names, headers and records of each batch, `.txnindex` files,
how many records were kept. Bytes of compressed records may differ, and base timestamps without
meaning too (see `pykbroker.storage.compaction`).
"""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from compat.processes import LineProcess
from compat.targets import TargetUnavailable, kafka_libs
from pykbroker.protocol.crc import crc32c
from pykbroker.storage.cleaning_job import SourceSegment
from pykbroker.storage.compaction import LastRecord
from pykbroker.storage.segment import file_name
from tests.harness.batches import NOW_MS
from tests.harness.compaction import (
    MAX_BYTES,
    RETENTION_MS,
    a_job,
    as_source,
    batches_of,
    run,
    write_segment,
)
from tests.harness.random_logs import WrittenLog

PROGRAM = Path(__file__).parent / "CleanLogs.java"
LOGS = 40
SMALL_SEGMENT_BYTES, LARGE_SEGMENT_BYTES = 2000, 1 << 20
LONGEST_PASS_S = 30.0


class CleanerOfKafka:
    """Apache Kafka's cleaner, in a process of its own."""

    def __init__(self, class_path: str) -> None:
        options = ["-Xmx512m", "-XX:TieredStopAtLevel=1"]
        self._process = LineProcess(
            ["java", *options, "-cp", class_path, str(PROGRAM)], takes_lines=True
        )

    def clean(self, *job: object) -> tuple[int, int, int]:
        """Do the job of one line, see `CleanLogs.java`.

        Returns:
            The offset where the clean part ends, and how many records had no key or were kept.
        """
        self._process.send_line(" ".join(map(str, job)))
        line = self._process.wait_for(
            lambda line: line if line.startswith("RESULT ") else None,
            seconds=LONGEST_PASS_S,
            what="result of a pass",
        )
        end_offset, invalid, kept = (int(field) for field in line.split()[1:])
        return end_offset, invalid, kept

    def close(self) -> None:
        self._process.kill()


@pytest.fixture(scope="module")
def kafka() -> Iterator[CleanerOfKafka]:
    try:
        cleaner = CleanerOfKafka(f"{kafka_libs()}/*")
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    yield cleaner
    cleaner.close()


def test_kafka_leaves_the_same_of_random_logs(
    kafka: CleanerOfKafka, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first_seed = request.config.getoption("--seed")
    count = request.config.getoption("--rounds") or LOGS
    passes = 0
    for seed in range(first_seed, first_seed + count):
        directory = tmp_path / str(seed)
        passes += _compare(kafka, directory, seed)
        # Kafka may be removing old files there at the same time.
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{count} logs from seed {first_seed} on, {passes} passes")
    assert passes >= count


def _compare(kafka: CleanerOfKafka, directory: Path, seed: int) -> int:
    """Clean one random log on both sides; returns the number of passes."""
    random = Random(seed)
    ours, theirs = directory / "ours" / "orders-0", directory / "theirs" / "orders-0"
    ours.mkdir(parents=True)
    log = WrittenLog(ours, random)
    write_segment(ours, log.offset, [])  # the active one
    shutil.copytree(ours, theirs)
    _write_snapshot(theirs, log)
    producers = {
        producer_id: LastRecord(0, batch.last_offset)
        for producer_id, batch in log.last_data.items()
    }
    segments: list[SourceSegment] = list(log.segments)
    clean_end, now_ms, passes = 0, NOW_MS, 0
    for _ in range(random.randint(1, 5)):
        segment_bytes = random.choice([SMALL_SEGMENT_BYTES, LARGE_SEGMENT_BYTES])
        # What both have compressed anew differs in size, and so would what fits into a segment.
        if _sizes(ours) != _sizes(theirs):
            segment_bytes = LARGE_SEGMENT_BYTES
        job = a_job(
            ours,
            *segments[: random.randint(1, len(segments))],
            first_dirty_offset=clean_end,
            now_ms=now_ms,
            active_producers=producers,
            segment_bytes=segment_bytes,
        )
        # The first pass always has something to do.
        if job.end_offset <= clean_end:
            continue
        answer = kafka.clean(
            theirs, clean_end, job.end_offset, now_ms, job.segment_bytes, RETENTION_MS
        )
        cleaned, summary = run(job)
        replaced = sum(len(segment.sources) for segment in cleaned)
        segments = [as_source(segment) for segment in cleaned] + segments[replaced:]
        clean_end = summary.clean_end_offset
        stats = summary.stats
        assert (clean_end, stats.invalid_records, stats.records_kept) == answer, f"seed {seed}"
        assert _facts(ours) == _facts(theirs), f"seed {seed}"
        now_ms += random.choice([0, 1, RETENTION_MS])
        passes += 1
    return passes


def _sizes(directory: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(directory.glob("*.log"))]


def _facts(directory: Path) -> list[object]:
    """What both sides must agree on."""
    facts: list[object] = [path.name for path in sorted(directory.glob("*.log"))]
    for batch in batches_of(directory):
        has_base_timestamp = batch.has_delete_horizon or not batch.record_count
        facts.append(
            (
                batch.base_offset,
                batch.last_offset,
                batch.attributes,
                batch.base_timestamp if has_base_timestamp else None,
                batch.max_timestamp,
                batch.producer_id,
                batch.producer_epoch,
                batch.base_sequence,
                batch.partition_leader_epoch,
                list(batch.records(MAX_BYTES)),
            )
        )
    indexes = sorted(directory.glob("*.txnindex"))
    return facts + [(path.name, path.read_bytes()) for path in indexes if path.stat().st_size]


def _write_snapshot(directory: Path, log: WrittenLog) -> None:
    """Tell Kafka who the active producers are; it has not seen the log being written."""
    body = bytearray(struct.pack(">hIi", 1, 0, len(log.last_data)))
    for producer_id, batch in log.last_data.items():
        body += struct.pack(
            ">qhiqiqiq",
            producer_id,
            0,
            batch.last_sequence,
            batch.last_offset,
            batch.last_offset_delta,
            NOW_MS,
            0,
            -1,
        )
    struct.pack_into(">I", body, 2, crc32c(memoryview(body)[6:]))
    (directory / file_name(log.offset, ".snapshot")).write_bytes(body)
