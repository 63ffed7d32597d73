"""The primitive types at their limits; `test_messages*.py` test them inside of messages."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol import primitives as p
from pykbroker.protocol.errors import ProtocolError

Reader = Callable[[memoryview, int], tuple[Any, int]]
Writer = Callable[[bytearray, Any], None]


def written(write: Writer, value: object) -> bytes:
    out = bytearray()
    write(out, value)
    return bytes(out)


UVARINTS = [
    (0, "00"),
    (1, "01"),
    (0x7F, "7f"),
    (0x80, "8001"),
    (300, "ac02"),
    (0x3FFF, "ff7f"),
    (0x4000, "808001"),
    (0x7FFFFFFF, "ffffffff07"),
    (0xFFFFFFFF, "ffffffff0f"),
]


@pytest.mark.parametrize(("value", "line"), UVARINTS)
def test_a_uvarint_on_the_wire(value: int, line: str) -> None:
    data = bytes.fromhex(line)
    assert written(p.write_uvarint, value) == data
    assert p.read_uvarint(memoryview(b"x" + data + b"y"), 1) == (value, 1 + len(data))


@pytest.mark.parametrize("line", ["ffffffff10", "ffffffff7f", "808080808000", "ffffffffff01"])
def test_a_uvarint_of_more_than_32_bits_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError, match="32 bits"):
        p.read_uvarint(memoryview(bytes.fromhex(line)), 0)


def test_a_uvarint_may_use_more_bytes_than_it_needs() -> None:
    assert p.read_uvarint(memoryview(b"\x81\x80\x00"), 0) == (1, 3)


def test_a_cut_uvarint_shows_as_an_error_that_decode_catches() -> None:
    for cut in (b"", b"\x80", b"\xff\xff\xff\xff"):
        with pytest.raises(p.DECODE_ERRORS):
            p.read_uvarint(memoryview(cut), 0)


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_number_that_is_no_uvarint_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="unsigned 32-bit"):
        p.write_uvarint(bytearray(), value)


STRINGS: list[tuple[Writer, Reader, object, str]] = [
    (p.write_string, p.read_string, "", "0000"),
    (p.write_string, p.read_string, "aß", "0003 61c39f"),
    (p.write_nullable_string, p.read_nullable_string, None, "ffff"),
    (p.write_nullable_string, p.read_nullable_string, "a", "0001 61"),
    (p.write_compact_string, p.read_compact_string, "", "01"),
    (p.write_compact_string, p.read_compact_string, "aß", "04 61c39f"),
    (p.write_compact_string, p.read_compact_string, "x" * 126, "7f" + "78" * 126),
    (p.write_compact_string, p.read_compact_string, "x" * 127, "8001" + "78" * 127),
    (p.write_compact_nullable_string, p.read_compact_nullable_string, None, "00"),
    (
        p.write_compact_nullable_string,
        p.read_compact_nullable_string,
        "x" * 200,
        "c901" + "78" * 200,
    ),
]
BYTES: list[tuple[Writer, Reader, object, str]] = [
    (p.write_bytes, p.read_bytes, b"", "00000000"),
    (p.write_bytes, p.read_bytes, b"\xff", "00000001 ff"),
    (p.write_nullable_bytes, p.read_nullable_bytes, None, "ffffffff"),
    (p.write_nullable_bytes, p.read_nullable_bytes, b"a", "00000001 61"),
    (p.write_compact_bytes, p.read_compact_bytes, b"", "01"),
    (p.write_compact_bytes, p.read_compact_bytes, b"a" * 128, "8101" + "61" * 128),
    (p.write_compact_nullable_bytes, p.read_compact_nullable_bytes, None, "00"),
    (p.write_compact_nullable_bytes, p.read_compact_nullable_bytes, b"a", "02 61"),
]


@pytest.mark.parametrize(("write", "read", "value", "line"), STRINGS + BYTES)
def test_strings_and_bytes_on_the_wire(
    write: Writer, read: Reader, value: object, line: str
) -> None:
    data = bytes.fromhex(line)
    assert written(write, value) == data
    assert read(memoryview(b"xx" + data + b"y"), 2) == (value, 2 + len(data))


@pytest.mark.parametrize(
    ("write", "value"),
    [
        (p.write_string, None),
        (p.write_compact_string, None),
        (p.write_bytes, None),
        (p.write_compact_bytes, None),
        (p.write_count, None),
        (p.write_compact_count, None),
        (p.write_string, "x" * 32768),
        (p.write_compact_string, "x" * 32768),
        (p.write_string, "\ud800"),
    ],
)
def test_what_cannot_be_said_is_not_written(write: Writer, value: object) -> None:
    with pytest.raises(ValueError, match=r"null|32768 bytes|surrogates"):
        write(bytearray(), value)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (p.read_string, "ffff"),
        (p.read_string, "0002 61"),
        (p.read_nullable_string, "0002 61"),
        (p.read_compact_string, "00"),
        (p.read_compact_string, "03 61"),
        (p.read_compact_string, "818002" + "61" * 32768),
        (p.read_compact_nullable_string, "03 61"),
        (p.read_compact_nullable_string, "818002" + "61" * 32768),
        (p.read_bytes, "ffffffff"),
        (p.read_bytes, "7fffffff 61"),
        (p.read_nullable_bytes, "00000002 61"),
        (p.read_compact_bytes, "00"),
        (p.read_compact_bytes, "03 61"),
        (p.read_compact_nullable_bytes, "ffffffff0f 61"),
    ],
)
def test_strings_and_bytes_that_are_not_there_are_refused(read: Reader, line: str) -> None:
    with pytest.raises(ProtocolError):
        read(memoryview(bytes.fromhex(line)), 0)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (p.read_string, "0003 61ff62"),
        (p.read_nullable_string, "0003 61ff62"),
        (p.read_compact_string, "04 61ff62"),
        (p.read_compact_nullable_string, "04 61ff62"),
    ],
)
def test_what_is_no_utf8_is_read_with_substitutes(read: Reader, line: str) -> None:
    data = bytes.fromhex(line)
    assert read(memoryview(data), 0) == ("a\ufffdb", len(data))


def test_any_negative_length_means_null_where_null_is_allowed() -> None:
    """As in Kafka, which only asks whether the length is below zero."""
    assert p.read_nullable_string(memoryview(b"\x80\x00"), 0) == (None, 2)
    assert p.read_nullable_bytes(memoryview(b"\x80\x00\x00\x00"), 0) == (None, 4)
    assert p.read_nullable_count(memoryview(b"\x80\x00\x00\x00"), 0, 1) == (-1, 4)


class TestCounts:
    def test_counts_on_the_wire(self) -> None:
        items = [0] * 3
        assert written(p.write_count, items) == b"\0\0\0\x03"
        assert written(p.write_nullable_count, items) == b"\0\0\0\x03"
        assert written(p.write_nullable_count, None) == b"\xff" * 4
        assert written(p.write_compact_count, items) == b"\x04"
        assert written(p.write_compact_count, [0] * 127) == b"\x80\x01"
        assert written(p.write_compact_nullable_count, items) == b"\x04"
        assert written(p.write_compact_nullable_count, None) == b"\x00"

    @pytest.mark.parametrize(
        ("read", "prefix"),
        [
            (p.read_count, b"\0\0\0\x03"),
            (p.read_nullable_count, b"\0\0\0\x03"),
            (p.read_compact_count, b"\x04"),
            (p.read_compact_nullable_count, b"\x04"),
            (p.read_compact_count, b"\x84\x00"),
        ],
    )
    def test_a_count_needs_the_bytes_of_its_elements(
        self, read: Callable[[memoryview, int, int], tuple[int, int]], prefix: bytes
    ) -> None:
        enough = memoryview(prefix + bytes(6))
        assert read(enough, 0, 2) == (3, len(prefix))
        with pytest.raises(ProtocolError, match="array of 3 with 6 bytes left"):
            read(enough, 0, 3)

    def test_a_count_has_a_limit_whatever_fits(self) -> None:
        for write, read in (
            (p.write_count, p.read_count),
            (p.write_compact_count, p.read_compact_count),
            (p.write_nullable_count, p.read_nullable_count),
            (p.write_compact_nullable_count, p.read_compact_nullable_count),
        ):
            for count in (p.MAX_ARRAY_ELEMENTS, p.MAX_ARRAY_ELEMENTS + 1):
                out = bytearray()
                write(out, range(count))
                data = memoryview(out + bytes(count))
                if count <= p.MAX_ARRAY_ELEMENTS:
                    assert read(data, 0, 1) == (count, len(out))
                else:
                    with pytest.raises(ProtocolError, match="array of 131073"):
                        read(data, 0, 1)

    def test_null_counts(self) -> None:
        assert p.read_nullable_count(memoryview(b"\xff" * 4), 0, 1) == (-1, 4)
        assert p.read_compact_nullable_count(memoryview(b"\x00"), 0, 1) == (-1, 1)
        for read, data in ((p.read_count, b"\xff" * 4), (p.read_compact_count, b"\x00")):
            with pytest.raises(ProtocolError, match="null array"):
                read(memoryview(data), 0, 1)


ARRAYS = [
    (p.write_int8_array, p.read_int8_array, [-128, 127], "80 7f"),
    (p.write_int16_array, p.read_int16_array, [-1, 1], "ffff 0001"),
    (p.write_int32_array, p.read_int32_array, [-1, 1], "ffffffff 00000001"),
    (p.write_int32_array, p.read_int32_array, [7], "00000007"),
    (p.write_int64_array, p.read_int64_array, [-2], "fffffffffffffffe"),
    (p.write_uuid_array, p.read_uuid_array, [bytes(16), b"u" * 16], "00" * 16 + "75" * 16),
    (p.write_string_array, p.read_string_array, ["a", ""], "0001 61 0000"),
    (p.write_compact_string_array, p.read_compact_string_array, ["a", ""], "02 61 01"),
]


@pytest.mark.parametrize(("write", "read", "items", "line"), ARRAYS)
def test_arrays_of_primitives_on_the_wire(
    write: Writer, read: Callable[[memoryview, int, int], Any], items: list[Any], line: str
) -> None:
    data = bytes.fromhex(line)
    assert written(write, items) == data
    assert read(memoryview(b"x" + data), 1, len(items)) == (items, 1 + len(data))
    assert read(memoryview(b""), 0, 0) == ([], 0)
    with pytest.raises((ProtocolError, *p.DECODE_ERRORS)):
        read(memoryview(data[:-1]), 0, len(items))


def test_a_uuid_has_16_bytes() -> None:
    for buffer in (bytes(16), bytearray(16), memoryview(bytes(16))):
        assert p.checked_uuid(buffer) == bytes(16)
    with pytest.raises(ValueError, match="uuid of 15 bytes"):
        p.write_uuid_array(bytearray(), [bytes(15)])
    with pytest.raises(ProtocolError, match="uuid array of 1"):
        p.read_uuid_array(memoryview(bytes(15)), 0, 1)


class TestRecords:
    @pytest.mark.parametrize(
        ("write", "read"),
        [
            (p.write_records, p.read_records),
            (p.write_nullable_records, p.read_nullable_records),
            (p.write_compact_records, p.read_compact_records),
            (p.write_compact_nullable_records, p.read_compact_nullable_records),
        ],
    )
    def test_records_are_copied_when_small_and_kept_apart_when_large(
        self,
        write: Callable[[bytearray, p.LargeParts, bytes | None], None],
        read: Callable[[memoryview, int], tuple[memoryview | None, int]],
    ) -> None:
        for size in (0, p.INLINE_RECORDS_BYTES, p.INLINE_RECORDS_BYTES + 1):
            records = bytes(range(256)) * 5
            records = records[:size]
            out, large = bytearray(b"<"), p.LargeParts()
            write(out, large, records)
            out += b">"
            assert bool(large) == (size > p.INLINE_RECORDS_BYTES)
            frame = b"".join(p.interleave(out, large))
            value, end = read(memoryview(frame), 1)
            assert value is not None
            assert (value.tobytes(), end) == (records, len(frame) - 1)

    def test_null_records(self) -> None:
        out, large = bytearray(), p.LargeParts()
        p.write_nullable_records(out, large, None)
        p.write_compact_nullable_records(out, large, None)
        assert (bytes(out), large) == (b"\xff\xff\xff\xff\x00", [])
        for write in (p.write_records, p.write_compact_records):
            with pytest.raises(ValueError, match="null records"):
                write(out, large, None)

    def test_interleave_leaves_no_empty_parts(self) -> None:
        large: p.LargeParts = [(0, b"A"), (0, b"B"), (2, b"C")]
        assert [bytes(part) for part in p.interleave(bytearray(b"xy"), large)] == [
            b"A",
            b"B",
            b"xy",
            b"C",
        ]
        assert p.interleave(bytearray(b"xy"), []) == [b"xy"]


class TestTags:
    def test_tags_are_walked_in_order(self) -> None:
        data = memoryview(bytes.fromhex("00 01 aa 8001 00 ffff03 02 bbcc"))
        assert list(p.tagged_fields(data, 0, 3)) == [(0, 2, 3), (128, 6, 6), (65535, 10, 12)]

    def test_skipping_ends_behind_the_last_field(self) -> None:
        assert p.skip_tagged_fields(memoryview(b"x\x00y"), 1) == 2
        assert p.skip_tagged_fields(memoryview(b"x\x80\x00y"), 1) == 3
        assert p.skip_tagged_fields(memoryview(b"\x02\x00\x01a\x05\x00y"), 0) == 6

    @pytest.mark.parametrize("line", ["02 05 00 06 01", "01 00 02 aa"])
    def test_malformed_sections_are_refused(self, line: str) -> None:
        with pytest.raises(ProtocolError):
            p.skip_tagged_fields(memoryview(bytes.fromhex(line)), 0)

    def test_a_huge_count_of_tags_is_not_believed(self) -> None:
        with pytest.raises(p.DECODE_ERRORS):
            p.skip_tagged_fields(memoryview(b"\xff\xff\xff\xff\x0f"), 0)

    def test_a_field_is_written_with_its_size(self) -> None:
        out = bytearray()
        p.write_tagged_field(out, 200, bytearray(b"abc"))
        assert out == bytes.fromhex("c801 03 616263")

    def test_a_value_must_end_where_its_size_says(self) -> None:
        p.check_tag_end(1, 5, 5)
        for position in (4, 6):
            with pytest.raises(ProtocolError, match="tag 1"):
                p.check_tag_end(1, position, 5)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 0xFFFFFFFF))
def test_every_uvarint_survives_the_round_trip(value: int) -> None:
    data = written(p.write_uvarint, value)
    assert p.read_uvarint(memoryview(data), 0) == (value, len(data))


def test_the_errors_that_decode_catches_are_those_of_reading_past_the_end() -> None:
    assert set(p.DECODE_ERRORS) == {IndexError, struct.error}
