"""Walking over records without making objects of them: keys, sizes and timestamps.

Compaction needs the key of every record of a log and copies most records as they are. So this reads
no more than that, in columns of many records each, which others then treat as a whole. Records of
one shape are not even walked over, see `uniform_records`.

The format of a record is in `records`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from struct import Struct
from typing import Final, NamedTuple

from pykbroker.protocol.record_walk import VARLONG_BITS, decoded, read_unsigned
from pykbroker.protocol.records import check_record_framing, varint, wrapped
from pykbroker.protocol.uniform_records import MIN_RUN_RECORDS, find_uniform_run

# Bounds the memory that the columns of a large batch take.
CHUNK_RECORDS: Final = 8192


class KeyColumns(NamedTuple):
    """Some records that follow each other, one entry each in every column.

    Attributes:
        start: Where the first one begins.
        ends: The positions behind each.
        offset_deltas: Their offset deltas.
        keys: Their keys; None for none.
        nulls: The indexes of the records that have no value.
        longest_key_bytes: No key is longer; -1 if there is none at all.
        has_null_key: Whether any of them has no key.
    """

    start: int
    ends: Sequence[int]
    offset_deltas: Sequence[int]
    keys: list[bytes | None]
    nulls: Sequence[int]
    longest_key_bytes: int
    has_null_key: bool


def iter_keys(data: bytes, count: int) -> Iterator[KeyColumns]:
    """Read the keys of a records section.

    Args:
        data: The uncompressed bytes behind the batch header.
        count: The number of records that the batch header claims.

    Raises:
        MalformedRecordError: When the iteration reaches a malformed record, or bytes that remain
            behind the last one.
    """
    index = position = 0
    # How many records to walk over before the next search for a run; searches in vain get rarer.
    patience = 4 * MIN_RUN_RECORDS
    try:
        while index < count:
            run = find_uniform_run(data, position, index, count)
            if run is None:
                stop = min(count, index + patience)
                columns = _walk(data, position, stop - index)
                patience = CHUNK_RECORDS
            else:
                stop = index + run.record_count
                columns = KeyColumns(
                    position,
                    range(position + run.record_bytes, run.end + 1, run.record_bytes),
                    range(index, stop),
                    _keys_of_run(
                        data, position, run.end, run.record_bytes, run.key_start, run.key_bytes
                    ),
                    range(run.record_count) if run.has_null_value else (),
                    -1 if run.key_bytes is None else run.key_bytes,
                    run.key_bytes is None,
                )
            yield columns
            position = columns.ends[-1]
            index = stop
        is_whole = position == len(data)
    except (IndexError, ValueError):
        is_whole = False
    if not is_whole:
        check_record_framing(data, count)  # knows which record it is and what is wrong with it
        raise AssertionError("the framing is right for one reader and wrong for the other")


def _keys_of_run(
    data: bytes,
    start: int,
    end: int,
    record_bytes: int,
    key_start: int,
    key_bytes: int | None,
) -> list[bytes | None]:
    if key_bytes is None:
        return list(repeat(None, (end - start) // record_bytes))
    layout = Struct(f"{key_start}x{key_bytes}s{record_bytes - key_start - key_bytes}x")
    return list(chain.from_iterable(layout.iter_unpack(memoryview(data)[start:end])))


def _walk(data: bytes, position: int, count: int) -> KeyColumns:
    """Read the keys of some records one by one.

    Written for speed like `records.check_record_framing`: varints of one and two bytes are read in
    place, and reading beyond the end is left to IndexError. What is behind the key was checked when
    the batch was appended, and the checksum says that it is still the same.
    """
    start = position
    ends: list[int] = []
    offset_deltas: list[int] = []
    keys: list[bytes | None] = []
    nulls: list[int] = []
    longest = 0  # twice the size
    has_null_key = False
    for index in range(count):
        length = data[position]
        if length < 128:
            position += 3  # behind the attributes and the first byte of the timestamp delta
            end = position - 2 + (length >> 1)
        else:
            length += (data[position + 1] << 7) - 128
            position += 4
            if length > 16383:
                length, position = read_unsigned(data, position - 4)
                position += 2
            end = position - 2 + (length >> 1)
        if data[position - 1] > 127:
            position += 1
            if data[position - 1] > 127:
                _, position = read_unsigned(data, position - 2, VARLONG_BITS)
        offset = data[position]
        if offset < 128:
            size = data[position + 1]
            position += 2
        else:
            offset += (data[position + 1] << 7) - 128
            size = data[position + 2]
            position += 3
            if offset > 16383:
                offset, position = read_unsigned(data, position - 3)
                size = data[position]
                position += 1
        if size > 127:
            size, position = read_unsigned(data, position - 1)
        if size & 1:
            keys.append(None)
            has_null_key = True
        else:
            key_start = position
            position += size >> 1
            keys.append(data[key_start:position])
            if size > longest:
                longest = size
        if data[position] & 1:  # the sign of a varint is in its first byte
            nulls.append(index)
        if position >= end or length & 1:
            raise ValueError("the key of a record reaches beyond it")
        position = end
        ends.append(end)
        offset_deltas.append((offset >> 1) ^ -(offset & 1))
    return KeyColumns(start, ends, offset_deltas, keys, nulls, longest >> 1, has_null_key)


def copy_records(
    data: bytes, parts: Iterable[tuple[int, int]], *, timestamp_shift: int = 0
) -> tuple[bytes, int]:
    """Copy some of the records of a section that `iter_keys` has read.

    Args:
        data: The uncompressed bytes behind the batch header.
        parts: The (start, end) of each group of records to copy, one at least.
        timestamp_shift: Added to each timestamp delta; sums wrap at 64 bits.

    Returns:
        The new section, and the largest timestamp delta before it was shifted.
    """
    if timestamp_shift:
        return _copy_shifted(data, parts, timestamp_shift)
    pieces: list[bytes] = []
    codes: set[int] = set()
    for start, stop in parts:
        pieces.append(data[start:stop])
        position = start
        while position < stop:
            length = data[position]
            position += 2  # behind the attributes, if the length is one byte
            if length > 127:
                length += (data[position - 1] << 7) - 128
                position += 1
                if length > 16383:
                    length, position = read_unsigned(data, position - 3)
                    position += 1
            code = data[position]
            if code > 127:
                code, _ = read_unsigned(data, position, VARLONG_BITS)
            codes.add(code)
            position += (length >> 1) - 1
    return b"".join(pieces), max(map(decoded, codes))


def _copy_shifted(
    data: bytes, parts: Iterable[tuple[int, int]], timestamp_shift: int
) -> tuple[bytes, int]:
    """Write the records anew: another timestamp delta may take more or fewer bytes."""
    pieces: list[bytes] = []
    largest = -(1 << 63)
    for start, stop in parts:
        position = start
        while position < stop:
            length, position = read_unsigned(data, position)
            end = position + (length >> 1)
            code, behind = read_unsigned(data, position + 1, VARLONG_BITS)
            delta = decoded(code)
            largest = max(largest, delta)
            shifted = varint(wrapped(delta + timestamp_shift))
            size = 1 + len(shifted) + end - behind
            pieces += (varint(size), data[position : position + 1], shifted, data[behind:end])
            position = end
    return b"".join(pieces), largest
