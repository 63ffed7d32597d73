import struct
from pathlib import Path

import pytest

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.verify.indexes import (
    OffsetIndexCheck,
    TimeIndexCheck,
    TransactionIndexCheck,
)
from tests.harness.batches import NOW_MS, a_batch


class Heard:
    """Keeps what a check says."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.places: list[tuple[int | None, int | None]] = []

    def __call__(
        self, path: Path, text: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        self.texts.append(text)
        self.places.append((position, offset))


def batches(count: int) -> list[RecordBatch]:
    """Batches of two records, each later than the one before."""
    found = []
    for n in range(count):
        batch = a_batch(2 * n, records=2)
        batch.ensure_max_timestamp(NOW_MS + n)
        found.append(batch)
    return found


def heard_of_offsets(tmp_path: Path, *entries: tuple[int, int]) -> tuple[Heard, Heard]:
    """What is said of an index beside three batches of 104 bytes: damage, warnings."""
    path = tmp_path / "0.index"
    path.write_bytes(b"".join(struct.pack(">ii", *entry) for entry in entries))
    complaints, warnings = Heard(), Heard()
    check = OffsetIndexCheck(path, 0, complaints, warnings)
    for n, batch in enumerate(batches(3)):
        check.on_batch(100 * n, batch)
    check.finish()
    return complaints, warnings


def test_an_entry_is_for_the_last_offset_of_the_batch_at_its_position(tmp_path: Path) -> None:
    complaints, warnings = heard_of_offsets(tmp_path, (3, 100), (5, 200))

    assert (complaints.texts, warnings.texts) == ([], [])


@pytest.mark.parametrize(
    ("entries", "text", "place"),
    [
        ([(2, 100)], "the batch at byte 100 does not end with offset 2, as entry 0 says", (0, 2)),
        ([(3, 101)], "no batch starts at byte 101, as entry 0 says", (0, 3)),
        ([(3, 100), (5, 300)], "entry 1 points to byte 300, behind the last batch", (8, 5)),
        ([(3, 100), (3, 200)], "entry 1 (offset 3, position 200) does not ascend", (8, 3)),
        ([(4, 100)], "the batch at byte 100 does not end with offset 4, as entry 0 says", (0, 4)),
        ([(9, 200)], "the batch at byte 200 does not end with offset 9, as entry 0 says", (0, 9)),
    ],
)
def test_any_other_entry_is_wrong(
    tmp_path: Path, entries: list[tuple[int, int]], text: str, place: tuple[int, int]
) -> None:
    complaints, _ = heard_of_offsets(tmp_path, *entries)

    assert (complaints.texts, complaints.places) == ([text], [place])


def test_an_entry_for_several_batches_is_one_of_an_old_kafka(tmp_path: Path) -> None:
    complaints, warnings = heard_of_offsets(tmp_path, (5, 100))

    assert complaints.texts == []
    assert warnings.places == [(0, 5)]


def test_further_wrong_entries_are_counted(tmp_path: Path) -> None:
    complaints, _ = heard_of_offsets(tmp_path, (1, 90), (3, 110), (5, 190), (7, 210))

    assert complaints.texts[1:] == ["3 more of its entries are wrong"]


def test_entries_of_bad_bytes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "0.index"
    path.write_bytes(struct.pack(">iiii", 3, 100, 5, 200))
    complaints = Heard()
    check = OffsetIndexCheck(path, 0, complaints, Heard())
    first, _, third = batches(3)
    check.on_batch(0, first)
    check.on_bad_bytes(200)
    check.on_batch(200, third)
    check.finish()

    assert complaints.texts == []


def heard_of_times(tmp_path: Path, *entries: tuple[int, int], is_closed: bool = False) -> Heard:
    path = tmp_path / "0.timeindex"
    path.write_bytes(b"".join(struct.pack(">qi", NOW_MS + time, at) for time, at in entries))
    heard = Heard()
    check = TimeIndexCheck(path, 0, heard)
    for batch in batches(3):
        check.on_batch(batch)
    check.on_batch(a_batch(6, records=2))  # not later than those before
    check.finish(is_closed=is_closed)
    return heard


def test_a_time_entry_is_the_largest_so_far_at_the_end_of_its_batch(tmp_path: Path) -> None:
    assert heard_of_times(tmp_path, (0, 1), (2, 5), is_closed=True).texts == []


def test_the_offset_of_the_record_itself_is_right_too(tmp_path: Path) -> None:
    assert heard_of_times(tmp_path, (0, 0)).texts == []


@pytest.mark.parametrize("entry", [(0, 3), (1, 1), (1, 2), (9, 5), (2, 7)])
def test_any_other_time_entry_is_wrong(tmp_path: Path, entry: tuple[int, int]) -> None:
    heard = heard_of_times(tmp_path, entry)

    assert heard.places == [(0, entry[1])]


def test_a_closed_segment_ends_with_its_largest_timestamp(tmp_path: Path) -> None:
    assert heard_of_times(tmp_path, (0, 1)).texts == []
    (text,) = heard_of_times(tmp_path, (0, 1), is_closed=True).texts
    assert text == f"it ends with timestamp {NOW_MS}, but the segment has {NOW_MS + 2}"


def heard_of_aborted(
    tmp_path: Path, *entries: tuple[int, ...], first_offset: int | None = 10, start_offset: int = 0
) -> Heard:
    """What is said beside the abort of producer 7 at offset 20, last stable offset 15."""
    path = tmp_path / "0.txnindex"
    path.write_bytes(b"".join(struct.pack(">hqqqq", *entry) for entry in entries))
    heard = Heard()
    check = TransactionIndexCheck(path, heard)
    check.on_abort(7, 20, first_offset, 15, start_offset=start_offset)
    check.finish()
    return heard


def test_an_entry_is_for_an_abort_marker(tmp_path: Path) -> None:
    assert heard_of_aborted(tmp_path, (0, 7, 10, 20, 15)).texts == []


def test_what_was_before_the_log_is_believed(tmp_path: Path) -> None:
    assert heard_of_aborted(tmp_path, (0, 7, 3, 20, 2), start_offset=5).texts == []
    assert heard_of_aborted(tmp_path, first_offset=None).texts == []


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ((1, 7, 10, 20, 15), "entry 0 has version 1"),
        ((0, 7, 21, 20, 15), "entry 0 (offsets 21 to 20) does not ascend"),
        ((0, 8, 10, 20, 15), "entry 0 is for producer 8, the marker for 7"),
        ((0, 7, 11, 20, 15), "entry 0 starts at offset 11, the transaction at 10"),
        ((0, 7, 9, 20, 15), "entry 0 starts at offset 9, the transaction at 10"),
        ((0, 7, 10, 20, 16), "entry 0 has the last stable offset 16, not 15"),
        ((0, 7, 10, 20, 14), "entry 0 has the last stable offset 14, not 15"),
        ((0, 7, 10, 19, 15), "no abort marker of producer 7 at offset 19, as entry 0 says"),
    ],
)
def test_any_other_aborted_transaction_is_wrong(
    tmp_path: Path, entry: tuple[int, ...], text: str
) -> None:
    assert heard_of_aborted(tmp_path, entry).texts[0] == text


def test_a_part_of_an_entry_is_found(tmp_path: Path) -> None:
    path = tmp_path / "0.index"
    path.write_bytes(bytes(11))
    heard = Heard()

    OffsetIndexCheck(path, 0, heard, Heard()).finish()

    assert heard.texts == ["11 bytes are not whole entries of 8"]
