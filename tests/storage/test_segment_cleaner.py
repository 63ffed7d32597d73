"""A pass over real files: what is written, grouped, indexed and synced; damage; full maps."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleaning_job import CleanedSegment, CleaningJob, SourceSegment
from pykbroker.storage.compaction import LastRecord
from pykbroker.storage.offset_map import entry_bytes
from pykbroker.storage.segment import Segment
from pykbroker.storage.segment_cleaner import clean, group_segments
from tests.harness.batches import NOW_MS
from tests.harness.compaction import (
    RETENTION_MS,
    a_job,
    a_marker,
    aborted_of,
    an_aborted,
    as_source,
    batches_of,
    keyed,
    run,
    swap_in,
    values_of,
    write_segment,
)
from tests.harness.logs import FaultyFiles


def two_segments(path: Path) -> list[SourceSegment]:
    return [
        write_segment(path, 0, [keyed(0, ("a", "1"), ("b", "2")), keyed(2, ("c", "3"))]),
        write_segment(path, 3, [keyed(3, ("a", "4")), keyed(4, ("d", "5"))]),
    ]


def cleaned_names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.name.endswith(".cleaned"))


def test_a_log_is_cleaned_into_one_segment(tmp_path: Path) -> None:
    job = a_job(tmp_path, *two_segments(tmp_path))

    (cleaned,), summary = run(job)

    assert values_of(tmp_path) == {
        1: ("b", "2"), 2: ("c", "3"), 3: ("a", "4"), 4: ("d", "5"),
    }  # fmt: skip
    assert (cleaned.base_offset, cleaned.sources, cleaned.next_offset) == (0, (0, 3), 5)
    assert summary.clean_end_offset == 5
    assert summary.map_entries == 4
    assert 0 < summary.map_utilization < 1
    assert summary.map_bytes_read == summary.stats.bytes_read
    assert (summary.stats.records_read, summary.stats.records_kept) == (5, 4)
    assert summary.stats.bytes_kept == cleaned.size_bytes
    assert summary.seconds >= summary.map_seconds >= 0


def test_the_files_are_those_of_a_segment(tmp_path: Path) -> None:
    job = a_job(tmp_path, *two_segments(tmp_path), io_buffer_bytes=80)
    os.utime(tmp_path / f"{3:020d}.log", (77, 77))
    files = FaultyFiles()
    passes = clean(job, files)

    cleaned = next(passes)

    stem = "00000000000000000000"
    assert cleaned_names(tmp_path) == [
        f"{stem}.index.cleaned", f"{stem}.log.cleaned", f"{stem}.timeindex.cleaned"
    ]  # fmt: skip
    assert files.calls["sync_path"] == 3
    for name in cleaned_names(tmp_path):
        assert (tmp_path / name).stat().st_mtime == 77
    assert (tmp_path / f"{stem}.index.cleaned").stat().st_size == cleaned.offset_index_bytes == 8
    assert (tmp_path / f"{stem}.timeindex.cleaned").stat().st_size == cleaned.time_index_bytes
    assert (cleaned.largest_timestamp, cleaned.largest_timestamp_offset) == (NOW_MS + 1, 1)
    assert not cleaned.has_transaction_index
    passes.close()
    assert len(cleaned_names(tmp_path)) == 3, "they are the caller's"

    swap_in(job, cleaned)
    segment = Segment(
        files,
        tmp_path,
        0,
        size_bytes=cleaned.size_bytes,
        index_sizes=(cleaned.offset_index_bytes, cleaned.time_index_bytes),
        max_index_bytes=10_000,
        index_interval_bytes=100,
        created_ms=NOW_MS,
    )
    for offset, base_offset in ((0, 0), (1, 0), (2, 2), (3, 3), (4, 4)):
        place = segment.locate(offset)
        assert place is not None
        assert place.base_offset == base_offset
    assert segment.max_timestamp == (NOW_MS + 1, 1)


def test_old_cleaned_files_are_replaced(tmp_path: Path) -> None:
    job = a_job(tmp_path, *two_segments(tmp_path))
    for suffix in ("log", "index", "timeindex", "txnindex"):
        (tmp_path / f"{0:020d}.{suffix}.cleaned").write_bytes(b"x" * 10_000)

    run(job)

    assert len(values_of(tmp_path)) == 4
    assert aborted_of(tmp_path) == []


def test_a_log_from_which_all_goes_leaves_an_empty_segment(tmp_path: Path) -> None:
    segments = [
        write_segment(tmp_path, 0, [keyed(0, ("a", "1"))]),
        write_segment(tmp_path, 1, [keyed(1, ("a", "2"))]),
    ]

    cleaned, _ = run(a_job(tmp_path, *segments, segment_bytes=80))

    assert [c.size_bytes > 0 for c in cleaned] == [False, True]
    assert cleaned[0].largest_timestamp == -1
    (again,), _ = run(
        a_job(tmp_path, *map(as_source, cleaned), first_dirty_offset=1, segment_bytes=80)
    )
    assert again.sources == (0, 1)


def test_the_last_batch_of_the_range_stays(tmp_path: Path) -> None:
    segment = write_segment(tmp_path, 0, [keyed(0, ("a", "1")), keyed(1, (None, "2"))])

    run(a_job(tmp_path, segment))

    assert [(b.base_offset, b.record_count) for b in batches_of(tmp_path)] == [(0, 1), (1, 0)]


def test_clean_segments_lose_what_the_dirty_ones_replace(tmp_path: Path) -> None:
    clean_one, dirty_one = two_segments(tmp_path)

    _, summary = run(a_job(tmp_path, clean_one, dirty_one, first_dirty_offset=3))

    assert sorted(values_of(tmp_path)) == [1, 2, 3, 4]
    assert summary.map_entries == 2
    assert summary.map_bytes_read < summary.stats.bytes_read


def test_a_dirty_part_may_begin_inside_of_a_segment(tmp_path: Path) -> None:
    _, summary = run(a_job(tmp_path, *two_segments(tmp_path), first_dirty_offset=2))

    assert summary.map_entries == 3
    assert sorted(values_of(tmp_path)) == [1, 2, 3, 4]


@pytest.mark.parametrize("segment_count", [0, 2])
def test_without_anything_dirty_nothing_is_done(tmp_path: Path, segment_count: int) -> None:
    segments = two_segments(tmp_path)[:segment_count]

    cleaned, summary = run(a_job(tmp_path, *segments, first_dirty_offset=5, end_offset=5))

    assert cleaned == []
    assert summary.clean_end_offset == 5
    assert summary.stats.bytes_read == 0


def test_a_full_map_ends_the_pass_early(tmp_path: Path) -> None:
    job = a_job(tmp_path, *two_segments(tmp_path), map_bytes=3 * entry_bytes(1))

    cleaned, summary = run(job)

    assert summary.clean_end_offset == 4, "a, b, c; d did not fit"
    assert sorted(values_of(tmp_path)) == [1, 2, 3, 4]
    job = a_job(tmp_path, *map(as_source, cleaned), first_dirty_offset=4)
    assert run(job)[1].clean_end_offset == 5


def test_segments_behind_a_full_map_are_left_alone(tmp_path: Path) -> None:
    job = a_job(tmp_path, *two_segments(tmp_path), map_bytes=2 * entry_bytes(1))

    (cleaned,), summary = run(job)

    assert cleaned.sources == (0,)
    assert summary.clean_end_offset == 2
    assert len(values_of(tmp_path)) == 5


def test_a_map_for_a_single_key_comes_to_the_end(tmp_path: Path) -> None:
    segments = two_segments(tmp_path)
    first_dirty_offset, passes = 0, 0
    while first_dirty_offset < 5:
        cleaned, summary = run(
            a_job(tmp_path, *segments, first_dirty_offset=first_dirty_offset, map_bytes=0)
        )
        assert summary.clean_end_offset > first_dirty_offset
        first_dirty_offset = summary.clean_end_offset
        done = [as_source(c) for c in cleaned]
        segments = done + [s for s in segments if s.base_offset >= done[-1].next_offset]
        passes += 1
    assert passes == 5
    assert sorted(values_of(tmp_path)) == [1, 2, 3, 4]


def test_a_gap_behind_the_last_batch_counts_as_cleaned(tmp_path: Path) -> None:
    segment = write_segment(tmp_path, 0, [keyed(0, ("a", "1"))], next_offset=50)

    assert run(a_job(tmp_path, segment))[1].clean_end_offset == 50


def a_transactional_log(path: Path) -> list[SourceSegment]:
    """Aborted and committed data, with the abort marker in a later segment."""
    return [
        write_segment(
            path,
            0,
            [
                keyed(0, ("a", "1")),
                keyed(1, ("a", "aborted"), producer_id=7, is_transactional=True),
                keyed(2, ("a", "2"), producer_id=8, is_transactional=True),
                a_marker(3, 8, commit=True),
            ],
        ),
        write_segment(
            path,
            4,
            [a_marker(4, 7, commit=False), keyed(5, ("z", "1"))],
            aborted=[an_aborted(7, 1, 4)],
        ),
    ]


def test_transactions_lose_their_markers_at_last(tmp_path: Path) -> None:
    segments = tuple(a_transactional_log(tmp_path))
    aborted = an_aborted(7, 1, 4)
    kept = []
    for now_ms in (NOW_MS, NOW_MS, NOW_MS + RETENTION_MS):
        job = a_job(tmp_path, *segments, now_ms=now_ms)
        (cleaned,), _ = run(job)
        segments = (as_source(cleaned),)
        assert cleaned.has_transaction_index == (aborted in aborted_of(tmp_path))
        kept.append(([b.base_offset for b in batches_of(tmp_path)], aborted_of(tmp_path)))
        assert values_of(tmp_path) == {2: ("a", "2"), 5: ("z", "1")}

    assert kept == [
        ([2, 3, 4, 5], [aborted]),
        ([2, 3, 4, 5], []),  # the abort marker got its horizon
        ([2, 3, 5], []),  # the data of the other transaction is there, and so is its marker
    ]


def test_an_abort_in_a_later_segment_is_known(tmp_path: Path) -> None:
    first, _ = a_transactional_log(tmp_path)

    run(a_job(tmp_path, first))

    assert values_of(tmp_path) == {2: ("a", "2"), 5: ("z", "1")}
    assert aborted_of(tmp_path) == [an_aborted(7, 1, 4)], "it is in the segment of its marker"


def test_the_last_batch_of_an_active_producer_stays(tmp_path: Path) -> None:
    sequence = {"producer_id": 7, "producer_epoch": 0}
    segments = [
        write_segment(
            tmp_path,
            0,
            [
                keyed(0, ("a", "1"), base_sequence=0, **sequence),
                keyed(1, ("a", "2"), base_sequence=1, **sequence),
                keyed(2, ("a", "3"), ("b", "1")),
            ],
        )
    ]

    run(a_job(tmp_path, *segments, active_producers={7: LastRecord(0, 1)}))

    found = [(b.base_offset, b.last_sequence, b.record_count) for b in batches_of(tmp_path)]
    assert found == [(1, 1, 0), (2, -1, 2)]


def grouped(*sizes: tuple[int, int, int], **limits: int) -> list[list[int]]:
    """The numbers of the segments in each group; sizes of log, index and time index."""
    segments = [SourceSegment(n * 10, n * 10 + 10, size) for n, (size, _, _) in enumerate(sizes)]
    groups = group_segments(
        segments,
        index_sizes=lambda segment: sizes[segment.base_offset // 10][1:],
        **{"max_bytes": 100, "max_index_bytes": 50, **limits},
    )
    return [[segment.base_offset // 10 for segment in group] for group in groups]


def test_segments_are_grouped_by_all_three_sizes() -> None:
    assert grouped() == []
    assert grouped((50, 1, 1), (50, 1, 1), (1, 1, 1)) == [[0, 1], [2]]
    assert grouped((1, 25, 1), (1, 26, 1), (1, 1, 1)) == [[0], [1, 2]]
    assert grouped((1, 1, 25), (1, 1, 26), (1, 1, 1)) == [[0], [1, 2]]
    assert grouped((500, 90, 90), (0, 0, 0), (500, 1, 1)) == [[0], [1], [2]]


def test_a_group_spans_31_bits_of_offsets() -> None:
    def groups(next_offset: int, size_bytes: int) -> list[int]:
        segments = [
            SourceSegment(5, 10, 1),
            SourceSegment(10, 20, 1),
            SourceSegment(20, next_offset, size_bytes),
        ]
        return [
            len(group)
            for group in group_segments(
                segments, max_bytes=100, max_index_bytes=100, index_sizes=lambda _: (0, 0)
            )
        ]

    assert groups(5 + 2**31, 1) == [3]
    assert groups(6 + 2**31, 1) == [2, 1]
    assert groups(6 + 2**31, 0) == [3], "an empty segment has no offset that must fit"


def spoiled(path: Path, position: int, change: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= change
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("position", "reason"),
    [(-1, "checksum"), (8, "impossible"), (16, "magic 3"), (7, "offset 2 after 2")],
)
@pytest.mark.parametrize("first_dirty_offset", [0, 3])
def test_damage_is_named_and_nothing_is_left(
    tmp_path: Path, position: int, reason: str, first_dirty_offset: int
) -> None:
    segments = [
        write_segment(tmp_path, 0, [keyed(0, ("a", "1"), ("b", "2"), ("c", "3"))]),
        write_segment(tmp_path, 3, [keyed(3, ("a", "4"))]),
        write_segment(tmp_path, 4, [keyed(4, ("a", "5"))]),
    ]
    damaged = tmp_path / f"{3 if first_dirty_offset == 0 else 0:020d}.log"
    spoiled(damaged, position)
    if position == 7 and first_dirty_offset:
        spoiled(damaged, position, 0x80)
        spoiled(damaged, 0, 0x80)
        reason = "offset -9"

    with pytest.raises(DamagedSegmentError, match=reason) as caught:
        run(a_job(tmp_path, *segments, first_dirty_offset=first_dirty_offset))

    assert (caught.value.path, caught.value.position) == (damaged, 0)
    assert cleaned_names(tmp_path) == []


def test_a_file_that_is_shorter_than_it_should_be_is_damaged(tmp_path: Path) -> None:
    (segment,) = two_segments(tmp_path)[:1]
    longer = SourceSegment(0, 3, segment.size_bytes + 100)

    with pytest.raises(DamagedSegmentError):
        run(a_job(tmp_path, longer))


def test_a_vanished_source_is_an_error(tmp_path: Path) -> None:
    segments = two_segments(tmp_path)
    (tmp_path / f"{0:020d}.log").unlink()

    with pytest.raises(FileNotFoundError):
        run(a_job(tmp_path, *segments))
    with pytest.raises(FileNotFoundError):
        run(a_job(tmp_path, *segments, first_dirty_offset=3))
    assert cleaned_names(tmp_path) == []


@pytest.mark.parametrize("operation", ["pwrite", "sync_path"])
def test_a_disk_error_leaves_the_sources_alone(tmp_path: Path, operation: str) -> None:
    segments = two_segments(tmp_path)
    files = FaultyFiles()
    files.failures[operation] = errno.ENOSPC

    with pytest.raises(OSError, match="injected"):
        run(a_job(tmp_path, *segments), files)

    assert cleaned_names(tmp_path) == []
    assert len(values_of(tmp_path)) == 5


def test_all_reads_and_writes_are_throttled(tmp_path: Path) -> None:
    segment = write_segment(tmp_path, 0, [keyed(n, (f"k{n}", "x" * 5000)) for n in range(100)])
    noted: list[int] = []

    (cleaned,) = throttled(a_job(tmp_path, segment), noted)

    total = 2 * segment.size_bytes + cleaned.size_bytes
    assert total - (1 << 17) < sum(noted) <= total


def throttled(job: CleaningJob, noted: list[int]) -> Iterator[CleanedSegment]:
    return clean(job, FaultyFiles(), throttle=noted.append)


def test_a_throttle_that_raises_ends_the_pass(tmp_path: Path) -> None:
    segment = write_segment(tmp_path, 0, [keyed(n, (f"k{n}", "x" * 5000)) for n in range(100)])
    calls = 0

    def throttle(size_bytes: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt

    passes: Any = clean(a_job(tmp_path, segment), FaultyFiles(), throttle=throttle)
    with pytest.raises(KeyboardInterrupt):
        next(passes)
    assert cleaned_names(tmp_path) == []
