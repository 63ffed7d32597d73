"""A cleaned segment takes its sources' place; a crash at any step loses nothing."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from pykbroker.storage.file_layer import FileHandle, FileLayer
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import DamagedLogError
from pykbroker.storage.segment import Segment
from pykbroker.storage.segment_swap import begin_swap, finish_swap, recover_swaps
from tests.harness.batches import NOW_MS
from tests.harness.logs import BATCH_BYTES, a_config, a_filled_log, a_log, crashed, names, values

SECOND = "00000000000000000004"
THIRD = "00000000000000000008"
FIRST = "00000000000000000000"


class CrashError(Exception):
    """The machine is gone."""


class CrashingFiles(FileLayer):
    """Stops before a change of the directory, as if the power went.

    Attributes:
        changes_left: How many renames and removals still happen.
    """

    def __init__(self) -> None:
        super().__init__(fsync_enabled=False)
        self.changes_left = 1 << 20

    def _change(self) -> None:
        if not self.changes_left:
            raise CrashError
        self.changes_left -= 1

    def rename(self, source: Path | str, target: Path | str) -> None:
        self._change()
        super().rename(source, target)

    def remove(self, path: Path | str) -> None:
        self._change()
        super().remove(path)


def a_log_to_clean(path: Path, files: FileLayer | None = None) -> PartitionLog:
    """Segments at 0, 4 and 8, two batches of two records in each, and an active one."""
    settings = {"segment_bytes": BATCH_BYTES * 2, "cleanup_policy": frozenset({"compact"})}
    log = a_filled_log(path, 6, files=files, **settings)
    log.roll(NOW_MS)
    return log


def write_cleaned(log: PartitionLog) -> Segment:
    """What a cleaner makes of the segments at 0 and 4: the batches at 0 and 6 are left."""
    first, second = log.segments[:2]
    data = first.path.read_bytes()[:BATCH_BYTES] + second.path.read_bytes()[BATCH_BYTES:]
    for suffix in (".log", ".index", ".timeindex"):
        (log.path / f"{FIRST}{suffix}.cleaned").write_bytes(data if suffix == ".log" else b"")
    cleaned = Segment(
        log.directory.files,
        log.path,
        0,
        size_bytes=len(data),
        max_index_bytes=1000,
        index_interval_bytes=100,
        created_ms=NOW_MS,
    )
    cleaned.next_offset = second.next_offset
    return cleaned


CLEANED_OFFSETS = {0, 1, 6, 7, 8, 9, 10, 11}
ALL_OFFSETS = set(range(12))


def test_a_swap_leaves_the_cleaned_segment_and_retires_its_sources(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    (log.path / f"{FIRST}.txnindex").write_bytes(b"")
    cleaned = write_cleaned(log)
    sources = log.segments[:2]

    log.chain.swap_in(cleaned, sources, NOW_MS)
    log.chain.replace(sources, cleaned)

    assert set(values(log)) == CLEANED_OFFSETS
    assert [segment.base_offset for segment in log.segments] == [0, 8, 12]
    assert {name for name in names(log) if name.startswith((FIRST, SECOND))} == {
        f"{FIRST}.log",
        f"{FIRST}.index",
        f"{FIRST}.timeindex",
        f"{FIRST}.log.deleted",
        f"{FIRST}.index.deleted",
        f"{FIRST}.timeindex.deleted",
        f"{FIRST}.txnindex.deleted",
        f"{SECOND}.log.deleted",
        f"{SECOND}.index.deleted",
        f"{SECOND}.timeindex.deleted",
        f"{SECOND}.snapshot.deleted",
    }
    log.close()
    assert set(values(a_log(tmp_path, is_clean=True))) == CLEANED_OFFSETS


def test_a_read_of_what_is_not_there_any_more_goes_on_behind_it(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    cleaned = write_cleaned(log)
    sources = log.segments[:2]
    log.chain.swap_in(cleaned, sources, NOW_MS)
    log.chain.replace(sources, cleaned)

    assert min(values(log, 3)) == 6


def test_a_read_goes_on_in_the_next_segment_where_the_end_was_cleaned_away(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    cleaned = write_cleaned(log)
    cleaned.size_bytes = BATCH_BYTES  # 0 and 1 only
    sources = log.segments[:2]
    log.chain.swap_in(cleaned, sources, NOW_MS)
    log.chain.replace(sources, cleaned)

    assert set(values(log, 5)) == {8, 9, 10, 11}


def test_who_still_has_the_sources_reads_them_to_the_end(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    sources = log.segments[:2]
    found = log.read(0, 1 << 20, up_to=12, at_least_one_batch=True).slice
    cleaned = write_cleaned(log)
    before = sources[0].path.read_bytes()

    log.chain.swap_in(cleaned, sources, NOW_MS)
    log.release_idle_files()

    assert found is not None
    assert found.read() == before
    assert set(values(log)) == ALL_OFFSETS
    assert sources[1].floor_timestamp(NOW_MS) == 4
    assert list(sources[0].transaction_index.entries()) == []


def test_the_sources_are_closed_when_nobody_uses_them_any_more(tmp_path: Path) -> None:
    opened: list[weakref.ref[FileHandle]] = []

    class WatchedHandle(FileHandle):
        """Can be watched; descriptors are closed with the last reference to it."""

    class WatchedFiles(FileLayer):
        def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
            plain = super().open(path, create=create)
            handle = WatchedHandle(os.dup(plain.fd))
            opened.append(weakref.ref(handle))
            return handle

    log = a_log_to_clean(tmp_path, files=WatchedFiles())
    cleaned = write_cleaned(log)
    sources = log.segments[:2]
    log.chain.swap_in(cleaned, sources, NOW_MS)
    log.chain.replace(sources, cleaned)
    log.release_idle_files()
    assert any(handle() is not None for handle in opened), "a reader may still have them"

    del sources
    log.release_idle_files()

    assert all(handle() is None for handle in opened)


def crash_at_the_swap(path: Path, changes: int) -> None:
    files = CrashingFiles()
    log = a_log_to_clean(path, files=files)
    cleaned = write_cleaned(log)
    files.changes_left = changes
    log.chain.swap_in(cleaned, log.segments[:2], NOW_MS)


def crash_at_recovery(path: Path, changes: int) -> None:
    log = a_log_to_clean(path)
    write_cleaned(log)
    begin_swap(log.directory.files, log.path, 0)
    log.abandon()
    files = CrashingFiles()
    files.changes_left = changes
    a_log(path, files=files)


@pytest.mark.parametrize("crash", [crash_at_the_swap, crash_at_recovery])
def test_a_crash_at_any_step_leaves_all_or_the_cleaned_records(
    tmp_path: Path, crash: Callable[[Path, int], None]
) -> None:
    is_over = False
    for changes in itertools.count():
        path = tmp_path / str(changes)
        path.mkdir()
        try:
            crash(path, changes)
            is_over = True
        except CrashError:
            pass

        log = a_log(path)

        is_begun = is_over or crash is crash_at_recovery
        allowed = [CLEANED_OFFSETS] if is_begun else [ALL_OFFSETS, CLEANED_OFFSETS]
        assert set(values(log)) in allowed, f"crash before change {changes}"
        left = [name for name in names(log) if name.endswith((".swap", ".cleaned", ".deleted"))]
        assert left == []
        if is_over:
            break
    assert changes > 5


def test_a_segment_whose_renaming_was_interrupted_is_dropped_with_later_ones(
    tmp_path: Path,
) -> None:
    log = a_log_to_clean(tmp_path)
    write_cleaned(log)
    (log.path / f"{FIRST}.index.cleaned").rename(log.path / f"{FIRST}.index.swap")
    (log.path / f"{SECOND}.log.swap").write_bytes(b"")
    log = crashed(log)

    assert set(values(log)) == ALL_OFFSETS
    assert [segment.base_offset for segment in log.segments] == [0, 4, 8, 12]


def leave_an_unfinished_cleaning(path: Path, files: FileLayer) -> PartitionLog:
    """What is left when a swap is given up before its sources went, and a cleaner was killed."""
    log = a_log_to_clean(path, files=files)
    write_cleaned(log)
    begin_swap(files, log.path, 0)
    (log.path / f"{SECOND}.index.cleaned").write_bytes(b"\0" * 8)
    (log.path / f"{SECOND}.log.cleaned").write_bytes(b"torn")
    return log


def test_what_a_cleaning_has_left_does_not_undo_the_swap_of_a_later_one(tmp_path: Path) -> None:
    log = leave_an_unfinished_cleaning(tmp_path, FileLayer(fsync_enabled=False))

    log.chain.prepare_cleaning()
    third = log.segments[2]
    for suffix in (".log", ".index", ".timeindex"):
        source = log.path / f"{THIRD}{suffix}"
        (log.path / f"{THIRD}{suffix}.cleaned").write_bytes(source.read_bytes())
    begin_swap(log.directory.files, log.path, 8)
    for path in third.existing_paths():
        path.unlink()
    log = crashed(log)

    assert set(values(log)) == ALL_OFFSETS


def test_a_crash_while_it_is_removed_loses_nothing(tmp_path: Path) -> None:
    for changes in itertools.count():
        path = tmp_path / str(changes)
        path.mkdir()
        files = CrashingFiles()
        log = leave_an_unfinished_cleaning(path, files)
        files.changes_left = changes
        try:
            log.chain.prepare_cleaning()
            break
        except CrashError:
            found = set(values(a_log(path)))
            assert found in (ALL_OFFSETS, CLEANED_OFFSETS), f"crash before change {changes}"
    assert changes > 4
    assert not [name for name in names(log) if name.endswith((".swap", ".cleaned"))]


def test_a_deleted_log_leaves_its_successors_files_alone(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    cleaned = write_cleaned(log)
    log.abandon()

    with pytest.raises(FileNotFoundError):
        log.chain.swap_in(cleaned, log.segments[:2], NOW_MS)
    with pytest.raises(FileNotFoundError):
        log.chain.prepare_cleaning()

    assert f"{FIRST}.log.cleaned" in names(log)


def test_a_swap_of_kafka_whose_log_has_its_name_already_is_finished(tmp_path: Path) -> None:
    """Kafka gives the `.log` its final name first."""
    log = a_log_to_clean(tmp_path)
    log.abandon()
    index = log.path / f"{FIRST}.index"
    index.rename(log.path / f"{FIRST}.index.swap")

    assert recover_swaps(log.directory.files, log.path, names(log))

    assert index.exists()
    assert set(values(a_log(tmp_path))) == ALL_OFFSETS


def test_an_empty_cleaned_segment_takes_the_place_of_its_source(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    (log.path / f"{FIRST}.log.cleaned").write_bytes(b"")
    begin_swap(log.directory.files, log.path, 0)
    log = crashed(log, config=a_config(cleanup_policy=frozenset({"compact"})))

    assert log.log_start_offset == 0
    assert set(values(log)) == set(range(4, 12))


def test_a_damaged_swap_is_refused(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)
    log.abandon()
    (log.path / f"{FIRST}.log.swap").write_bytes(b"\1" * 100)

    with pytest.raises(DamagedLogError, match="swap"):
        a_log(tmp_path, config=a_config())


def test_without_a_cleaned_file_there_is_nothing_to_swap(tmp_path: Path) -> None:
    log = a_log_to_clean(tmp_path)

    with pytest.raises(FileNotFoundError):
        begin_swap(log.directory.files, log.path, 0)
    finish_swap(log.directory.files, log.path, 0)
    assert not recover_swaps(log.directory.files, log.path, names(log))
