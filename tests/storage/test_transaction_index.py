"""The transaction index: Kafka's bytes, and which aborted transactions a reader must know."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.transaction_index import AbortedTransaction, TransactionIndex
from tests.harness.logs import FaultyFiles


def an_index(path: Path, *entries: AbortedTransaction) -> TransactionIndex:
    index = TransactionIndex(FileLayer(), path / "a.txnindex")
    for entry in entries:
        index.append(entry)
    return index


def test_the_file_has_kafkas_bytes(tmp_path: Path) -> None:
    index = an_index(tmp_path, AbortedTransaction(7, 10, 20, 15))

    assert index.path.read_bytes().hex(" ", 8) == (
        # version; then 64 bits each: producer id, first, last and last stable offset
        "0000 0000000000000007 000000000000000a 0000000000000014 000000000000000f"
    )


def test_there_is_no_file_without_entries(tmp_path: Path) -> None:
    index = an_index(tmp_path)

    assert list(index.entries()) == []
    assert index.collect(0, 100) == ([], False)
    assert not index.path.exists()


def test_a_torn_entry_is_overwritten(tmp_path: Path) -> None:
    first, second = AbortedTransaction(1, 0, 1, 2), AbortedTransaction(2, 3, 4, 5)
    index = an_index(tmp_path, first)
    with index.path.open("ab") as file:
        file.write(b"torn")
    assert list(index.entries()) == [first]

    index.append(second)

    assert list(index.entries()) == [first, second]


def test_recovery_writes_what_is_wrong_durably_and_leaves_what_is_right(tmp_path: Path) -> None:
    files = FaultyFiles()
    index = TransactionIndex(files, tmp_path / "0.txnindex")
    entry = AbortedTransaction(1, 0, 1, 2)
    index.replace([])
    assert not index.path.exists()

    index.replace([entry])
    assert list(index.entries()) == [entry]
    assert files.calls["sync_path"] == 2, "the file, then its name"

    index.replace([entry])
    assert files.calls["sync_path"] == 2
    index.replace([])
    assert list(index.entries()) == []


@pytest.mark.parametrize(
    ("fetch_offset", "upper_bound", "expected", "is_complete"),
    [
        (0, 100, [1, 2], False),
        (0, 10, [1], True),  # the second began at 10
        (0, 11, [1, 2], True),
        (13, 100, [2], False),  # the first ended at 12
        (12, 100, [1, 2], False),
        (31, 100, [], False),
    ],
)
def test_transactions_that_overlap_a_range_are_found(
    tmp_path: Path, fetch_offset: int, upper_bound: int, expected: list[int], is_complete: bool
) -> None:
    index = an_index(tmp_path, AbortedTransaction(1, 5, 12, 10), AbortedTransaction(2, 10, 30, 31))

    found, complete = index.collect(fetch_offset, upper_bound)

    assert [entry.producer_id for entry in found] == expected
    assert complete is is_complete


def test_an_entry_without_room_is_known_and_written_later(tmp_path: Path) -> None:
    files = FaultyFiles()
    index = TransactionIndex(files, tmp_path / "0.txnindex")
    first, second = AbortedTransaction(7, 0, 4, 5), AbortedTransaction(8, 2, 6, 7)
    index.append(first)
    files.short_write_bytes = 20
    with pytest.raises(OSError, match="injected"):
        index.append(second)
    assert list(index.entries()) == [first, second]
    assert list(TransactionIndex(files, index.path).entries()) == [first]
    files.failures.clear()

    index.save()
    index.save()

    assert list(TransactionIndex(files, index.path).entries()) == [first, second]


@pytest.mark.parametrize(
    ("data", "is_damaged"),
    [
        (None, False),
        (b"", False),
        (struct.pack(">hqqqq", 0, 7, 10, 14, 15), False),
        (struct.pack(">hqqqq", 0, 7, 10, 14, 15)[:-1], True),
        (struct.pack(">hqqqq", 1, 7, 10, 14, 15), True),
        (struct.pack(">hqqqq", 0, 7, 10, 20, 15), True),
        (struct.pack(">hqqqq", 0, 7, 14, 14, 15), True),
        (struct.pack(">hqqqq", 0, 7, 10, 14, 15) * 2, True),
    ],
)
def test_what_cannot_be_the_index_of_a_segment_is_noticed(
    tmp_path: Path, data: bytes | None, is_damaged: bool
) -> None:
    index = TransactionIndex(FaultyFiles(), tmp_path / "0.txnindex")
    if data is not None:
        index.path.write_bytes(data)

    assert index.is_damaged(10, 20) is is_damaged


def test_a_pinned_index_does_not_look_at_the_file_any_more(tmp_path: Path) -> None:
    first, second = AbortedTransaction(1, 0, 1, 2), AbortedTransaction(2, 3, 4, 5)
    index = TransactionIndex(FileLayer(), an_index(tmp_path, first, second).path)

    index.pin()
    index.release()
    index.path.unlink()

    assert list(index.entries()) == [first, second]
    assert index.collect(2, 10) == ([second], False)
    assert index.last_offset == 4


def test_a_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    index = an_index(tmp_path, AbortedTransaction(1, 0, 1, 2))
    assert index.last_offset == 1
    index.path.write_bytes(b"")

    with pytest.raises(OSError, match="shorter"):
        list(index.entries())


def test_what_is_not_written_yet_is_found_behind_what_is(tmp_path: Path) -> None:
    files = FaultyFiles()
    index = TransactionIndex(files, tmp_path / "0.txnindex")
    entries = [AbortedTransaction(7, 2 * n, 2 * n + 1, 2 * n + 2) for n in range(200)]
    for entry in entries[:-1]:
        index.append(entry)
    files.short_write_bytes = 20
    with pytest.raises(OSError, match="injected"):
        index.append(entries[-1])

    for offset in (0, 1, 2, 127, 128, 129, 130, 300, 398, 399, 400):
        expected = [entry for entry in entries if entry.last_offset >= offset]
        assert index.collect(offset, 1000) == (expected, False)
        bounded = [entry for entry in expected if entry.first_offset < 300]
        assert index.collect(offset, 300) == (bounded, bool(expected))


@pytest.mark.parametrize("seed", range(5))
def test_readers_anywhere_find_the_same_as_a_look_at_all_entries(tmp_path: Path, seed: int) -> None:
    """The index remembers the block that was read last, while it grows."""
    chance = Random(seed)
    index = an_index(tmp_path)
    all_entries: list[AbortedTransaction] = []
    marker = stable = 0
    while len(all_entries) < 400:
        for _ in range(chance.choice((1, 64, 65))):
            stable = chance.randint(stable, marker)
            first = chance.randint(stable, marker)
            marker += chance.randrange(1, 20)
            all_entries.append(AbortedTransaction(len(all_entries), first, marker, stable))
            index.append(all_entries[-1])
        start = chance.randrange(marker)
        for _ in range(chance.choice((1, 30))):
            up_to = start + chance.randrange(1, 100)
            found, is_complete = index.collect(start, up_to)
            wanted = [each for each in all_entries if each.last_offset >= start]
            ends = [at for at, each in enumerate(wanted) if each.last_stable_offset >= up_to]
            assert is_complete == bool(ends)
            wanted = wanted[: ends[0] + 1] if ends else wanted
            assert found == [each for each in wanted if each.first_offset < up_to]
            start = up_to
        if chance.random() < 0.1:
            index.release()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 128, 129, 130, 200])
def test_each_entry_is_found_by_its_marker(tmp_path: Path, count: int) -> None:
    all_entries = [AbortedTransaction(n, 3 * n, 3 * n + 2, 3 * n) for n in range(count)]
    index = an_index(tmp_path, *all_entries)

    for entry in all_entries:
        for offset in (entry.first_offset, entry.last_offset):
            index.release()  # without the block read last
            assert index.collect(offset, offset + 1)[0] == [entry]
