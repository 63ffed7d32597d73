import struct
from pathlib import Path

from pykbroker.storage.index_entries import iter_aborted, iter_offset_entries, iter_time_entries
from pykbroker.storage.transaction_index import AbortedTransaction

OFFSET_ENTRY = struct.Struct(">ii")


def offsets(path: Path, *entries: tuple[int, int], behind: bytes = b"") -> list[tuple[int, ...]]:
    path.write_bytes(b"".join(OFFSET_ENTRY.pack(*entry) for entry in entries) + behind)
    return list(iter_offset_entries(path, 100))


def test_offsets_are_absolute(tmp_path: Path) -> None:
    assert offsets(tmp_path / "a.index", (5, 70), (9, 140)) == [(0, 105, 70), (1, 109, 140)]


def test_room_that_was_not_used_is_left_out(tmp_path: Path) -> None:
    assert offsets(tmp_path / "a.index", (5, 70), *[(0, 0)] * 10_000) == [(0, 105, 70)]
    assert offsets(tmp_path / "a.index", *[(0, 0)] * 10) == []


def test_zeros_before_an_entry_are_one_entry(tmp_path: Path) -> None:
    found = offsets(tmp_path / "a.index", (0, 0), (0, 0), (5, 70))

    assert found == [(0, 100, 0), (2, 105, 70)]


def test_a_part_of_an_entry_is_left_out(tmp_path: Path) -> None:
    assert offsets(tmp_path / "a.index", (5, 70), behind=b"\1\2\3") == [(0, 105, 70)]


def test_timestamps_come_with_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.timeindex"
    path.write_bytes(struct.pack(">qi", 1_000, 3))

    assert list(iter_time_entries(path, 100)) == [(0, 1_000, 103)]


def test_aborted_transactions_come_with_their_version(tmp_path: Path) -> None:
    path = tmp_path / "a.txnindex"
    path.write_bytes(struct.pack(">hqqqq", 0, 7, 10, 20, 15))

    assert list(iter_aborted(path)) == [(0, 0, AbortedTransaction(7, 10, 20, 15))]
