"""The time index: Kafka's bytes, look-ups."""

from __future__ import annotations

from pathlib import Path

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.time_index import TimeIndex


def an_index(path: Path, **options: int) -> TimeIndex:
    return TimeIndex(FileLayer(), path / "a.timeindex", 1000, **({"max_bytes": 10_000} | options))


def test_the_file_has_kafkas_bytes(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    index.maybe_append(1_700_000_000_000, 1007)
    index.save()

    assert index.path.read_bytes().hex(" ", 4) == (
        "0000018b cfe56800 "  # timestamp
        "00000007"  # offset 1007, relative to 1000
    )


def test_only_larger_timestamps_are_added(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    for timestamp, offset in [(-1, 1000), (5, 1001), (5, 1002), (4, 1003), (6, 1004)]:
        index.maybe_append(timestamp, offset)

    assert index.entry_count == 2
    assert index.floor(4) == (-1, 1000)
    assert index.floor(5) == (5, 1001)
    assert index.floor(99) == index.last_entry() == (6, 1004)


def test_after_reopening_only_larger_timestamps_are_added(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    index.maybe_append(5, 1001)
    index.save()

    again = an_index(tmp_path, saved_bytes=12)
    again.maybe_append(5, 1002)
    again.maybe_append(7, 1003)

    assert again.entry_count == 2
    again.clear()
    assert again.last_entry() == (-1, 1000)
    again.maybe_append(1, 1000)
    assert again.entry_count == 1


def test_one_slot_is_kept_for_the_entry_of_the_roll(tmp_path: Path) -> None:
    index = an_index(tmp_path, max_bytes=36)
    index.maybe_append(1, 1000)
    assert not index.is_full
    index.maybe_append(2, 1001)
    assert index.is_full
