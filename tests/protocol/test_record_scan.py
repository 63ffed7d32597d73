"""Reading keys in columns: the same as reading records one by one; copying parts of a section."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.protocol.record_scan import CHUNK_RECORDS, copy_records, iter_keys
from pykbroker.protocol.records import MalformedRecordError, Record, encode_records, iter_records
from tests.harness.batches import record_bytes

Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
SMALL = st.binary(max_size=6)
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 20_000),  # to the next offset
        st.one_of(st.integers(-5, 300), st.integers(-(1 << 62), 1 << 62)),
        st.none() | SMALL | st.binary(min_size=60, max_size=140),
        st.none() | SMALL | st.binary(min_size=120, max_size=20_000),
        st.lists(st.tuples(st.just("h"), st.none() | SMALL), max_size=2),
    ),
    max_size=40,
)


def encoded(rows: list[Row]) -> tuple[bytes, list[Record]]:
    offset = -1
    records = []
    for step, timestamp, key, value, headers in rows:
        offset += 1 + step
        records.append(Record(offset, timestamp, key, value, tuple(headers)))
    return encode_records(records, [record.offset for record in records], 0), records


def check(payload: bytes, records: list[Record]) -> None:
    """The columns say of each record what reading it says."""
    found = []
    position = 0
    for columns in iter_keys(payload, len(records)):
        assert columns.start == position
        nulls = set(columns.nulls)
        for index, (end, delta, key) in enumerate(
            zip(columns.ends, columns.offset_deltas, columns.keys, strict=True)
        ):
            (record,) = iter_records(payload[position:end], 1)
            assert (record.offset, record.key) == (delta, key)
            assert (index in nulls) == (record.value is None)
            found.append(record)
            position = end
        assert columns.has_null_key == (None in columns.keys)
        assert columns.longest_key_bytes >= max(len(key or b"") for key in columns.keys) or (
            columns.longest_key_bytes == -1 and set(columns.keys) == {None}
        )
        assert len(columns.keys) <= CHUNK_RECORDS
    assert found == records


@given(RECORDS)
def test_columns_say_what_the_records_say(rows: list[Row]) -> None:
    check(*encoded(rows))


@pytest.mark.parametrize("key", [b"key-of-12-by", b"", None])
@pytest.mark.parametrize("value", [b"v" * 70, None])
def test_records_of_one_shape_too(key: bytes | None, value: bytes | None) -> None:
    check(*encoded([(0, index // 3, key, value, []) for index in range(9000)]))


def test_shapes_may_change_within_a_batch() -> None:
    rows: list[Row] = [
        (0, 5, b"k" * (1 if 200 < i < 230 else 3), b"v" * (i // 100), []) for i in range(700)
    ]
    check(*encoded(rows))


def test_no_records_are_no_columns() -> None:
    assert list(iter_keys(b"", 0)) == []


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (record_bytes(), 2),
        (record_bytes() + record_bytes(1), 1),
        (record_bytes()[:-1], 1),
        (record_bytes(length=5), 1),
        (record_bytes(length=-9), 1),
        (record_bytes(key=b"x" * 20, length=8), 1),
        (b"\xff" * 30, 1),
    ],
)
def test_a_malformed_record_is_refused(payload: bytes, count: int) -> None:
    with pytest.raises(MalformedRecordError):
        list(iter_keys(payload, count))


@given(RECORDS.filter(bool), st.data())
def test_parts_are_copied_as_they_are(rows: list[Row], data: st.DataObject) -> None:
    payload, records = encoded(rows)
    ends = [end for columns in iter_keys(payload, len(records)) for end in columns.ends]
    starts = [0, *ends]
    kept = data.draw(st.lists(st.sampled_from(range(len(records))), unique=True, min_size=1))
    kept.sort()

    copied, largest = copy_records(payload, [(starts[i], ends[i]) for i in kept])

    assert list(iter_records(copied, len(kept))) == [records[i] for i in kept]
    assert largest == max(records[i].timestamp for i in kept)


@given(RECORDS.filter(bool), st.integers(-(1 << 62), 1 << 62))
def test_a_shift_changes_timestamps_only(rows: list[Row], shift: int) -> None:
    payload, records = encoded(rows)

    copied, largest = copy_records(payload, [(0, len(payload))], timestamp_shift=shift)

    moved = list(iter_records(copied, len(records), base_timestamp=-shift))
    assert moved == records
    assert largest == max(record.timestamp for record in records)
