"""Power cuts while a log is compacted: the last value of each key is there, at its offset."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Generator
from functools import partial
from pathlib import Path

from pykbroker.config.broker import BrokerConfig
from pykbroker.storage.cleaning_job import CleanedSegment, CleaningJob, CleaningSummary
from pykbroker.storage.log_cleaner import LogCleaner
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment_cleaner import clean
from tests.harness.batches import NOW_MS, a_record
from tests.harness.logs import a_config, append
from tests.harness.power_cut import PowerCutDisk, Tree, write_tree
from tests.harness.scripted_logs import let_go, opened

STATES = int(os.environ.get("PYKBROKER_POWER_CUTS", "60"))
SEED = int(os.environ.get("PYKBROKER_SEED", random.randrange(1 << 32)))
CONFIG = a_config(cleanup_policy=frozenset({"compact"}), segment_bytes=400, file_delete_delay_ms=0)

Records = dict[int, tuple[bytes | None, bytes | None]]


class OnDisk:
    """The cleaning itself, on the disk whose power may fail."""

    def __init__(self, disk: PowerCutDisk) -> None:
        self._disk = disk

    def run(self, job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        return (yield from clean(job, self._disk))


def fill(log: PartitionLog, rng: random.Random, written: Records) -> None:
    for _ in range(25):
        record = a_record(key=b"k%d" % rng.randrange(6), value=b"%d" % log.log_end_offset)
        written[log.log_end_offset] = record.key, record.value
        append(log, records=[record])
    log.roll(NOW_MS)
    log.flush()


def records_of(log: PartitionLog) -> Records:
    found: Records = {}
    for batch in log.read_batches(log.log_start_offset, log.log_end_offset):
        assert batch.is_crc_valid()
        found |= {record.offset: (record.key, record.value) for record in batch.records(1 << 20)}
    return found


def latest_of(records: Records) -> dict[bytes | None, bytes | None]:
    return {key: value for _, (key, value) in sorted(records.items())}


def test_a_power_cut_during_compaction_loses_no_latest_value(tmp_path: Path) -> None:
    print(f"PYKBROKER_SEED={SEED}")
    rng = random.Random(SEED)
    root = tmp_path / "life"
    root.mkdir()
    disk = PowerCutDisk(root, sector_bytes=64)
    manager = opened(root, disk, CONFIG)
    log = manager.create("table", bytes(15) + b"t", 0, CONFIG)
    cleaner = LogCleaner(
        manager, lambda: BrokerConfig.from_settings({}), lambda: NOW_MS, lambda call: call()
    )
    written: Records = {}
    moments: list[tuple[Tree, Records]] = []

    def note(known: Records) -> None:
        moments.append((disk.state(rng), known))

    for _ in range(3):
        fill(log, rng, written)
        known = dict(written)
        disk.on_change = partial(note, known)
        assert cleaner.clean_next(OnDisk(disk))
        manager.write_checkpoints(NOW_MS)
        manager.catch_up(NOW_MS)
        disk.on_change = lambda: None
    assert len(records_of(log)) < len(written)
    let_go(manager)

    assert len(moments) > 50
    for tree, known in rng.sample(moments, min(STATES, len(moments))):
        copy = write_tree(tree, tmp_path / "cut")
        again = opened(copy, PowerCutDisk(copy), CONFIG)
        assert not again.refused
        found_log = again.get("table", 0)
        assert found_log is not None
        found = records_of(found_log)
        assert found_log.log_end_offset == max(known) + 1
        assert found.items() <= known.items()
        assert latest_of(found) == latest_of(known)
        let_go(again)
        shutil.rmtree(copy)
