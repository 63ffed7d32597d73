"""One segment: index entries as Kafka makes them, look-ups, cold reads, damaged indexes."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from pykbroker.storage import page_cache
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.segment import Segment, file_name
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.logs import FaultyFiles

ONE = a_batch(records=2).size_bytes


def a_segment(path: Path, base_offset: int = 0, **options: Any) -> Segment:
    options = {"max_index_bytes": 10_000, "index_interval_bytes": 100, **options}
    return Segment(FaultyFiles(), path, base_offset, created_ms=NOW_MS, **options)


def a_filled_segment(path: Path, batches: int, base_offset: int = 0, **options: Any) -> Segment:
    segment = a_segment(path, base_offset, **options)
    for number in range(batches):
        segment.append(a_batch(base_offset + 2 * number, records=2))
    return segment


def reopened(segment: Segment, **options: Any) -> Segment:
    segment.save_indexes()
    sizes = {
        "size_bytes": segment.path.stat().st_size,
        "index_sizes": (
            segment.offset_index.path.stat().st_size,
            segment.time_index.path.stat().st_size,
        ),
    }
    again = a_segment(segment.path.parent, segment.base_offset, **(sizes | options))
    again.load_tail()
    return again


def entries(path: Path, layout: str) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack(layout, path.read_bytes()))


def test_files_are_named_by_twenty_digits() -> None:
    assert file_name(42, ".log") == "00000000000000000042.log"


def test_an_entry_is_made_after_more_than_the_interval(tmp_path: Path) -> None:
    """The rule of Kafka's LogSegment.append, with batches of 92 bytes and an interval of 100."""
    segment = a_filled_segment(tmp_path, 7, base_offset=1000)
    segment.save_indexes()

    assert entries(segment.offset_index.path, ">ii") == [(2 * n + 1, n * ONE) for n in (2, 4, 6)]
    # All batches have the same largest timestamp, which the first one, ending at 1001, brought.
    assert entries(segment.time_index.path, ">qi") == [(NOW_MS + 1, 1)]


def test_a_closed_segment_ends_with_its_largest_timestamp(tmp_path: Path) -> None:
    segment = a_segment(tmp_path)
    for number, timestamp in enumerate((5, 9, 7, 8, 20, 11)):
        segment.append(a_batch(number, records=[a_record(timestamp=timestamp)]))
    segment.save_indexes()

    assert segment.max_timestamp == (20, 4)
    assert entries(segment.time_index.path, ">qi") == [(9, 1), (20, 4)]
    assert reopened(segment).max_timestamp == (20, 4)


def test_a_reopened_segment_goes_on_counting(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    whole = a_filled_segment(tmp_path / "a", 9)
    whole.save_indexes()
    (tmp_path / "b").mkdir()
    part = reopened(a_filled_segment(tmp_path / "b", 4))
    assert part.next_offset == 8
    for number in range(4, 9):
        part.append(a_batch(2 * number, records=2))
    part.save_indexes()

    for one, other in zip(
        sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir()), strict=True
    ):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_reading_finds_the_batch_by_the_index(tmp_path: Path) -> None:
    segment = reopened(a_filled_segment(tmp_path, 300))

    for offset in range(0, 600, 7):
        place = segment.locate(offset)
        assert place is not None
        assert place.base_offset == offset // 2 * 2
    assert segment.locate(600) is None
    assert segment.read(600, 10, up_to=700, at_least_one_batch=True) is None


def test_a_read_that_is_not_in_the_cache_may_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = reopened(a_filled_segment(tmp_path, 10))
    monkeypatch.setattr(page_cache, "_RWF_NOWAIT", 0)

    with pytest.raises(BlockingIOError):
        segment.read(5, 2 * ONE, up_to=14, at_least_one_batch=True, nowait=True)

    found = segment.read(5, 2 * ONE, up_to=14, at_least_one_batch=True)
    assert found is not None
    assert found.read() == os.pread(segment.handle.fd, 2 * ONE, 2 * ONE)


def test_what_was_just_appended_is_found_without_the_index(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 600)

    last = segment.read(1198, 10**6, up_to=1200, at_least_one_batch=True)

    assert last is not None
    assert last.size_bytes == ONE
    assert len(segment._recent) <= 256


def test_an_empty_segment_has_no_timestamps(tmp_path: Path) -> None:
    segment = a_segment(tmp_path)

    assert segment.first_timestamp == -1
    assert segment.max_timestamp == (-1, 0)
    assert segment.largest_timestamp == NOW_MS, "it was made then"


def test_without_timestamps_the_files_time_counts(tmp_path: Path) -> None:
    segment = a_segment(tmp_path)
    segment.append(a_batch(records=[a_record(timestamp=-1)]))
    os.utime(segment.path, (1234, 1234))

    assert segment.largest_timestamp == 1_234_000
    assert segment.first_timestamp == -1


def test_the_first_timestamp_is_read_from_the_file(tmp_path: Path) -> None:
    segment = reopened(a_filled_segment(tmp_path, 3))

    assert segment.first_timestamp == NOW_MS + 1


def test_an_index_of_an_earlier_state_is_replaced(tmp_path: Path) -> None:
    """Entries that are right for themselves but not about this file."""
    segment = a_filled_segment(tmp_path, 9)
    segment.save_indexes()
    (tmp_path / "other").mkdir()
    other = a_segment(tmp_path / "other")
    for number in range(9):
        other.append(a_batch(number, records=1))
    other.save_indexes()
    expected = segment.offset_index.path.read_bytes()
    segment.offset_index.path.write_bytes(other.offset_index.path.read_bytes())
    segment.release()

    again = reopened(segment)

    assert again.offset_index.path.read_bytes() == expected


def test_a_time_index_whose_last_entry_is_not_in_the_log_is_replaced(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 3)
    segment.save_indexes()
    for entry in (struct.pack(">qi", NOW_MS + 7, 1), struct.pack(">qi", NOW_MS + 1, 999)):
        segment.time_index.path.write_bytes(entry)
        again = reopened(segment)
        assert again.max_timestamp == (NOW_MS + 1, 1)


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("content", [b"", bytes(24), b"\xff" * 24, b"\x10\0\0\0" * 6])
def test_indexes_that_change_under_us_are_replaced(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    segment = a_segment(tmp_path)
    for number in range(9):
        segment.append(a_batch(number, records=[a_record(timestamp=number)]))
    segment.save_indexes()
    segment.path.with_suffix(suffix).write_bytes(content)

    again = Segment(
        FaultyFiles(),
        tmp_path,
        0,
        created_ms=0,
        size_bytes=segment.size_bytes,
        index_sizes=(
            segment.offset_index.entry_count * 8,
            segment.time_index.entry_count * 12,
        ),
        max_index_bytes=10_000,
        index_interval_bytes=100,
    )
    again.next_offset = 9

    assert again.position_before(segment.size_bytes // 2) <= segment.size_bytes // 2
    for timestamp in range(9):
        assert again.floor_timestamp(timestamp) <= timestamp
    place = again.locate(7)
    assert place is not None
    assert place.base_offset == 7
    assert again.max_timestamp == (8, 8)


def test_an_index_without_records_is_emptied(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 9)
    segment.save_indexes()
    segment.path.write_bytes(b"")
    sizes = (segment.offset_index.path.stat().st_size, segment.time_index.path.stat().st_size)

    again = a_segment(tmp_path, size_bytes=0, index_sizes=sizes)
    again.load_tail()
    again.append(a_batch(0, records=2))
    again.append(a_batch(2, records=2))
    again.save_indexes()

    assert again.offset_index.path.read_bytes() == b""
    assert entries(again.time_index.path, ">qi") == [(NOW_MS + 1, 1)]


def test_damage_does_not_hide_what_is_behind_it(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 9)
    segment.save_indexes()
    data = bytearray(segment.path.read_bytes())
    data[4 * ONE + 8] = 0xFF
    segment.path.write_bytes(data)
    segment.offset_index.path.unlink()
    again = a_segment(tmp_path, size_bytes=len(data), index_sizes=(None, 12))
    again.next_offset = 18

    with pytest.raises(DamagedSegmentError):
        again.locate(2)
    with pytest.raises(DamagedSegmentError):
        again.locate(12)

    assert (again.size_bytes, again.next_offset) == (len(data), 18)
    found = again.locate(2)
    assert found is not None
    assert found.position == ONE


def test_indexes_are_unsaved_until_they_are_saved(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 3)
    assert segment.are_indexes_unsaved()

    segment.save_indexes()
    assert not segment.are_indexes_unsaved()

    segment.append(a_batch(6, records=[a_record(timestamp=NOW_MS + 50)]))
    assert segment.are_indexes_unsaved()


def test_a_synced_segment_is_not_synced_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    segment = Segment(
        files, tmp_path, 0, created_ms=0, max_index_bytes=800, index_interval_bytes=100
    )
    segment.append(a_batch())

    segment.sync()
    segment.sync()

    assert files.calls["sync"] == 1


def test_an_older_position_is_found_by_the_index(tmp_path: Path) -> None:
    segment = a_filled_segment(tmp_path, 9)

    assert segment.position_before(0) == 0
    assert segment.position_before(5 * ONE) == 4 * ONE
