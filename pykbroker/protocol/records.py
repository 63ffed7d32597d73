"""The records inside of a record batch: building, reading, and the check at produce.

Format of one record (Kafka's `DefaultRecord`, batch magic 2); integers are zig-zag varints:

    length           varint   bytes that follow in this record; must match exactly
    attributes       int8     unused; written as 0, any value is accepted
    timestamp delta  varlong  added to the batch's base timestamp
    offset delta     varint   added to the batch's base offset
    key length       varint   negative means null
    key              bytes
    value length     varint   negative means null
    value            bytes
    header count     varint   0 or more, each:
      key length     varint   0 or more
      key            bytes    UTF-8
      value length   varint   negative means null
      value          bytes

Varints are read as leniently as Kafka reads them: up to 5 bytes (10 for a varlong), encodings that
are longer than needed are accepted, and bits beyond 32 (64) are dropped.

Deviation from Kafka: its broker does not compare a record's length with its content when the batch
is compressed. Such a record breaks the consumers that do compare, so it is refused here in both
cases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from pykbroker.protocol.compiled import compiled_walk
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_walk import VARLONG_BITS, Walked, decoded, read_unsigned, walk
from pykbroker.protocol.uniform_records import MIN_RUN_RECORDS, find_uniform_run

Header: TypeAlias = tuple[str, bytes | None]

KeyValue: TypeAlias = tuple[int, bytes | None, bytes | None]
"""The offset, the key and the value of a record."""

# Timestamp and offset, both relative, key, value and headers.
_Fields: TypeAlias = tuple[int, int, bytes | None, bytes | None, tuple[Header, ...]]

NO_TIMESTAMP: Final = -1  # the record has no timestamp; never checked against a window

# One byte each of length, attributes, timestamp delta, offset delta, key length, value length and
# header count: no record is shorter.
MIN_RECORD_BYTES: Final = 7

_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1
_BEYOND_RECORD: Final = "a field reaches beyond its end"


@dataclass(slots=True)
class Record:
    """One record, with its absolute offset and timestamp.

    Header keys that are not UTF-8 carry their bytes as lone surrogates ("surrogateescape"), so
    that a record which is read and written again keeps them.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class MalformedRecordError(CorruptBatchError):
    """A record in a batch of a right checksum breaks the format.

    Kafka answers INVALID_RECORD (its `InvalidRecordException`), without naming the record in
    `record_errors`.

    Attributes:
        index: Which record of the batch, counted from 0.
        reason: What is wrong with it.
    """

    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        self.reason = reason
        super().__init__(f"record {index} of the batch: {reason}")


class RecordFacts(NamedTuple):
    """What one walk over the records of a batch found out.

    Attributes:
        has_null_key: Whether any record has no key.
        offsets_are_dense: Whether the offset deltas are 0, 1, 2 and so on; if not, Kafka rebuilds
            the batch instead of refusing it.
        min_timestamp_delta: Smallest timestamp delta in milliseconds, 0 without records.
        max_timestamp_delta: Largest timestamp delta in milliseconds, 0 without records.
        max_timestamp_offset_delta: Offset delta of the first record with the largest timestamp.
    """

    has_null_key: bool
    offsets_are_dense: bool
    min_timestamp_delta: int
    max_timestamp_delta: int
    max_timestamp_offset_delta: int


def check_record_framing(
    payload: bytes | bytearray | memoryview, count: int, base_timestamp: int = 0
) -> RecordFacts:
    """Check that a records section holds exactly `count` well-formed records.

    Args:
        payload: The uncompressed bytes behind the batch header.
        count: The number of records that the batch header claims.
        base_timestamp: The batch's base timestamp, to refuse timestamps beyond 64 bits.

    Raises:
        MalformedRecordError: A record is malformed, or there are too few or too many bytes.
    """
    _check_count(payload, count)
    try:
        facts = _facts_of_payload(payload, count)
    except (IndexError, ValueError):
        # The slow reader refuses the same, and knows which record it is and what is wrong with it.
        for _ in iter_records(payload, count):
            pass
        raise
    if base_timestamp + facts.max_timestamp_delta > _INT64_MAX:
        raise MalformedRecordError(
            facts.max_timestamp_offset_delta, "its timestamp does not fit 64 bits"
        )
    if base_timestamp + facts.min_timestamp_delta < _INT64_MIN:
        raise MalformedRecordError(0, "a timestamp of the batch does not fit 64 bits")
    return facts


def _check_count(data: bytes | bytearray | memoryview, count: int) -> None:
    """Refuse an impossible count before anything is done that often."""
    if count < 0:
        raise MalformedRecordError(0, f"a batch cannot hold {count} records")
    if count * MIN_RECORD_BYTES > len(data):
        raise MalformedRecordError(
            len(data) // MIN_RECORD_BYTES, f"{len(data)} bytes cannot hold {count} records"
        )


def _facts_of_payload(data: bytes | bytearray | memoryview, count: int) -> RecordFacts:
    """Check all records in the fastest way that there is.

    Raises:
        IndexError: They reach beyond the end of the data.
        ValueError: A record is malformed, or bytes are left.
    """
    if compiled_walk is not None:
        walked = compiled_walk(data, 0, 0, count)
    else:
        # Indexing bytes is faster than indexing a memoryview by more than the copy costs.
        walked = _walk_in_runs(bytes(data) if isinstance(data, memoryview) else data, count)
    if walked[0] != len(data):
        raise ValueError("bytes are left")
    return RecordFacts(*walked[1:])


def _walk_in_runs(data: bytes | bytearray, count: int) -> Walked:
    """What `walk` finds in all records, those of one shape looked at together."""
    has_null_key = False
    is_dense = True
    min_delta = max_delta = max_offset_delta = 0
    index = position = 0
    # How many records to walk over before the next search for a run; searches in vain get rarer.
    patience = MIN_RUN_RECORDS
    while index < count:
        left = count - index
        run = find_uniform_run(data, position, index, count) if left >= MIN_RUN_RECORDS else None
        if run is not None:
            found: Walked = (
                run.end,
                run.key_bytes is None,
                True,
                run.min_timestamp_delta,
                run.max_timestamp_delta,
                index + run.max_timestamp_index,
            )
            stop = index + run.record_count
        else:
            stop = index + min(left, patience)
            found = walk(data, position, index, stop)
            patience *= 2
        position, lacks_key, in_order, lowest, highest, highest_offset_delta = found
        has_null_key |= lacks_key
        is_dense &= in_order
        if index == 0 or lowest < min_delta:
            min_delta = lowest
        if index == 0 or highest > max_delta:
            max_delta = highest
            max_offset_delta = highest_offset_delta
        index = stop
    return position, has_null_key, is_dense, min_delta, max_delta, max_offset_delta


def iter_records(
    payload: bytes | bytearray | memoryview,
    count: int,
    *,
    base_offset: int = 0,
    base_timestamp: int = 0,
    log_append_time_ms: int | None = None,
) -> Iterator[Record]:
    """Read a records section, record by record.

    Args:
        payload: The uncompressed bytes behind the batch header.
        count: The number of records that the batch header claims.
        base_offset: Added to each offset delta.
        base_timestamp: Added to each timestamp delta; sums wrap at 64 bits as in Kafka.
        log_append_time_ms: Replaces each timestamp, if given.

    Raises:
        MalformedRecordError: When the iteration reaches a malformed record, or bytes that remain
            behind the last one.
    """
    data = bytes(payload)
    _check_count(data, count)
    position = 0
    for index in range(count):
        try:
            fields, position = _read_record(data, position)
        except (IndexError, ValueError) as error:
            raise _malformed(index, error) from None
        timestamp, offset, key, value, headers = fields
        if log_append_time_ms is not None:
            timestamp = log_append_time_ms
        else:
            timestamp = wrapped(base_timestamp + timestamp)
        yield Record(base_offset + offset, timestamp, key, value, headers)
    _check_end(data, position, count)


def read_key_values(
    payload: bytes | bytearray | memoryview, count: int, base_offset: int
) -> list[KeyValue]:
    """Read offset, key and value of each record: less than `iter_records` gives, and sooner.

    Raises:
        MalformedRecordError: As from `iter_records`.
    """
    data = bytes(payload)
    _check_count(data, count)
    found: list[KeyValue] = []
    position = 0
    try:
        for _ in range(count):
            fields, position = _read_record(data, position)
            found.append((base_offset + fields[1], fields[2], fields[3]))
    except (IndexError, ValueError) as error:
        raise _malformed(len(found), error) from None
    _check_end(data, position, count)
    return found


def _malformed(index: int, error: IndexError | ValueError) -> MalformedRecordError:
    """Say which record it is that could not be read."""
    if isinstance(error, IndexError):
        return MalformedRecordError(index, "it reaches beyond the end of the batch")
    return MalformedRecordError(index, str(error))


def _check_end(data: bytes, position: int, count: int) -> None:
    if position != len(data):
        raise MalformedRecordError(count, f"{len(data) - position} bytes behind the last record")


def wrapped(number: int) -> int:
    """The number as 64-bit arithmetic has it."""
    if _INT64_MIN <= number <= _INT64_MAX:
        return number
    return (number - _INT64_MIN) % (1 << 64) + _INT64_MIN


def _read_record(data: bytes, position: int) -> tuple[_Fields, int]:
    """Read one record; returns its fields and the position behind."""
    # Nearly all of these numbers take one byte; a call for each would take longer than the rest.
    code = data[position]
    position += 1
    if code > 127:
        code, position = read_unsigned(data, position - 1)
    end = position + ((code >> 1) ^ -(code & 1))
    if end > len(data):
        raise IndexError
    if end < position + MIN_RECORD_BYTES - 1:
        raise ValueError(f"a length of {end - position} bytes is too short")
    code = data[position + 1]
    position += 2
    if code > 127:
        code, position = read_unsigned(data, position - 1, VARLONG_BITS)
    timestamp = (code >> 1) ^ -(code & 1)
    code = data[position]
    position += 1
    if code > 127:
        code, position = read_unsigned(data, position - 1)
    offset = (code >> 1) ^ -(code & 1)
    code = data[position]
    position += 1
    if code > 127:
        code, position = read_unsigned(data, position - 1)
    key = value = None
    if not code & 1:
        start = position
        position += code >> 1
        if position > end:
            raise ValueError(_BEYOND_RECORD)
        key = data[start:position]
    code = data[position]
    position += 1
    if code > 127:
        code, position = read_unsigned(data, position - 1)
    if not code & 1:
        start = position
        position += code >> 1
        if position > end:
            raise ValueError(_BEYOND_RECORD)
        value = data[start:position]
    headers: tuple[Header, ...] = ()
    if data[position]:
        headers, position = _read_headers(data, position, end)
    else:
        position += 1
    if position != end:
        raise ValueError(f"its length and its fields differ by {position - end} bytes")
    return (timestamp, offset, key, value, headers), end


def _read_bytes(data: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    """Read a varint length and that many bytes; a negative length is null."""
    code = data[position]
    position += 1
    if code > 127:
        code, position = read_unsigned(data, position - 1)
    if code & 1:
        return None, position
    stop = position + (code >> 1)
    if stop > end:
        raise ValueError(_BEYOND_RECORD)
    return data[position:stop], stop


def _read_headers(data: bytes, position: int, end: int) -> tuple[tuple[Header, ...], int]:
    """Read the header count and the headers."""
    code, position = read_unsigned(data, position)
    count = decoded(code)
    if not 0 <= count <= end - position:
        raise ValueError(f"a header count of {count} is impossible")
    headers = []
    for _ in range(count):
        key, position = _read_bytes(data, position, end)
        if key is None:
            raise ValueError("a header key of negative length")
        value, position = _read_bytes(data, position, end)
        headers.append((key.decode("utf-8", "surrogateescape"), value))
    return tuple(headers), position


def encode_records(
    records: Sequence[Record], offset_deltas: Sequence[int], base_timestamp: int
) -> bytes:
    """Write a records section, the opposite of `iter_records`.

    Args:
        records: What to write; their own offsets are not looked at.
        offset_deltas: The offset of each record, relative to the batch's base offset.
        base_timestamp: Subtracted from each timestamp.
    """
    parts = []
    for record, offset_delta in zip(records, offset_deltas, strict=True):
        body = b"".join(
            (
                b"\0",  # attributes
                varint(wrapped(record.timestamp - base_timestamp)),
                varint(offset_delta),
                *_sized(record.key),
                *_sized(record.value),
                varint(len(record.headers)),
                *(part for header in record.headers for part in _header(header)),
            )
        )
        parts.append(varint(len(body)))
        parts.append(body)
    return b"".join(parts)


def _header(header: Header) -> tuple[bytes, ...]:
    key, value = header
    return (*_sized(key.encode("utf-8", "surrogateescape")), *_sized(value))


def _sized(data: bytes | None) -> tuple[bytes, bytes]:
    if data is None:
        return _NULL, b""
    return varint(len(data)), data


def varint(number: int) -> bytes:
    """The zig-zag varint of a number of at most 64 bits."""
    if 0 <= number < len(_SMALL_VARINTS):
        return _SMALL_VARINTS[number]
    return _encode_varint(number)


def _encode_varint(number: int) -> bytes:
    code = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while code > 0x7F:
        encoded.append(code & 0x7F | 0x80)
        code >>= 7
    encoded.append(code)
    return bytes(encoded)


_NULL: Final = _encode_varint(-1)
_SMALL_VARINTS: Final = tuple(_encode_varint(number) for number in range(1024))
