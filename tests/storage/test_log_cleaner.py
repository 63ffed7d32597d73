"""Compaction in the background: which log, when, and what becomes of its segments."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.protocol.errors import KafkaError
from pykbroker.storage import log_cleaner
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleanable import CleanableRange
from pykbroker.storage.cleaning_job import CleanedSegment, CleaningJob, CleaningSummary
from pykbroker.storage.compaction_client import CompactionProcessError
from pykbroker.storage.data_directory import CLEANER_OFFSETS
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.log_cleaner import LogCleaner
from pykbroker.storage.log_manager import LogManager, RefusedLog
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment_cleaner import clean
from tests.harness.batches import NOW_MS, a_record
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles, a_config, append, names, values

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
ID = bytes(range(16))
COMPACT = {"cleanup_policy": frozenset({"compact"}), "segment_bytes": 400}
T = TypeVar("T")


def at_once(function: Callable[[], T]) -> T:
    """There is no event loop here."""
    return function()


class InProcess:
    """Does the work right here, and fails when told to.

    Attributes:
        error: Raised instead of the next segment.
        between: Called after each segment that was swapped in.
        jobs: What was asked for.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.between: Callable[[], object] = lambda: None
        self.jobs: list[CleaningJob] = []

    def run(self, job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        cleaning = clean(job, FileLayer(fsync_enabled=False))
        while True:
            try:
                yield next(cleaning)
            except StopIteration as end:
                summary: CleaningSummary = end.value
                return summary
            self.between()


class Bench:
    """A log manager with one data directory, and a cleaner for it."""

    def __init__(self, path: Path, **settings: str) -> None:
        self.files = FaultyFiles()
        self.clock = ManualClock(NOW_MS)
        self.manager = LogManager([path], clock=self.clock, node_id=1, files=self.files)
        self.manager.open(CLUSTER_ID, lambda _: a_config(**COMPACT))
        named = {name.replace("_", "."): value for name, value in settings.items()}
        self.config = BrokerConfig.from_settings(named)
        self.compactor = InProcess()
        self.cleaner = LogCleaner(self.manager, lambda: self.config, self.clock.now_ms, at_once)

    def log(self, topic: str = "table", **settings: Any) -> PartitionLog:
        return self.manager.create(topic, ID, 0, a_config(**{**COMPACT, **settings}))

    def clean(self) -> bool:
        return self.cleaner.clean_next(self.compactor)


def fill(log: PartitionLog, count: int = 20, keys: int = 3) -> None:
    """Records of few keys, each in a batch of its own, and then a new segment."""
    for _ in range(count):
        number = log.log_end_offset
        record = a_record(key=b"k%d" % (number % keys), value=b"%d" % number)
        append(log, records=[record])
    log.roll(NOW_MS)


def latest(log: PartitionLog) -> set[int]:
    return set(values(log))


def test_a_dirty_log_is_cleaned_to_the_last_record_of_each_key(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    before = values(log)
    size_bytes = log.size_bytes

    assert bench.clean()

    after = values(log)
    assert set(after) == {17, 18, 19}
    assert after.items() <= before.items()
    assert log.log_start_offset == 0
    assert log.log_end_offset == 20
    assert log.size_bytes < size_bytes
    assert not log.is_being_cleaned


def test_a_clean_log_is_left_alone_until_there_is_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)

    assert [bench.clean(), bench.clean()] == [True, False]
    fill(log)
    assert [bench.clean(), bench.clean()] == [True, False]

    assert latest(log) == {37, 38, 39}


def test_the_dirtiest_log_is_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    half_clean, dirty = bench.log("half-clean"), bench.log("dirty")
    fill(half_clean, 40, keys=40)
    assert bench.clean()
    fill(half_clean, 45, keys=40)
    fill(dirty)

    while bench.clean():
        pass

    order = [Path(job.directory).name for job in bench.compactor.jobs]
    assert order == ["half-clean-0", "dirty-0", "half-clean-0"]


@pytest.mark.parametrize(
    "settings",
    [
        {"cleanup_policy": frozenset({"delete"})},
        {"min_cleanable_dirty_ratio": 1.0},
        {"min_compaction_lag_ms": 1000},
    ],
)
def test_what_need_not_be_cleaned_is_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    bench = Bench(tmp_path)
    fill(bench.log(**settings))

    assert not bench.clean()


def test_what_is_dirty_for_too_long_is_cleaned(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log(min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=60_000)
    fill(log)
    assert not bench.clean()

    bench.clock.advance(60_001)

    assert bench.clean()


def test_how_far_a_log_is_clean_is_known_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    bench.clean()
    assert (tmp_path / "cleaner-offset-checkpoint").read_bytes() == b"0\n1\ntable 0 20\n"
    bench.manager.close()

    again = Bench(tmp_path)
    again.cleaner._closing.set()  # no threads in this test
    again.cleaner.start()

    assert not again.clean()
    fill(again.log())
    assert again.clean()
    assert again.compactor.jobs[0].first_dirty_offset == 20
    again.cleaner.close()


def test_a_damaged_checkpoint_has_everything_cleaned_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    (tmp_path / "cleaner-offset-checkpoint").write_bytes(b"garbage")
    bench.cleaner._closing.set()
    bench.cleaner.start()

    assert bench.clean()
    assert "cleaner-offset-checkpoint" in caplog.text
    bench.cleaner.close()


def test_a_topic_made_anew_is_not_taken_for_clean(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    bench.clean()
    bench.manager.delete("table", 0)
    log = bench.manager.create("table", bytes(range(1, 17)), 0, a_config(**COMPACT))
    fill(log, 30)

    assert bench.clean()

    assert bench.compactor.jobs[-1].first_dirty_offset == 0
    assert latest(log) == {27, 28, 29}


def test_nothing_is_removed_from_a_log_while_it_is_cleaned(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log(cleanup_policy=frozenset({"compact", "delete"}), retention_ms=1)
    fill(log)
    seen = []

    def interfere() -> None:
        seen.append(log.apply_retention(NOW_MS + 10**9))
        log.delete_records(15, NOW_MS)

    bench.compactor.between = interfere
    assert bench.clean()

    assert set(seen) == {0}
    assert latest(log) == {17, 18, 19}
    assert log.apply_retention(NOW_MS), "what lies below the log start offset goes now"


def test_appends_and_rolls_go_on_while_a_log_is_cleaned(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    bench.compactor.between = lambda: fill(log, 1)

    assert bench.clean()

    assert log.log_end_offset > 20
    assert latest(log) == {17, 18, 19, *range(20, log.log_end_offset)}


def test_a_log_that_is_deleted_while_it_is_cleaned_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log, 60, keys=60)
    bench.compactor.between = lambda: bench.manager.delete("table", 0)

    assert not bench.clean()

    assert caplog.text == ""
    assert bench.manager.directories[0].failure is None
    assert not bench.clean()


def test_a_log_that_was_deleted_leaves_the_checkpoint(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    assert bench.clean()

    bench.manager.delete("table", 0)
    assert not bench.clean()

    assert (tmp_path / "cleaner-offset-checkpoint").read_bytes() == b"0\n0\n"


def test_a_damaged_log_is_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    bench.compactor.error = DamagedSegmentError(log.segments[0].path, 7, "CRC mismatch")

    assert not bench.clean()
    bench.compactor.error = None
    assert not bench.clean()

    assert "log not cleaned" in caplog.text
    assert "byte 7" in caplog.text
    assert len(values(log)) == 20


def test_a_log_whose_headers_are_damaged_does_not_keep_others_from_being_cleaned(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    damaged = bench.log("damaged", max_compaction_lag_ms=1)
    fill(damaged)
    fill(bench.log())
    first = damaged.segments[0]
    first._first_timestamp = None
    first.path.write_bytes(b"\xff" * first.size_bytes)

    assert bench.clean()
    assert not bench.clean()


def test_a_full_disk_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    bench.compactor.error = OSError(errno.ENOSPC, "No space left on device")
    assert not bench.clean()

    bench.compactor.error = None
    assert bench.clean()
    assert latest(log) == {17, 18, 19}


def test_what_a_killed_process_has_left_is_gone_before_the_next_swap(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log, 40)
    left = log.segments[1].path.with_suffix(".log.cleaned")
    left.write_bytes(b"torn")
    seen = []
    bench.compactor.between = lambda: seen.append(left.exists())

    assert bench.clean()

    assert seen
    assert not any(seen)


def test_a_compaction_that_kills_its_process_is_given_up_in_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    bench.compactor.error = CompactionProcessError("killed")

    assert [bench.clean() for _ in range(5)] == [False] * 5
    assert len(bench.compactor.jobs) == 3


def test_a_log_that_cannot_be_cleaned_now_does_not_keep_others_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(bench.log("full"))
    fill(bench.log("other"))
    bench.compactor.error = OSError(errno.ENOSPC, "No space left on device")
    assert not bench.clean()
    bench.compactor.error = None

    assert [bench.clean() for _ in range(3)] == [True, True, False]

    order = [Path(job.directory).name for job in bench.compactor.jobs]
    assert order == ["full-0", "other-0", "full-0"]


def test_a_segment_that_retention_removes_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)

    def vanish(*_: object, **__: object) -> CleanableRange:
        log.delete_records(5, NOW_MS)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    with monkeypatch.context() as patched:
        patched.setattr(log_cleaner, "find_cleanable", vanish)
        assert not bench.clean()

    assert caplog.text == ""
    assert bench.clean()


def test_a_cleaned_file_that_is_gone_is_tried_again_when_the_broker_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    run = bench.compactor.run

    def lose(job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        for cleaned in run(job):
            (log.path / f"{log.segments[0].path.name}.cleaned").unlink()
            yield cleaned
        raise AssertionError

    monkeypatch.setattr(bench.compactor, "run", lose)

    assert not bench.clean()

    assert not log.is_offline
    assert len(values(log)) == 20


def test_that_a_refused_log_was_compacted_is_not_forgotten(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (directory,) = bench.manager.directories
    directory.write_checkpoints(lambda: [(CLEANER_OFFSETS, {("damaged", 0): 7})])
    bench.manager.refused["damaged", 0] = RefusedLog("damaged", a_config(), None)
    fill(bench.log())

    assert bench.clean()

    assert directory.read_cleaner_offsets() == {("damaged", 0): 7, ("table", 0): 20}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_refuses_to_rename_leaves_all_records(tmp_path: Path, code: int) -> None:
    bench = Bench(tmp_path)
    log = bench.log()
    fill(log)
    bench.files.failures["rename"] = code

    assert not bench.clean()

    bench.files.failures.clear()
    assert len(values(log)) == 20
    if code == errno.ENOSPC:
        assert bench.clean()
        assert latest(log) == {17, 18, 19}
    else:
        with pytest.raises(KafkaError, match="cannot replace segments"):
            append(log)


def test_a_checkpoint_that_cannot_be_written_costs_only_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    fill(bench.log())
    bench.files.failures["write_file"] = errno.ENOSPC

    assert bench.clean()

    assert "checkpoint failed" in caplog.text
    assert not bench.clean()


def test_the_settings_reach_the_job(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        log_cleaner_threads="2",
        log_cleaner_dedupe_buffer_size="4000000",
        log_cleaner_io_buffer_load_factor="0.5",
        log_cleaner_io_buffer_size="200000",
        log_cleaner_io_max_bytes_per_second="1000000",
    )
    log = bench.log(delete_retention_ms=77)
    append(log, producer_id=5, producer_epoch=1, base_sequence=0)
    fill(log)

    assert bench.clean()

    (job,) = bench.compactor.jobs
    assert job.map_bytes == 1_000_000
    assert job.io_buffer_bytes == 100_000
    assert job.io_max_bytes_per_second == 500_000
    assert job.delete_retention_ms == 77
    assert job.active_producers == {5: (1, 0)}


def test_threads_do_it_with_processes_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(tmp_path, log_cleaner_backoff_ms="1", log_cleaner_threads="2")
    log = bench.log()
    fill(log)
    bench.cleaner.start()
    try:
        while bench.cleaner._cleaned_to.get(log) != 20:
            bench.cleaner._closing.wait(0.01)
    finally:
        bench.cleaner.close()

    assert latest(log) == {17, 18, 19}
    assert "log cleaned" in caplog.text
    assert not [name for name in names(log) if name.endswith((".cleaned", ".swap"))]
