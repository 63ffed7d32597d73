"""The primitive types of Kafka's protocol, and what the generated messages are built from.

Readers take a memoryview and a position and return the value and the position behind it. They
check every length against the bytes that remain before they allocate anything. A position
outside of the buffer shows as `IndexError` or `struct.error`; `decode` of each message turns
those into `ProtocolError` in one place (`DECODE_ERRORS`), so no reader pays for a check that
the interpreter makes anyway.

Writers append to a bytearray. They raise `ValueError` for a value that the version cannot say.

Formats (all numbers are big endian):
    string, bytes, records, array   length in front: int16 for a string, int32 for the others,
                                    negative = null. What is no UTF-8 in a string is read as
                                    U+FFFD, as in Kafka: some clients have names in Latin-1
    compact forms (KIP-482)         uvarint of length + 1, 0 = null
    uvarint                         7 bits a byte, low bits first, at most 5 bytes
    tagged fields                   uvarint count, then (uvarint tag, uvarint size, bytes);
                                    written in ascending order of tags, read in any, and the last
                                    of several with the same tag counts, as in Kafka
    nullable struct                 int8 in front, negative = null; in a tagged field a uvarint,
                                    0 = null
"""

import struct
from collections.abc import Iterator, Sequence, Sized
from typing import Final

from pykbroker.protocol.errors import ProtocolError

Buffer = bytes | bytearray | memoryview

NULL_UUID: Final = bytes(16)
"""The uuid that means "none"."""

MAX_STRING_BYTES: Final = 0x7FFF
"""Kafka's limit for any string, in the compact form, too."""

MAX_ARRAY_ELEMENTS: Final = 1 << 17
"""More in one array is refused: a frame of 100 MB could say 30 million, each an object of ours."""

INLINE_RECORDS_BYTES: Final = 1024
"""Up to this size records are copied between the small parts: cheaper than one more buffer."""

DECODE_ERRORS: Final = (IndexError, struct.error)
"""What reading a malformed message may raise besides `ProtocolError`."""

_MAX_UVARINT_BYTES: Final = 5

_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
_unpack_int16 = _INT16.unpack_from
_unpack_int32 = _INT32.unpack_from
_pack_int16 = _INT16.pack
_pack_int32 = _INT32.pack


def _too_long(what: str, length: int, remaining: int) -> ProtocolError:
    return ProtocolError(f"{what} of {length} with {remaining} bytes left")


def _null(what: str) -> ProtocolError:
    return ProtocolError(f"null {what} where none is allowed")


# --- varints -------------------------------------------------------------------------------


def read_uvarint(data: memoryview, position: int) -> tuple[int, int]:
    """Read an unsigned varint of at most 32 bits."""
    value = data[position]
    if value < 0x80:
        return value, position + 1
    value &= 0x7F
    shift = 7
    for each in range(position + 1, position + _MAX_UVARINT_BYTES):
        byte = data[each]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, each + 1
        shift += 7
    raise ProtocolError("varint of more than 32 bits")


def write_uvarint(out: bytearray, value: int) -> None:
    """Append an unsigned varint."""
    if value < 0 or value > 0xFFFFFFFF:
        raise ValueError(f"{value} is no unsigned 32-bit number")
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


# --- strings -------------------------------------------------------------------------------


def read_string(data: memoryview, position: int) -> tuple[str, int]:
    """Read an int16 length and as many bytes of UTF-8."""
    (length,) = _unpack_int16(data, position)
    if length < 0:
        raise _null("string")
    position += 2
    end = position + length
    if end > len(data):
        raise _too_long("string", length, len(data) - position)
    return str(data[position:end], "utf-8", "replace"), end


def read_nullable_string(data: memoryview, position: int) -> tuple[str | None, int]:
    """Read a string whose negative length means null."""
    (length,) = _unpack_int16(data, position)
    position += 2
    if length < 0:
        return None, position
    end = position + length
    if end > len(data):
        raise _too_long("string", length, len(data) - position)
    return str(data[position:end], "utf-8", "replace"), end


def read_compact_string(data: memoryview, position: int) -> tuple[str, int]:
    """Read a uvarint of length + 1 and as many bytes of UTF-8."""
    length = data[position]
    if length < 0x80:
        position += 1
    else:
        length, position = read_uvarint(data, position)
    if length == 0:
        raise _null("string")
    end = position + length - 1
    if end > len(data) or length > MAX_STRING_BYTES + 1:
        raise _too_long("string", length - 1, len(data) - position)
    return str(data[position:end], "utf-8", "replace"), end


def read_compact_nullable_string(data: memoryview, position: int) -> tuple[str | None, int]:
    """Read a compact string; 0 means null."""
    length = data[position]
    if length < 0x80:
        position += 1
    else:
        length, position = read_uvarint(data, position)
    if length == 0:
        return None, position
    end = position + length - 1
    if end > len(data) or length > MAX_STRING_BYTES + 1:
        raise _too_long("string", length - 1, len(data) - position)
    return str(data[position:end], "utf-8", "replace"), end


def write_string(out: bytearray, value: str | None) -> None:
    """Append a string in the classic form."""
    if value is None:
        raise ValueError("null string where none is allowed")
    encoded = value.encode()
    if len(encoded) > MAX_STRING_BYTES:
        raise ValueError(f"string of {len(encoded)} bytes")
    out += _pack_int16(len(encoded))
    out += encoded


def write_nullable_string(out: bytearray, value: str | None) -> None:
    """Append a string in the classic form; null is length -1."""
    if value is None:
        out += b"\xff\xff"
    else:
        write_string(out, value)


def write_compact_string(out: bytearray, value: str | None) -> None:
    """Append a string in the compact form."""
    if value is None:
        raise ValueError("null string where none is allowed")
    encoded = value.encode()
    length = len(encoded)
    if length < 0x7F:
        out.append(length + 1)
    elif length > MAX_STRING_BYTES:
        raise ValueError(f"string of {length} bytes")
    else:
        write_uvarint(out, length + 1)
    out += encoded


def write_compact_nullable_string(out: bytearray, value: str | None) -> None:
    """Append a string in the compact form; null is 0."""
    if value is None:
        out.append(0)
    else:
        write_compact_string(out, value)


# --- bytes and records ---------------------------------------------------------------------


def read_nullable_records(data: memoryview, position: int) -> tuple[memoryview | None, int]:
    """Read an int32 length and give the bytes as a slice, not a copy; negative means null."""
    (length,) = _unpack_int32(data, position)
    position += 4
    if length < 0:
        return None, position
    end = position + length
    if end > len(data):
        raise _too_long("bytes", length, len(data) - position)
    return data[position:end], end


def read_records(data: memoryview, position: int) -> tuple[memoryview, int]:
    """Read records that must not be null."""
    value, position = read_nullable_records(data, position)
    if value is None:
        raise _null("bytes")
    return value, position


def read_compact_nullable_records(data: memoryview, position: int) -> tuple[memoryview | None, int]:
    """Read a uvarint of length + 1 and give the bytes as a slice, not a copy; 0 means null."""
    length, position = read_uvarint(data, position)
    if length == 0:
        return None, position
    end = position + length - 1
    if end > len(data):
        raise _too_long("bytes", length - 1, len(data) - position)
    return data[position:end], end


def read_compact_records(data: memoryview, position: int) -> tuple[memoryview, int]:
    """Read compact records that must not be null."""
    value, position = read_compact_nullable_records(data, position)
    if value is None:
        raise _null("bytes")
    return value, position


def read_bytes(data: memoryview, position: int) -> tuple[bytes, int]:
    """Read a copy of the bytes behind an int32 length."""
    value, position = read_records(data, position)
    return value.tobytes(), position


def read_nullable_bytes(data: memoryview, position: int) -> tuple[bytes | None, int]:
    """Read a copy of the bytes behind an int32 length; negative means null."""
    value, position = read_nullable_records(data, position)
    return None if value is None else value.tobytes(), position


def read_compact_bytes(data: memoryview, position: int) -> tuple[bytes, int]:
    """Read a copy of the bytes behind a uvarint of length + 1."""
    value, position = read_compact_records(data, position)
    return value.tobytes(), position


def read_compact_nullable_bytes(data: memoryview, position: int) -> tuple[bytes | None, int]:
    """Read a copy of the bytes behind a uvarint of length + 1; 0 means null."""
    value, position = read_compact_nullable_records(data, position)
    return None if value is None else value.tobytes(), position


def write_bytes(out: bytearray, value: Buffer | None) -> None:
    """Append bytes behind an int32 length."""
    if value is None:
        raise ValueError("null bytes where none are allowed")
    out += _pack_int32(len(value))
    out += value


def write_nullable_bytes(out: bytearray, value: Buffer | None) -> None:
    """Append bytes behind an int32 length; null is -1."""
    if value is None:
        out += b"\xff\xff\xff\xff"
    else:
        write_bytes(out, value)


def write_compact_bytes(out: bytearray, value: Buffer | None) -> None:
    """Append bytes behind a uvarint of length + 1."""
    if value is None:
        raise ValueError("null bytes where none are allowed")
    write_uvarint(out, len(value) + 1)
    out += value


def write_compact_nullable_bytes(out: bytearray, value: Buffer | None) -> None:
    """Append bytes behind a uvarint of length + 1; null is 0."""
    if value is None:
        out.append(0)
    else:
        write_compact_bytes(out, value)


LargeParts = list[tuple[int, Buffer]]
"""Buffers that are not copied, each with the position in `out` that it belongs to."""


def _write_payload(out: bytearray, large: LargeParts, value: Buffer) -> None:
    if len(value) <= INLINE_RECORDS_BYTES:
        out += value
    else:
        large.append((len(out), value))


def write_nullable_records(out: bytearray, large: LargeParts, value: Buffer | None) -> None:
    """Append records behind an int32 length, big ones without a copy; null is -1."""
    if value is None:
        out += b"\xff\xff\xff\xff"
    else:
        write_records(out, large, value)


def write_records(out: bytearray, large: LargeParts, value: Buffer | None) -> None:
    """Append records behind an int32 length, big ones without a copy."""
    if value is None:
        raise ValueError("null records where none are allowed")
    out += _pack_int32(len(value))
    _write_payload(out, large, value)


def write_compact_nullable_records(out: bytearray, large: LargeParts, value: Buffer | None) -> None:
    """Append records behind a uvarint of length + 1, big ones without a copy; null is 0."""
    if value is None:
        out.append(0)
    else:
        write_compact_records(out, large, value)


def write_compact_records(out: bytearray, large: LargeParts, value: Buffer | None) -> None:
    """Append records behind a uvarint of length + 1, big ones without a copy."""
    if value is None:
        raise ValueError("null records where none are allowed")
    write_uvarint(out, len(value) + 1)
    _write_payload(out, large, value)


def interleave(out: bytearray, large: LargeParts) -> list[Buffer]:
    """Put the large parts between the small ones, in order and without copies."""
    if not large:
        return [out]
    small = memoryview(out)
    buffers: list[Buffer] = []
    written = 0
    for position, buffer in large:
        if position > written:
            buffers.append(small[written:position])
            written = position
        buffers.append(buffer)
    if written < len(small):
        buffers.append(small[written:])
    return buffers


# --- arrays --------------------------------------------------------------------------------


def read_nullable_count(data: memoryview, position: int, element_bytes: int) -> tuple[int, int]:
    """Read the int32 count of an array; -1 for null.

    Args:
        data: The message.
        position: Where the count starts.
        element_bytes: The least that an element takes; a count that cannot fit is refused, as is
            one above `MAX_ARRAY_ELEMENTS`.
    """
    (count,) = _unpack_int32(data, position)
    position += 4
    if count < 0:
        return -1, position
    if count * element_bytes > len(data) - position or count > MAX_ARRAY_ELEMENTS:
        raise _too_long("array", count, len(data) - position)
    return count, position


def read_count(data: memoryview, position: int, element_bytes: int) -> tuple[int, int]:
    """Read the int32 count of an array that must not be null."""
    count, position = read_nullable_count(data, position, element_bytes)
    if count < 0:
        raise _null("array")
    return count, position


def read_compact_nullable_count(
    data: memoryview, position: int, element_bytes: int
) -> tuple[int, int]:
    """Read the uvarint of count + 1 of an array; -1 for null."""
    count, position = read_uvarint(data, position)
    count -= 1
    if count * element_bytes > len(data) - position or count > MAX_ARRAY_ELEMENTS:
        raise _too_long("array", count, len(data) - position)
    return count, position


def read_compact_count(data: memoryview, position: int, element_bytes: int) -> tuple[int, int]:
    """Read the uvarint of count + 1 of an array that must not be null."""
    count = data[position]
    if count < 0x80:
        position += 1
    else:
        count, position = read_uvarint(data, position)
    count -= 1
    if count < 0:
        raise _null("array")
    if count * element_bytes > len(data) - position or count > MAX_ARRAY_ELEMENTS:
        raise _too_long("array", count, len(data) - position)
    return count, position


def write_nullable_count(out: bytearray, items: Sized | None) -> None:
    """Append the int32 count of an array; null is -1."""
    out += _pack_int32(-1 if items is None else len(items))


def write_count(out: bytearray, items: Sized | None) -> None:
    """Append the int32 count of an array."""
    if items is None:
        raise ValueError("null array where none is allowed")
    out += _pack_int32(len(items))


def write_compact_nullable_count(out: bytearray, items: Sized | None) -> None:
    """Append the uvarint of count + 1 of an array; null is 0."""
    write_uvarint(out, 0 if items is None else len(items) + 1)


def write_compact_count(out: bytearray, items: Sized | None) -> None:
    """Append the uvarint of count + 1 of an array."""
    if items is None:
        raise ValueError("null array where none is allowed")
    length = len(items)
    if length < 0x7F:
        out.append(length + 1)
    else:
        write_uvarint(out, length + 1)


def read_int8_array(data: memoryview, position: int, count: int) -> tuple[list[int], int]:
    """Read the elements of an int8 array."""
    return list(struct.unpack_from(f">{count}b", data, position)), position + count


def read_int16_array(data: memoryview, position: int, count: int) -> tuple[list[int], int]:
    """Read the elements of an int16 array."""
    return list(struct.unpack_from(f">{count}h", data, position)), position + 2 * count


def read_int32_array(data: memoryview, position: int, count: int) -> tuple[list[int], int]:
    """Read the elements of an int32 array."""
    return list(struct.unpack_from(f">{count}i", data, position)), position + 4 * count


def read_int64_array(data: memoryview, position: int, count: int) -> tuple[list[int], int]:
    """Read the elements of an int64 array."""
    return list(struct.unpack_from(f">{count}q", data, position)), position + 8 * count


def read_uuid_array(data: memoryview, position: int, count: int) -> tuple[list[bytes], int]:
    """Read the elements of a uuid array, 16 bytes each."""
    end = position + 16 * count
    if end > len(data):
        raise _too_long("uuid array", count, len(data) - position)
    return [data[each : each + 16].tobytes() for each in range(position, end, 16)], end


def read_string_array(data: memoryview, position: int, count: int) -> tuple[list[str], int]:
    """Read the elements of a string array."""
    texts = []
    for _ in range(count):
        text, position = read_string(data, position)
        texts.append(text)
    return texts, position


def read_compact_string_array(data: memoryview, position: int, count: int) -> tuple[list[str], int]:
    """Read the elements of an array of compact strings."""
    texts = []
    for _ in range(count):
        text, position = read_compact_string(data, position)
        texts.append(text)
    return texts, position


def write_int8_array(out: bytearray, items: Sequence[int]) -> None:
    """Append the elements of an int8 array."""
    out += struct.pack(f">{len(items)}b", *items)


def write_int16_array(out: bytearray, items: Sequence[int]) -> None:
    """Append the elements of an int16 array."""
    out += struct.pack(f">{len(items)}h", *items)


def write_int32_array(out: bytearray, items: Sequence[int]) -> None:
    """Append the elements of an int32 array."""
    if len(items) == 1:  # The usual list of replicas; spares making a format.
        out += _pack_int32(items[0])
    elif items:
        out += struct.pack(f">{len(items)}i", *items)


def write_int64_array(out: bytearray, items: Sequence[int]) -> None:
    """Append the elements of an int64 array."""
    out += struct.pack(f">{len(items)}q", *items)


def write_uuid_array(out: bytearray, items: Sequence[Buffer]) -> None:
    """Append the elements of a uuid array."""
    for item in items:
        out += checked_uuid(item)


def write_string_array(out: bytearray, items: Sequence[str]) -> None:
    """Append the elements of a string array."""
    for item in items:
        write_string(out, item)


def write_compact_string_array(out: bytearray, items: Sequence[str]) -> None:
    """Append the elements of an array of compact strings."""
    for item in items:
        write_compact_string(out, item)


def checked_uuid(value: Buffer) -> bytes:
    """Return the 16 bytes of a uuid; `struct` would silently pad or cut another length."""
    if len(value) != 16:
        raise ValueError(f"uuid of {len(value)} bytes")
    return bytes(value)


# --- tagged fields -------------------------------------------------------------------------


def tagged_fields(data: memoryview, position: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Walk over the fields of a tag section, whose count was read already.

    Yields:
        Tag, position of the field's value, position behind it.

    Raises:
        ProtocolError: A field is longer than the message.
    """
    for _ in range(count):
        tag, position = read_uvarint(data, position)
        size, position = read_uvarint(data, position)
        end = position + size
        if end > len(data):
            raise _too_long("tagged field", size, len(data) - position)
        yield tag, position, end
        position = end


def skip_tagged_fields(data: memoryview, position: int) -> int:
    """Return the position behind a tag section of which no field is known."""
    count, position = read_uvarint(data, position)
    for _, _, end in tagged_fields(data, position, count):
        position = end
    return position


def check_tag_end(tag: int, position: int, end: int) -> None:
    """Refuse a tagged field whose value is not as long as it says."""
    if position != end:
        raise ProtocolError(f"tag {tag} is {position - end:+} bytes off its size")


def write_tagged_field(out: bytearray, tag: int, value: bytearray) -> None:
    """Append one tagged field."""
    write_uvarint(out, tag)
    write_uvarint(out, len(value))
    out += value
