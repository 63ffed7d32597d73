from __future__ import annotations

import pytest

from pykbroker.protocol.uniform_records import MIN_RUN_RECORDS, UniformRun, find_uniform_run
from tests.harness.batches import record_bytes

COUNT = 40


def payload_of(
    count: int = COUNT, *, start: int = 0, step_ms: int = 1, key: bytes | None = b"key"
) -> bytes:
    """Records of one shape, as long as the deltas take equally many bytes."""
    return b"".join(
        record_bytes(index, index * step_ms, key) for index in range(start, start + count)
    )


def test_records_of_one_shape_are_one_run() -> None:
    payload = payload_of()

    assert find_uniform_run(payload, 0, 0, COUNT) == UniformRun(
        record_count=COUNT,
        record_bytes=len(payload) // COUNT,
        end=len(payload),
        key_start=payload.index(b"key"),
        key_bytes=len(b"key"),
        has_null_value=False,
        min_timestamp_delta=0,
        max_timestamp_delta=COUNT - 1,
        max_timestamp_index=COUNT - 1,
    )


def test_a_run_starts_anywhere_in_the_payload() -> None:
    before = record_bytes(0, value=b"of another size")
    payload = before + payload_of(start=1)

    run = find_uniform_run(payload, len(before), 1, COUNT + 1)

    assert run is not None
    assert run.record_count == COUNT
    assert run.end == len(payload)


def test_a_run_ends_where_the_offset_takes_a_second_byte_and_goes_on_there() -> None:
    payload = payload_of(500, step_ms=0)

    first = find_uniform_run(payload, 0, 0, 500)
    assert first is not None
    assert first.record_count == 64
    second = find_uniform_run(payload, first.end, 64, 500)
    assert second is not None
    assert second.record_count == 436
    assert second.end == len(payload)


@pytest.mark.parametrize("boundary", [8192, 16384, 17 * 8192, 127 * 8192])
def test_a_run_ends_every_8192_records_and_goes_on_there(boundary: int) -> None:
    start, count = boundary - 22, boundary + 100
    payload = payload_of(122, start=start, step_ms=0)
    one = len(record_bytes(boundary, 0, b"key"))

    first = find_uniform_run(payload, 0, start, count)
    assert first is not None
    assert first.record_count == 22
    second = find_uniform_run(payload, first.end, boundary, count)
    assert second is not None
    assert second.record_count == 100
    assert second.record_bytes == one
    assert second.end == len(payload)


@pytest.mark.parametrize("other", [8192, 8300 - 1, 8300 + 64, 8300 + 8192])
def test_three_bytes_of_another_offset_are_no_run(other: int) -> None:
    payload = payload_of(8, start=8292, step_ms=0) + record_bytes(other, 0, b"key")
    payload += payload_of(40, start=8301, step_ms=0)
    run = find_uniform_run(payload, 0, 8292, 8341)
    assert run is None or run.record_count <= 8


def test_offsets_of_four_bytes_are_left_to_the_walk() -> None:
    payload = payload_of(40, start=1 << 20, step_ms=0)
    assert find_uniform_run(payload, 0, 1 << 20, (1 << 20) + 40) is None


@pytest.mark.parametrize(
    "different",
    [
        record_bytes(30, 30, b"key", b"other"[:4]),
        record_bytes(30, 30, b"ke", b"values"),
        record_bytes(30, 30, None, b"12345678"),
        record_bytes(30, 30, b"key", b"", [(b"h", b"v")]),
        record_bytes(30, 100, b"key", b"1234"),
    ],
)
def test_a_run_ends_before_a_record_of_another_shape(different: bytes) -> None:
    payload = payload_of(30) + different + payload_of(9, start=31)

    run = find_uniform_run(payload, 0, 0, COUNT)

    assert run is not None
    assert run.record_count == 30


@pytest.mark.parametrize(
    "different",
    [
        record_bytes(29, 30),
        record_bytes(30, -30),
        record_bytes(-30, 30),
        record_bytes(30, 100, b"key", b"1234"[:4]),
    ],
)
def test_an_odd_record_is_never_part_of_a_run(different: bytes) -> None:
    payload = payload_of(30) + different + payload_of(9, start=31)

    run = find_uniform_run(payload, 0, 0, COUNT)

    assert run is None or run.record_count <= 30


@pytest.mark.parametrize("step_ms", [0, 100, 200])
def test_timestamps_of_two_bytes_are_read(step_ms: int) -> None:
    times = [100 + index * step_ms for index in range(COUNT)]
    times[-1], times[20] = times[20], times[-1]
    times[21] = 64
    payload = b"".join(record_bytes(index, time) for index, time in enumerate(times))

    run = find_uniform_run(payload, 0, 0, COUNT)

    assert run is not None
    assert run.record_count == COUNT
    assert run.min_timestamp_delta == 64
    assert run.max_timestamp_delta == max(times)
    assert run.max_timestamp_index == times.index(max(times))


def test_mixed_timestamp_sizes_that_the_offset_makes_up_for_are_no_run() -> None:
    """The record is as long as its neighbours, but its fields are elsewhere."""
    records = [record_bytes(index, 100) for index in range(COUNT)]
    odd = bytearray(records[20])
    odd[2:5] = b"\x00\xa8\x00"  # timestamp delta 0 in one byte, offset delta 20 in two
    records[20] = bytes(odd)

    assert find_uniform_run(b"".join(records), 0, 0, COUNT) is None


def test_a_timestamp_byte_that_is_continued_only_once_is_no_run() -> None:
    records = [record_bytes(index, 0) for index in range(COUNT)]
    odd = bytearray(records[20])
    odd[2:4] = b"\x80\x00"  # timestamp delta 0 in two bytes, no offset delta
    records[20] = bytes(odd)

    assert find_uniform_run(b"".join(records), 0, 0, COUNT) is None


@pytest.mark.parametrize("fields", [b"\x00\x80\x80\x28", b"\x00\x80\x00\xa8"])
def test_a_second_timestamp_byte_that_does_not_end_the_varint_is_no_run(fields: bytes) -> None:
    records = [record_bytes(index, 100) for index in range(COUNT)]
    odd = bytearray(records[20])
    odd[1:5] = fields  # attributes, timestamp delta in three bytes or in one, rest of the offset
    records[20] = bytes(odd)

    assert find_uniform_run(b"".join(records), 0, 0, COUNT) is None


def test_a_high_offset_byte_that_is_wrong_is_no_run() -> None:
    records = [record_bytes(index, 0) for index in range(100, 140)]
    records[20] = record_bytes(120 + 128, 0)
    assert len(records[20]) == len(records[19])

    assert find_uniform_run(b"".join(records), 0, 100, 140) is None


def test_null_keys_and_null_values_make_runs() -> None:
    payload = b"".join(record_bytes(index, 0, None, None) for index in range(COUNT))

    run = find_uniform_run(payload, 0, 0, COUNT)

    assert run is not None
    assert run.key_bytes is None
    assert run.record_count == COUNT


def test_large_records_make_runs() -> None:
    payload = b"".join(record_bytes(index, 0, b"k", bytes(9000)) for index in range(COUNT))

    run = find_uniform_run(payload, 0, 0, COUNT)

    assert run is not None
    assert run.record_count == COUNT


@pytest.mark.parametrize(
    "first",
    [
        record_bytes(0, headers=[(b"h", b"v")]),
        record_bytes(0, length=3),
        record_bytes(0, length=-12),
        record_bytes(0, timestamp_delta=10_000),
        record_bytes(0, value=bytes(3_000_000)),
        b"\xff\xff\xff\xff\x0f",
        b"",
    ],
)
def test_a_first_record_of_no_simple_shape_starts_no_run(first: bytes) -> None:
    payload = first * COUNT if len(first) < 1000 else first

    assert find_uniform_run(payload, 0, 0, COUNT) is None


def test_short_runs_are_left_to_the_walk() -> None:
    few = MIN_RUN_RECORDS - 1

    assert find_uniform_run(payload_of(few), 0, 0, few) is None
    assert find_uniform_run(payload_of(few), 0, 0, COUNT) is None
    assert find_uniform_run(payload_of(MIN_RUN_RECORDS), 0, 0, COUNT) is not None


def test_a_cut_off_last_record_is_not_part_of_the_run() -> None:
    run = find_uniform_run(payload_of()[:-1], 0, 0, COUNT)

    assert run is not None
    assert run.record_count == COUNT - 1
