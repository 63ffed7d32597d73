"""What the walk finds, and that the compiled copy finds the same in any bytes."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol import record_walk
from pykbroker.protocol.record_walk import Walked, decoded, read_unsigned, skip_headers, walk
from tests.harness.batches import record_bytes, varint
from tests.harness.walks import VERSIONS, walk_of

Data = bytes | bytearray | memoryview

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


def result(
    version: str, data: Data, count: int, position: int = 0, index: int = 0
) -> Walked | type[Exception]:
    try:
        return walk_of(version)(data, position, index, index + count)
    except (IndexError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_facts_are_those_of_the_records_asked_for(version: str) -> None:
    skipped = record_bytes(0, 900)
    payload = skipped + record_bytes(1, 5) + record_bytes(2, -7) + record_bytes(3, 5, None) + b"?"

    walked = walk_of(version)(payload, len(skipped), 1, 4)

    assert walked == (len(payload) - 1, True, True, -7, 5, 1)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("delta", [0, -1, 1, INT64_MIN, INT64_MAX, INT64_MIN + 1, 2**31, -(2**40)])
def test_a_single_timestamp_is_smallest_and_largest(version: str, delta: int) -> None:
    payload = record_bytes(9, delta)

    assert walk_of(version)(payload, 0, 9, 10) == (len(payload), False, True, delta, delta, 9)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_records_are_walked_over_in_no_data(version: str) -> None:
    assert walk_of(version)(b"", 0, 0, 0) == (0, False, True, 0, 0, 0)
    assert result(version, b"", 1) is IndexError


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_buffer_is_walked_over_and_let_go(version: str, wrap: Callable[[bytes], Data]) -> None:
    data = wrap(record_bytes(0) + record_bytes(1))

    assert walk_of(version)(data, 0, 0, 2)[0] == len(data)
    assert result(version, data, 3) is IndexError
    if isinstance(data, bytearray):
        data.append(0)  # BufferError while anybody holds a view of it


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "length", [2**31 - 1, 2**30, -(2**31), -1, 5, 6, 8, 20], ids=lambda length: f"length {length}"
)
def test_no_length_leads_out_of_the_data(version: str, length: int) -> None:
    """Memory behind the data must not be looked at, whatever a length says."""
    fields = [varint(20), b"\0", varint(0), varint(0), varint(3), varint(3), varint(0)]
    for field in (0, 4, 5, 6):
        data = b"".join(fields[:field]) + varint(length) + b"".join(fields[field + 1 :])

        assert result(version, data, 1) in (IndexError, ValueError)
        assert result(version, data * 3, 3) in (IndexError, ValueError)


@pytest.mark.parametrize("version", VERSIONS)
def test_many_huge_header_sizes_do_not_overflow_a_position(version: str) -> None:
    huge = b"\xfe\xff\xff\xff\x0f"  # 2^31 - 1
    body = b"\0\0\0\1\1" + huge + huge * 40

    assert result(version, varint(len(body)) + body, 1) is IndexError


@pytest.mark.parametrize("position", [30, 2**62, 2**63 - 1])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_position_behind_the_data_is_refused(version: str, position: int) -> None:
    assert result(version, record_bytes(0) * 2, 1, position) is IndexError


@pytest.mark.parametrize("position", [-1, -7, -(2**63)])
def test_the_compiled_copy_does_not_count_positions_from_the_end(position: int) -> None:
    assert result("compiled", record_bytes(0) * 2, 1, position) is IndexError


def test_the_compiled_copy_has_c_types() -> None:
    """Without its .pxd it would work too, some thirty times as slow."""
    compiled = sys.modules[walk_of("compiled").__module__]

    assert hasattr(record_walk, "skip_headers")
    assert not hasattr(compiled, "skip_headers")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 20), st.integers(0, 12), st.integers(0, 2**40))
def test_both_find_the_same_in_random_bytes(
    data: bytes, position: int, count: int, index: int
) -> None:
    expected = result("python", data, count, position, index)

    assert result("compiled", data, count, position, index) == expected


# Bytes that end, continue or overflow varints, and sizes that matter.
BYTES = st.sampled_from([0, 1, 2, 6, 14, 15, 126, 127, 128, 129, 254, 255])


@settings(max_examples=300, deadline=None)
@given(st.lists(BYTES, max_size=60).map(bytes), st.integers(1, 8))
def test_both_find_the_same_in_bytes_that_matter(data: bytes, count: int) -> None:
    assert result("compiled", data, count) == result("python", data, count)


@pytest.mark.parametrize("seed", range(60))
def test_both_find_the_same_in_damaged_records(seed: int) -> None:
    rng = random.Random(seed)
    sizes = (0, 1, 63, 64, 200, 8191, 8192, 20_000)
    deltas = (0, 1, -1, 63, 64, 8191, 8192, 2**35, -(2**35), INT64_MIN, INT64_MAX)
    count = rng.choice([1, 3, 20, 70])
    payload = b"".join(
        record_bytes(
            rng.choice([index, index, index, 5, -1, 2**31 - 1]),
            rng.choice(deltas),
            rng.choice([None, b"key", bytes(rng.choice(sizes[:5]))]),
            rng.choice([None, bytes(rng.choice(sizes))]),
            [(bytes(rng.choice(sizes[:5])), None)] * rng.choice([0, 0, 0, 1, 70]),
        )
        for index in range(count)
    )
    assert isinstance(result("python", payload, count), tuple)
    assert result("compiled", payload, count) == result("python", payload, count)
    for _ in range(80):
        damaged = bytearray(payload)
        for _ in range(rng.choice([1, 2, 3])):
            # Mostly near the front, where a walk surely comes.
            place = min(rng.randrange(len(damaged)), rng.randrange(len(damaged)))
            damaged[place] = rng.choice([0, 1, 2, 127, 128, 254, 255, rng.randrange(256)])
        cut = memoryview(damaged)[: rng.choice([len(damaged), rng.randrange(len(damaged))])]

        assert result("compiled", cut, count) == result("python", cut, count)


@pytest.mark.parametrize(
    ("code", "number"), [(0, 0), (1, -1), (2, 1), (2**64 - 1, INT64_MIN), (2**64 - 2, INT64_MAX)]
)
def test_a_zig_zag_code_is_decoded(code: int, number: int) -> None:
    assert decoded(code) == number


def test_a_varint_is_read_up_to_its_last_byte() -> None:
    assert read_unsigned(b"?\xac\x02?", 1) == (300, 3)
    assert read_unsigned(b"\xff\xff\xff\xff\x7f", 0) == (2**32 - 1, 5)
    assert read_unsigned(b"\xff" * 9 + b"\x7f", 0, 64) == (2**64 - 1, 10)
    with pytest.raises(ValueError, match="longer than 5 bytes"):
        read_unsigned(b"\x80\x80\x80\x80\x80\x00", 0)
    with pytest.raises(IndexError):
        read_unsigned(b"\x80", 0)


def test_headers_are_skipped() -> None:
    headers = varint(2) + varint(1) + b"k" + varint(-1) + varint(100) + bytes(100) + varint(0)

    assert skip_headers(headers, 0) == len(headers)
    with pytest.raises(ValueError, match="negative header count"):
        skip_headers(varint(-2), 0)
    with pytest.raises(ValueError, match="key of negative length"):
        skip_headers(varint(1) + varint(-1), 0)
    with pytest.raises(IndexError):
        walk(record_bytes(0, header_count=3), 0, 0, 1)
