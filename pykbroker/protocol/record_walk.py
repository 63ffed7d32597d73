"""The walk over the records of a batch that checks their framing.

It is the one piece of the broker that does something for each record that is produced, so it may be
compiled: `hatch_build.py` has Cython make a copy of this module, with the C types of
`record_walk.pxd`, and `compiled` chooses. So this stays within what C does in the same way:

- numbers are not negative before `decoded`, and have 64 bits at most;
- a position grows by less than 2^31 from one look at the data to the next, each of which is checked
  against the end of the data: it raises IndexError, here as in the copy.

In Python it is written for speed: varints of one and two bytes are read in place, and numbers stay
zig-zag encoded (odd means negative). Positions only grow, so if the last field ends where the
record's length says, all fields are inside.

The format of a record is in `records`.
"""

from typing import Final, TypeAlias

VARINT_BITS: Final = 32
VARLONG_BITS: Final = 64

# The position behind the records; whether any has no key; whether their offset deltas are their
# indexes; the lowest and highest timestamp delta; the offset delta of the first with the highest.
Walked: TypeAlias = tuple[int, bool, bool, int, int, int]


def walk(data: bytes | bytearray | memoryview, position: int, index: int, stop: int) -> Walked:
    """Walk over the records from `index` to before `stop`, the first of which is at `position`.

    Raises:
        IndexError: The data ends before the records do.
        ValueError: A record is malformed.
    """
    has_null_key = False
    is_dense = True
    is_first = True
    lowest = highest = highest_offset = last_timestamp = 0
    for expected_offset in range(2 * index, 2 * stop, 2):
        length = data[position]
        position += 1
        if length > 127:
            length += (data[position] << 7) - 128
            position += 1
            if length > 16383:
                length, position = read_unsigned(data, position - 2)
        end = position + (length >> 1)
        timestamp = data[position + 1]  # the byte before it are the attributes
        position += 2
        if timestamp > 127:
            timestamp += (data[position] << 7) - 128
            position += 1
            if timestamp > 16383:
                timestamp, position = read_unsigned(data, position - 2, VARLONG_BITS)
        offset = data[position]
        position += 1
        if offset > 127:
            offset += (data[position] << 7) - 128
            position += 1
            if offset > 16383:
                offset, position = read_unsigned(data, position - 2)
        if offset != expected_offset:
            is_dense = False
        size = data[position]
        position += 1
        if size > 127:
            size += (data[position] << 7) - 128
            position += 1
            if size > 16383:
                size, position = read_unsigned(data, position - 2)
        if size & 1:
            has_null_key = True
        else:
            position += size >> 1
        size = data[position]
        position += 1
        if size > 127:
            size += (data[position] << 7) - 128
            position += 1
            if size > 16383:
                size, position = read_unsigned(data, position - 2)
        if not size & 1:
            position += size >> 1
        position = skip_headers(data, position) if data[position] else position + 1
        if position != end or length & 1:
            raise ValueError("the length and the fields of a record differ")
        if timestamp != last_timestamp or is_first:
            last_timestamp = timestamp
            delta = decoded(timestamp)
            if is_first or delta > highest:
                highest = delta
                highest_offset = offset
            if is_first or delta < lowest:
                lowest = delta
            is_first = False
    return position, has_null_key, is_dense, lowest, highest, decoded(highest_offset)


def skip_headers(data: bytes | bytearray | memoryview, position: int) -> int:
    """The position behind a header count that is not 0 and its headers."""
    count, position = read_unsigned(data, position)
    if count & 1:
        raise ValueError("a negative header count")
    for _ in range(count >> 1):
        size = data[position]
        position += 1
        if size > 127:
            size, position = read_unsigned(data, position - 1)
        if size & 1:
            raise ValueError("a header key of negative length")
        position += size >> 1
        size = data[position]
        position += 1
        if size > 127:
            size, position = read_unsigned(data, position - 1)
        if not size & 1:
            position += size >> 1
    return position


def decoded(code: int) -> int:
    """The number behind a zig-zag code."""
    return (code >> 1) ^ -(code & 1)


def read_unsigned(
    data: bytes | bytearray | memoryview, position: int, bits: int = VARINT_BITS
) -> tuple[int, int]:
    """Read an unsigned varint; returns it and the position behind it. IndexError at the end."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (0xFFFFFFFFFFFFFFFF >> (64 - bits)), position
        shift += 7
        if shift >= bits:
            raise ValueError(f"a varint is longer than {(bits + 6) // 7} bytes")
