from pathlib import Path

import pytest

from pykbroker.storage import lenient_scan
from pykbroker.storage.lenient_scan import BadBytes, FoundBatch, open_for_reading, scan_all
from tests.harness.batches import a_batch


def a_file(path: Path, *parts: bytes | bytearray) -> Path:
    target = path / "0.log"
    target.write_bytes(b"".join(parts))
    return target


def batches(count: int) -> list[bytes]:
    return [bytes(a_batch(2 * n, records=2).data) for n in range(count)]


def scanned(path: Path, size_bytes: int | None = None) -> list[FoundBatch | BadBytes]:
    handle = open_for_reading(path)
    return list(scan_all(handle, path.stat().st_size if size_bytes is None else size_bytes))


def offsets(found: list[FoundBatch | BadBytes]) -> list[int]:
    return [each.batch.base_offset for each in found if isinstance(each, FoundBatch)]


def bad(found: list[FoundBatch | BadBytes]) -> BadBytes:
    (only,) = (each for each in found if isinstance(each, BadBytes))
    return only


def test_a_sound_file_is_all_batches(tmp_path: Path) -> None:
    path = a_file(tmp_path, *batches(20_000))

    assert offsets(scanned(path)) == list(range(0, 40_000, 2))


def test_a_batch_with_a_flipped_bit_is_stepped_over(tmp_path: Path) -> None:
    first, second, third = batches(3)
    damaged = bytearray(second)
    damaged[-1] ^= 1

    found = scanned(a_file(tmp_path, first, damaged, third))

    assert offsets(found) == [0, 4]
    assert bad(found) == BadBytes(len(first), 2 * len(first), "CRC mismatch", False)


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (1 << 30, "a batch of 1073741836 bytes is cut off: the file ends after"),
        (-5, "impossible batch length -5"),
        (20, "impossible batch length 20"),
        (60, "CRC mismatch"),
    ],
)
def test_behind_a_wrong_length_the_next_batch_is_searched(
    tmp_path: Path, length: int, reason: str
) -> None:
    first, second, third = batches(3)
    damaged = bytearray(second)
    damaged[8:12] = length.to_bytes(4, "big", signed=True)

    found = scanned(a_file(tmp_path, first, damaged, third))

    assert offsets(found) == [0, 4]
    assert (bad(found).position, bad(found).end) == (len(first), len(first) + len(second))
    assert bad(found).reason.startswith(reason)


def test_a_batch_behind_a_megabyte_of_garbage_is_found(tmp_path: Path) -> None:
    first, second = batches(2)
    garbage = b"\x02\x01\x00" * 400_000

    found = scanned(a_file(tmp_path, first, garbage, second))

    assert offsets(found) == [0, 2]


@pytest.mark.parametrize("magic", [0, 1, 3])
def test_other_formats_are_named(tmp_path: Path, magic: int) -> None:
    (data,) = batches(1)
    damaged = bytearray(data)
    damaged[16] = magic

    assert bad(scanned(a_file(tmp_path, damaged))).reason.startswith(f"magic {magic}")


def test_zeros_are_called_so(tmp_path: Path) -> None:
    (data,) = batches(1)

    found = bad(scanned(a_file(tmp_path, data, bytes(3 << 20))))

    assert found == BadBytes(len(data), len(data) + (3 << 20), "zeros instead of a batch", True)


def test_a_cut_at_every_byte_leaves_the_batches_before_it(tmp_path: Path) -> None:
    first, second = batches(2)
    for cut in range(1, len(second)):
        found = scanned(a_file(tmp_path, first, second[:cut]))

        assert offsets(found) == [0]
        assert (bad(found).position, bad(found).end) == (len(first), len(first) + cut)


def test_a_large_batch_is_checked_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lenient_scan, "_LARGE_BATCH_BYTES", 64)
    first, second = batches(2)
    damaged = bytearray(second)
    damaged[-1] ^= 1

    assert offsets(scanned(a_file(tmp_path, first, damaged))) == [0]


def test_a_file_that_becomes_shorter_meanwhile_ends_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = batches(2)
    path = a_file(tmp_path, first, second)
    known = path.stat().st_size
    path.write_bytes(first + second[:70])

    found = scanned(path, known)
    assert (offsets(found), bad(found).end) == ([0], known)

    monkeypatch.setattr(lenient_scan, "_LARGE_BATCH_BYTES", 64)
    assert offsets(scanned(path, known)) == [0]
