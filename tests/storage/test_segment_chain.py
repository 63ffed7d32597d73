"""The chain of segments: what is read across them, what a sync covers, what is taken out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykbroker.storage import page_cache
from pykbroker.storage.file_layer import FileHandle
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment_chain import SegmentChain
from pykbroker.storage.transaction_index import ENTRY_BYTES, AbortedTransaction
from tests.harness.batches import NOW_MS
from tests.harness.logs import BATCH_BYTES, FaultyFiles, a_config, a_filled_log, names


def chain_of(log: PartitionLog) -> SegmentChain:
    return log.chain


def a_log_of_two_segments(path: Path, files: FaultyFiles | None = None) -> PartitionLog:
    """Offsets 0 to 3 and 4 to 7, two batches of two records in each segment."""
    return a_filled_log(path, 4, files=files, segment_bytes=BATCH_BYTES * 2)


def test_a_roll_adds_an_active_segment_whose_file_exists(tmp_path: Path) -> None:
    log = a_log_of_two_segments(tmp_path)

    segment = chain_of(log).roll(8, a_config(segment_jitter_ms=10), NOW_MS)

    assert chain_of(log).active is segment is chain_of(log).all[-1]
    assert segment.path.name in names(log)
    assert 0 <= segment.roll_jitter_ms < 10


def test_a_roll_that_the_disk_refuses_leaves_the_chain_as_it_was(tmp_path: Path) -> None:
    class FullFiles(FaultyFiles):
        def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
            if str(path).endswith("8.log"):
                raise OSError(errno.ENOSPC, "injected")
            return super().open(path, create=create)

    log = a_log_of_two_segments(tmp_path, FullFiles())
    before = chain_of(log).all

    with pytest.raises(OSError, match="injected"):
        chain_of(log).roll(8, a_config(), NOW_MS)

    assert chain_of(log).all == before
    assert chain_of(log).active is before[-1]


@pytest.mark.parametrize(("offset", "count"), [(0, 0), (3, 0), (4, 1), (7, 1), (100, 1)])
def test_only_segments_wholly_below_an_offset_are_counted(
    tmp_path: Path, offset: int, count: int
) -> None:
    assert chain_of(a_log_of_two_segments(tmp_path)).count_below(offset) == count


def test_a_read_goes_on_in_the_next_segment_where_one_has_nothing_left(tmp_path: Path) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))
    first, second = chain.all
    second.base_offset = 6  # as if compaction had removed what was between
    first.next_offset = 4

    found = chain.read(5, 1000, up_to=8, at_least_one_batch=True)

    assert found is not None
    assert found.size_bytes == second.size_bytes


def test_a_read_does_not_skip_a_batch_that_does_not_fit(tmp_path: Path) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))

    assert chain.read(0, 10, up_to=8, at_least_one_batch=False) is None


@pytest.mark.parametrize(("max_bytes", "at_least_one_batch"), [(1000, False), (0, True)])
def test_what_is_not_in_the_cache_is_found_in_the_segment_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int, at_least_one_batch: bool
) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))
    first, second = chain.all
    second.base_offset = 6  # as if compaction had removed what was between
    first.next_offset = 4
    chain.release()
    for segment in chain.all:
        segment._recent.clear()
    monkeypatch.setattr(page_cache, "_RWF_NOWAIT", 0)

    found = chain.read(5, max_bytes, up_to=8, at_least_one_batch=at_least_one_batch)

    assert found is not None
    assert found.size_bytes >= 1, "something, or another partition would be the first"
    assert found.read() == second.path.read_bytes()[: max_bytes or BATCH_BYTES]


def test_nothing_is_looked_for_where_nothing_may_be_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))
    monkeypatch.setattr(page_cache, "_RWF_NOWAIT", 0)

    assert chain.read(1, 0, up_to=8, at_least_one_batch=False) is None


def test_batches_of_all_segments_follow_each_other_up_to_the_bound(tmp_path: Path) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))

    assert [batch.base_offset for batch in chain.batches(3, 6)] == [2, 4]


def test_a_sync_covers_the_segments_from_the_given_offset_on(tmp_path: Path) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))

    chain.sync_from(4)

    assert [segment.flushed_bytes for segment in chain.all] == [0, BATCH_BYTES * 2]


def test_a_sync_does_not_mind_a_segment_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    class DeletingFiles(FaultyFiles):
        def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
            if is_deleting:
                chain.all = chain.all[-1:]
            return super().open(path, create=create)

    is_deleting = False
    chain = chain_of(a_log_of_two_segments(tmp_path, DeletingFiles()))
    first = chain.all[0]
    chain.release()
    first.path.unlink()
    with pytest.raises(FileNotFoundError):
        chain.sync_from(0)

    is_deleting = True
    chain.sync_from(0)

    assert not first.path.exists(), "it does not come back"


def test_what_is_taken_out_is_renamed_at_once(tmp_path: Path) -> None:
    log = a_log_of_two_segments(tmp_path)

    chain_of(log).remove_oldest(1, NOW_MS)

    assert [segment.base_offset for segment in chain_of(log).all] == [4]
    assert "00000000000000000000.log.deleted" in names(log)


def test_closed_segments_can_be_let_go_alone(tmp_path: Path) -> None:
    chain = chain_of(a_log_of_two_segments(tmp_path))

    chain.release_closed()
    assert [segment.is_open for segment in chain.all] == [False, True]

    chain.release()
    assert [segment.is_open for segment in chain.all] == [False, False]


def test_a_cleaner_finds_aborted_transactions_that_there_was_no_room_for(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 1, files=files)
    index = log.segments[0].transaction_index
    files.failures["pwrite"] = errno.ENOSPC
    with pytest.raises(OSError, match="injected"):
        index.append(AbortedTransaction(7, 0, 1, 2))
    files.failures.clear()

    log.chain.prepare_cleaning()

    assert index.path.stat().st_size == ENTRY_BYTES
