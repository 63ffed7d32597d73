"""Checks many records of the same shape at once, instead of one by one.

Many producers write records of one size: metrics, sensors, fixed-width events, every benchmark.
Such records lie in the payload like rows of a table, so one column of it, say the key length of all
records, is a slice with a stride, and one comparison checks it for all of them. That is some ten
times faster than a walk, see `records.check_record_framing`, which uses this where it can.

A run is records that follow each other and agree in their length, in how many bytes their timestamp
and offset deltas take (1 or 2, and 1 to 3), in key length and value length, have no headers and no
negative timestamp delta, and have the expected offset deltas. Anything else ends a run or prevents
it. It need not be malformed: the caller must look at those records one by one.
"""

from typing import Final, NamedTuple

# Shorter runs are not faster than the walk.
MIN_RUN_RECORDS: Final = 16

_CONTINUED: Final = 0x80  # the bit of a varint's byte that says that another one follows

# The varints of the offset deltas 0 to 8191, as columns: one byte for those below 64, else two.
# The first two of the three bytes of those above repeat themselves every 8192 records.
_ONE_BYTE_OFFSETS: Final = 64
_TWO_BYTE_OFFSETS: Final = 8192
_THREE_BYTE_OFFSETS: Final = 1 << 20
_LOW_OFFSET_BYTES: Final = bytes(
    2 * delta if delta < _ONE_BYTE_OFFSETS else 2 * delta & 0x7F | _CONTINUED
    for delta in range(_TWO_BYTE_OFFSETS)
)
_HIGH_OFFSET_BYTES: Final = bytes(2 * delta >> 7 for delta in range(_TWO_BYTE_OFFSETS))
_MIDDLE_OFFSET_BYTES: Final = _HIGH_OFFSET_BYTES.translate(
    bytes(byte | _CONTINUED for byte in range(256))
)
_CONTINUED_LOW_OFFSET_BYTES: Final = _LOW_OFFSET_BYTES[
    _ONE_BYTE_OFFSETS : 2 * _ONE_BYTE_OFFSETS
] * (_TWO_BYTE_OFFSETS // 64)

_EVEN_BYTES: Final = bytes(range(0, 256, 2))
_CONTINUED_BYTES: Final = bytes(range(_CONTINUED, 256))


class UniformRun(NamedTuple):
    """Records of one shape that were found to be well-formed.

    Attributes:
        record_count: How many records.
        record_bytes: The size of each, with its length in front.
        end: The position behind the last one.
        key_start: Where the key of each begins, counted from the start of the record.
        key_bytes: The size of each key; None if the records have no key, in which they agree.
        has_null_value: Whether the records have no value; they agree in that.
        min_timestamp_delta: The smallest timestamp delta.
        max_timestamp_delta: The largest timestamp delta.
        max_timestamp_index: The first record with it, counted from the start of the run.
    """

    record_count: int
    record_bytes: int
    end: int
    key_start: int
    key_bytes: int | None
    has_null_value: bool
    min_timestamp_delta: int
    max_timestamp_delta: int
    max_timestamp_index: int


class _Shape(NamedTuple):
    """What the first record of a run looks like; positions are relative to its start."""

    record_bytes: int
    constant_columns: tuple[int, ...]  # lengths and header count
    timestamp_column: int
    timestamp_bytes: int
    key_start: int
    key_bytes: int | None
    has_null_value: bool


def find_uniform_run(
    data: bytes | bytearray, position: int, index: int, count: int
) -> UniformRun | None:
    """Find the run that starts at a record, if there is one that is worth it.

    Args:
        data: The uncompressed records section of a batch.
        position: Where the record starts.
        index: Which record of the batch it is, and so its expected offset delta.
        count: How many records the batch has.
    """
    columns = _offset_columns(index, count)
    most = len(columns[0])
    if most < MIN_RUN_RECORDS:
        return None
    shape = _shape_of(data, position, len(columns))
    if shape is None:
        return None

    stride = shape.record_bytes
    records = min(most, (len(data) - position) // stride)
    for start in shape.constant_columns:
        column = data[position + start : position + records * stride : stride]
        records -= len(column.lstrip(column[:1]))
        if records < MIN_RUN_RECORDS:
            return None
    end = position + records * stride

    start = position + shape.timestamp_column + shape.timestamp_bytes
    for number, expected in enumerate(columns):
        if data[start + number : end : stride] != expected[:records]:
            return None

    low = data[position + shape.timestamp_column : end : stride]
    high = None
    if shape.timestamp_bytes == 2:
        high = data[position + shape.timestamp_column + 1 : end : stride]
    range_ = _timestamp_range(low, high)
    if range_ is None:
        return None
    return UniformRun(
        records, stride, end, shape.key_start, shape.key_bytes, shape.has_null_value, *range_
    )


def _offset_columns(index: int, stop: int) -> tuple[bytes, ...]:
    """The varints of the offset deltas from `index` on, as long as they have as many bytes.

    Returns:
        The first bytes of all, the second bytes and so on. They may end before `stop`.
    """
    if index < _ONE_BYTE_OFFSETS:
        return (_LOW_OFFSET_BYTES[index : min(stop, _ONE_BYTE_OFFSETS)],)
    if index < _TWO_BYTE_OFFSETS:
        return _LOW_OFFSET_BYTES[index:stop], _HIGH_OFFSET_BYTES[index:stop]
    if index >= _THREE_BYTE_OFFSETS:
        return (b"",)
    turn, start = divmod(index, _TWO_BYTE_OFFSETS)
    low = _CONTINUED_LOW_OFFSET_BYTES[start : start + stop - index]
    return low, _MIDDLE_OFFSET_BYTES[start : start + len(low)], bytes((turn,)) * len(low)


def _shape_of(data: bytes | bytearray, start: int, offset_bytes: int) -> _Shape | None:
    """The shape of the record at a position, None if it is not one that makes a run."""
    columns: list[int] = []
    try:
        length, position = _short_varint(data, start)
        columns.extend(range(start, position))
        end = position + (length >> 1)
        timestamp_start = position + 1  # behind the attributes
        _, position = _short_varint(data, timestamp_start)
        timestamp_bytes = position - timestamp_start
        if timestamp_bytes > 2:
            return None
        position += offset_bytes
        key_length_start = position
        key_code, position = _short_varint(data, position)
        columns.extend(range(key_length_start, position))
        key_start = position
        position += 0 if key_code & 1 else key_code >> 1
        value_start = position
        value_code, position = _short_varint(data, position)
        columns.extend(range(value_start, position))
        position += 0 if value_code & 1 else value_code >> 1
        if data[position] != 0 or position + 1 != end or length & 1:
            return None
        columns.append(position)
    except (IndexError, ValueError):
        return None
    return _Shape(
        record_bytes=end - start,
        constant_columns=tuple(column - start for column in columns),
        timestamp_column=timestamp_start - start,
        timestamp_bytes=timestamp_bytes,
        key_start=key_start - start,
        key_bytes=None if key_code & 1 else key_code >> 1,
        has_null_value=value_code & 1 == 1,
    )


def _short_varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    """Read a varint of at most three bytes; returns it and the position behind it."""
    low = data[position]
    if low < _CONTINUED:
        return low, position + 1
    value = low - _CONTINUED | (data[position + 1] & 0x7F) << 7
    if data[position + 1] < _CONTINUED:
        return value, position + 2
    if data[position + 2] >= _CONTINUED:
        raise ValueError("longer than three bytes")
    return value | data[position + 2] << 14, position + 3


def _timestamp_range(
    low: bytes | bytearray, high: bytes | bytearray | None
) -> tuple[int, int, int] | None:
    """Smallest and largest timestamp delta and the index of the latter, of one or two columns.

    None if a varint is not as long as the first one's, or negative.
    """
    if low.translate(None, _EVEN_BYTES):
        return None  # an odd number is a negative one
    if high is None:
        if not low.isascii():
            return None
        largest = max(low)
        return min(low) >> 1, largest >> 1, low.index(largest)

    if not high.isascii() or low.translate(None, _CONTINUED_BYTES):
        return None
    # Only records with the largest high byte can have the largest delta, and as timestamps mostly
    # ascend, those are few; the same holds for the smallest.
    first = high.index(max(high))
    late = _two_byte_codes(low[first:], high[first:])
    last = high.rindex(min(high)) + 1
    early = _two_byte_codes(low[:last], high[:last])
    largest = max(late)
    return min(early) >> 1, largest >> 1, first + late.index(largest)


def _two_byte_codes(low: bytes | bytearray, high: bytes | bytearray) -> list[int]:
    return [(b << 7) + a - _CONTINUED for a, b in zip(low, high, strict=True)]
