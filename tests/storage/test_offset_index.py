"""The offset index: Kafka's bytes, look-ups."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.offset_index import OffsetIndex


def an_index(path: Path, entries: int = 0, *, base_offset: int = 1000) -> OffsetIndex:
    """An index whose entry n is about offset base + 10 n + 10 at position 100 n + 100."""
    index = OffsetIndex(FileLayer(), path / "a.index", base_offset, max_bytes=10_000)
    for number in range(1, entries + 1):
        index.append(base_offset + 10 * number, 100 * number)
    return index


def test_the_file_has_kafkas_bytes(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    index.append(1007, 4200)
    index.append(1019, 70_000)
    index.save()

    assert index.path.read_bytes().hex(" ", 4) == (
        "00000007 "  # offset 1007, relative to 1000
        "00001068 "  # position 4200
        "00000013 "  # offset 1019
        "00011170"  # position 70000
    )


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 511, 513, 1100])
@pytest.mark.parametrize("saves", [0, 3])
def test_the_floor_of_an_offset_is_found_in_any_number_of_entries(
    tmp_path: Path, count: int, saves: int
) -> None:
    index = an_index(tmp_path)
    for number in range(1, count + 1):
        index.append(1000 + 10 * number, 100 * number)
        if saves and number % (count // saves + 1) == 0:
            index.save()

    for number in range(count + 1):
        expected = (1000 + 10 * number, 100 * number)
        assert index.floor(1000 + 10 * number) == expected
        assert index.floor(1000 + 10 * number + 9) == expected
        assert index.floor_position(100 * number + 99) == 1000 + 10 * number
    assert index.floor(0) == (1000, 0)
    assert index.last_entry() == (1000 + 10 * count, 100 * count)


def test_entries_are_the_same_after_reopening(tmp_path: Path) -> None:
    index = an_index(tmp_path, 700)
    index.save()
    size_bytes = index.path.stat().st_size

    again = OffsetIndex(FileLayer(), index.path, 1000, max_bytes=10_000, saved_bytes=size_bytes)

    assert again.entry_count == 700
    assert again.floor(2005) == (2000, 10_000)
    again.append(10_000, 900_000)
    assert again.last_entry() == (10_000, 900_000)


def test_it_is_full_at_its_largest_size(tmp_path: Path) -> None:
    index = OffsetIndex(FileLayer(), tmp_path / "a.index", 0, max_bytes=23)
    index.append(1, 1)
    assert not index.is_full
    index.append(2, 2)
    assert index.is_full


@pytest.mark.parametrize("is_saved", [True, False])
def test_the_entry_behind_a_position_is_found(tmp_path: Path, is_saved: bool) -> None:
    files = FileLayer()
    index = OffsetIndex(files, tmp_path / "0.index", 100, max_bytes=1 << 20)
    for number in range(1, 601):
        index.append(100 + number, 10 * number)
    if is_saved:
        index.save()

    for _ in range(2):  # the second time the look-ups before have left their block
        for position in (0, 1, 10, 11, 2999, 3000, 3001, 6000):
            expected = 100 + max(-(-position // 10), 1)
            assert index.offset_from_position(position) == expected
            index.floor(expected - 5)
        assert index.offset_from_position(6001) is None
    empty = OffsetIndex(files, tmp_path / "1.index", 0, max_bytes=1 << 20)
    assert empty.offset_from_position(0) is None
