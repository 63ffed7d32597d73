"""Builders of records and record batches, well-formed and deliberately not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pykbroker.protocol.record_batch import HEADER_BYTES, RecordBatch, build_batch
from pykbroker.protocol.records import Header, Record

NOW_MS = 1_700_000_000_000


def a_record(
    offset: int = 0,
    *,
    timestamp: int = NOW_MS,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    headers: tuple[Header, ...] = (),
) -> Record:
    return Record(offset, timestamp, key, value, headers)


def a_batch(
    base_offset: int = 0, *, records: int | Sequence[Record] = 1, **header: Any
) -> RecordBatch:
    """A well-formed batch in writable memory.

    Args:
        records: How many, one millisecond apart and distinct by key and value; or which.
        header: As `build_batch`.
    """
    if isinstance(records, int):
        records = [
            a_record(
                base_offset + index,
                timestamp=NOW_MS + index,
                key=b"key-%d" % index,
                value=b"value-%d" % index,
            )
            for index in range(records)
        ]
    return RecordBatch.parse(build_batch(records, base_offset=base_offset, **header))


def a_batch_of_payload(payload: bytes, count: int, **header: int) -> RecordBatch:
    """A batch with a right checksum around any records section.

    Args:
        count: What the header says, right or wrong.
        header: Other header fields by their name in `RecordBatch`, for example `attributes`.
    """
    template = a_batch(records=[a_record(timestamp=0)])
    fields = {
        "last_offset_delta": (23, 4, count - 1),
        "attributes": (21, 2, 0),
        "base_timestamp": (27, 8, NOW_MS),
        "max_timestamp": (35, 8, NOW_MS),
        "record_count": (57, 4, count),
        "base_offset": (0, 8, 0),
        "producer_id": (43, 8, -1),
        "producer_epoch": (51, 2, -1),
        "base_sequence": (53, 4, -1),
        "magic": (16, 1, 2),
    }
    data = bytearray(template.data[:HEADER_BYTES]) + payload
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    for name, (position, size, default) in fields.items():
        number = header.pop(name, default)
        data[position : position + size] = number.to_bytes(size, "big", signed=True)
    assert not header, f"unknown header fields: {sorted(header)}"
    return with_right_crc(data)


def with_right_crc(data: bytearray) -> RecordBatch:
    """The batch in the data, after its checksum was corrected."""
    batch = RecordBatch.parse(data)
    # Any change of the max timestamp computes the checksum anew.
    max_timestamp = batch.max_timestamp
    batch.ensure_max_timestamp(max_timestamp ^ 1)
    batch.ensure_max_timestamp(max_timestamp)
    return batch


def varint(number: int) -> bytes:
    """A zig-zag varint, written without the code under test."""
    code = number * 2 if number >= 0 else -number * 2 - 1
    groups = []
    while True:
        groups.append(code % 128)
        code //= 128
        if code == 0:
            break
    return bytes(group + 128 for group in groups[:-1]) + bytes(groups[-1:])


def sized(data: bytes | None) -> bytes:
    """A varint length and the data, or the length -1 of a null."""
    return varint(-1) if data is None else varint(len(data)) + data


def record_bytes(
    offset_delta: int = 0,
    timestamp_delta: int = 0,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    headers: Sequence[tuple[bytes | None, bytes | None]] = (),
    *,
    attributes: int = 0,
    header_count: int | None = None,
    length: int | None = None,
) -> bytes:
    """One record on the wire; `header_count` and `length` may lie."""
    body = (
        bytes([attributes])
        + varint(timestamp_delta)
        + varint(offset_delta)
        + sized(key)
        + sized(value)
        + varint(len(headers) if header_count is None else header_count)
        + b"".join(sized(name) + sized(content) for name, content in headers)
    )
    return varint(len(body) if length is None else length) + body
