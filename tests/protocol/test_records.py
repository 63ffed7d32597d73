from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.records import (
    MalformedRecordError,
    Record,
    RecordFacts,
    check_record_framing,
    encode_records,
    iter_records,
    read_key_values,
)
from tests.harness.batches import record_bytes, sized, varint
from tests.harness.walks import VERSIONS, check_records_with

INT64_MAX = 2**63 - 1


@pytest.fixture(autouse=True, scope="module", params=VERSIONS)
def walk_version(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from check_records_with(request.param)


def framing_error(payload: bytes, count: int = 1) -> str:
    """What the check says; the readers must refuse the same payload with the same words."""
    with pytest.raises(MalformedRecordError) as by_check:
        check_record_framing(payload, count)
    with pytest.raises(MalformedRecordError) as by_reader:
        list(iter_records(payload, count))
    with pytest.raises(MalformedRecordError) as by_short_reader:
        read_key_values(payload, count, 0)
    assert str(by_check.value) == str(by_reader.value) == str(by_short_reader.value)
    return str(by_check.value)


def in_the_middle(record: bytes) -> bytes:
    """The record as the second of three."""
    return record_bytes(0) + record + record_bytes(2)


def test_offset_key_and_value_are_read_without_the_rest() -> None:
    payload = record_bytes(0, headers=[(b"name", b"content")]) + record_bytes(1)

    expected = [
        (record.offset, record.key, record.value)
        for record in iter_records(payload, 2, base_offset=40)
    ]
    assert read_key_values(payload, 2, 40) == expected
    assert [offset for offset, _, _ in expected] == [40, 41]


def test_a_record_is_read_field_by_field() -> None:
    payload = bytes.fromhex(
        "2e"  # length 23
        "07"  # attributes, ignored
        "c801"  # timestamp delta 100
        "03"  # offset delta -2
        "04 6b31"  # key of 2 bytes: k1
        "00"  # value of 0 bytes
        "04"  # 2 headers
        "04 c3a9"  # key of 2 bytes: é
        "01"  # its value: null
        "02 78"  # key of 1 byte: x
        "0e 00010203040506"  # its value of 7 bytes
    )

    (record,) = iter_records(payload, 1, base_offset=10, base_timestamp=1000)

    assert record == Record(8, 1100, b"k1", b"", (("é", None), ("x", bytes(range(7)))))


def test_timestamps_are_replaced_by_the_log_append_time() -> None:
    payload = record_bytes(0, 5) + record_bytes(1, 9)

    times = [record.timestamp for record in iter_records(payload, 2, log_append_time_ms=7)]

    assert times == [7, 7]


def test_the_check_reports_the_facts() -> None:
    payload = (
        record_bytes(0, 5, key=b"a")
        + record_bytes(1, -3, key=b"b")
        + record_bytes(2, 300, key=None)
        + record_bytes(3, 300, key=b"d")
    )

    assert check_record_framing(payload, 4) == RecordFacts(
        has_null_key=True,
        offsets_are_dense=True,
        min_timestamp_delta=-3,
        max_timestamp_delta=300,
        max_timestamp_offset_delta=2,
    )


def test_the_smallest_delta_may_be_above_zero_and_the_largest_below() -> None:
    above = check_record_framing(record_bytes(0, 7) + record_bytes(1, 5), 2)
    below = check_record_framing(record_bytes(0, -7) + record_bytes(1, -5), 2)

    assert (above.min_timestamp_delta, above.max_timestamp_delta) == (5, 7)
    assert (below.min_timestamp_delta, below.max_timestamp_delta) == (-7, -5)
    assert (above.max_timestamp_offset_delta, below.max_timestamp_offset_delta) == (0, 1)


def test_no_records_are_no_facts() -> None:
    assert check_record_framing(b"", 0) == RecordFacts(False, True, 0, 0, 0)
    assert list(iter_records(b"", 0)) == []


@pytest.mark.parametrize("offsets", [(1, 2), (0, 0), (0, 2), (1, 0), (-1, 0), (0, 9000)])
def test_offsets_that_are_not_dense_are_reported_not_refused(offsets: tuple[int, int]) -> None:
    payload = record_bytes(offsets[0]) + record_bytes(offsets[1])

    assert not check_record_framing(payload, 2).offsets_are_dense


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_buffer_is_checked(wrap: type[bytes | bytearray | memoryview]) -> None:
    payload = wrap(record_bytes(0))

    assert check_record_framing(payload, 1).offsets_are_dense
    assert next(iter_records(payload, 1)).key == b"key"


@pytest.mark.parametrize(
    "record",
    [
        record_bytes(1, key=b"", value=b""),
        record_bytes(1, key=None, value=None),
        record_bytes(1, key=b"k" * 63, value=b"v" * 64),
        record_bytes(1, key=b"k" * 64, value=b"v" * 8191),
        record_bytes(1, key=b"k" * 8192, value=b"v" * 1_100_000),
        record_bytes(1, timestamp_delta=2**40),
        record_bytes(1, timestamp_delta=-(2**63)),
        record_bytes(1, timestamp_delta=INT64_MAX),
        record_bytes(2**31 - 1),
        record_bytes(-(2**31)),
        record_bytes(1, attributes=255),
        record_bytes(1, headers=[(b"", None)] * 100),
        record_bytes(1, headers=[(b"k" * 70, b"v" * 20_000)]),
        record_bytes(1, headers=[(b"\xff\xfe", b"not UTF-8")]),
    ],
)
def test_every_well_formed_record_passes(record: bytes) -> None:
    payload = in_the_middle(record)

    facts = check_record_framing(payload, 3)

    read = list(iter_records(payload, 3))
    assert facts.max_timestamp_delta == max(r.timestamp for r in read)
    assert facts.min_timestamp_delta == min(r.timestamp for r in read)


def test_varints_may_be_longer_than_needed() -> None:
    body = b"\0" + b"\x80\x80\x80\x00" + b"\x80\x00" + b"\x82\x80\x00k" + b"\x82\x00v" + b"\x80\x00"
    payload = bytes([len(body) * 2 | 0x80, 0]) + body

    assert check_record_framing(payload, 1).offsets_are_dense
    assert next(iter_records(payload, 1)) == Record(0, 0, b"k", b"v")


def test_bits_of_a_varint_beyond_32_are_dropped_as_kafka_does() -> None:
    body = b"\0" + varint(0) + b"\x82\x80\x80\x80\x70" + sized(None) + sized(None) + varint(0)

    (record,) = iter_records(varint(len(body)) + body, 1)

    assert record.offset == 1
    check_record_framing(varint(len(body)) + body, 1)


@pytest.mark.parametrize("size", [-2, -1000])
def test_any_negative_length_is_a_null_as_kafka_has_it(size: int) -> None:
    body = b"\0" + varint(0) + varint(0) + varint(size) + varint(size) + varint(0)
    payload = varint(len(body)) + body

    assert check_record_framing(payload, 1).has_null_key
    assert next(iter_records(payload, 1)).value is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (record_bytes(1, length=13), "differ by 1 bytes"),
        (record_bytes(1, length=15), "differ by -1 bytes"),
        (record_bytes(1, length=0), "length of 0 bytes is too short"),
        (record_bytes(1, length=5), "length of 5 bytes is too short"),
        (record_bytes(1, length=-8), "length of -8 bytes is too short"),
        (record_bytes(1, length=2**31 - 1), "beyond the end of the batch"),
        (b"\xff\xff\xff\xff\xff" + record_bytes(1), "longer than 5 bytes"),
        (record_bytes(1, header_count=-1), "header count of -1"),
        (record_bytes(1, header_count=-1, headers=[(b"a", b"b")]), "header count of -1"),
        (record_bytes(1, header_count=1), "header count of 1"),
        (record_bytes(1, header_count=2**31 - 1), "header count of 2147483647"),
        (record_bytes(1, headers=[(None, b"value")]), "header key of negative length"),
        (record_bytes(1, headers=[(b"a", b"b")], header_count=2), "differ by|beyond its end|"),
        (record_bytes(1, headers=[(b"a", b"b")], header_count=0), "differ by -4 bytes"),
        (varint(20) + b"\0\0\2" + varint(90) + bytes(16), "a field reaches beyond its end"),
        (varint(20) + b"\0\0\2\1" + varint(90) + bytes(15), "a field reaches beyond its end"),
        (varint(20) + b"\0" + b"\xff" * 19, "longer than 10 bytes"),
        (varint(20) + b"\0\0" + b"\xff" * 18, "longer than 5 bytes"),
        (varint(20) + b"\0\0\2\1\1\2\2a" + varint(90) + bytes(11), "a field reaches beyond"),
    ],
)
def test_a_malformed_record_is_refused_by_index(record: bytes, reason: str) -> None:
    message = framing_error(in_the_middle(record), 3)

    assert message.startswith("record 1 of the batch: ")
    assert any(part in message for part in reason.split("|"))


def test_a_record_is_refused_wherever_the_payload_is_cut() -> None:
    payload = record_bytes(0, headers=[(b"name", b"content")]) + record_bytes(1)
    first = len(record_bytes(0, headers=[(b"name", b"content")]))

    for cut in range(len(payload)):
        message = framing_error(payload[:cut], 2)

        index = int(cut >= first)
        if cut >= 14:  # below, the payload is too small for two records at all
            assert message.startswith(f"record {index} of the batch"), f"cut at {cut}"


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1, "record 1 of the batch: 14 bytes behind the last record"),
        (0, "record 0 of the batch: 28 bytes behind the last record"),
        (3, "record 2 of the batch: it reaches beyond the end of the batch"),
        (5, "record 4 of the batch: 28 bytes cannot hold 5 records"),
        (2**31 - 1, "28 bytes cannot hold 2147483647 records"),
        (-1, "a batch cannot hold -1 records"),
    ],
)
def test_the_count_must_be_that_of_the_records(count: int, reason: str) -> None:
    payload = record_bytes(0, key=b"k", value=b"values") * 2
    assert len(payload) == 28

    assert reason in framing_error(payload, count)


@pytest.mark.parametrize(("base", "delta"), [(INT64_MAX - 4, 5), (-(2**63) + 4, -5)])
def test_a_timestamp_beyond_64_bits_is_refused_by_the_check(base: int, delta: int) -> None:
    payload = record_bytes(0, 0) + record_bytes(1, delta)

    with pytest.raises(MalformedRecordError, match="does not fit 64 bits"):
        check_record_framing(payload, 2, base_timestamp=base)


def test_a_timestamp_beyond_64_bits_wraps_when_it_is_read_as_in_kafka() -> None:
    records = list(iter_records(record_bytes(0, 5), 1, base_timestamp=INT64_MAX - 4))

    assert records[0].timestamp == -(2**63)


def test_timestamps_further_apart_than_63_bits_survive_a_round_trip() -> None:
    records = [Record(0, -5, None, None), Record(1, INT64_MAX, None, None)]

    payload = encode_records(records, [0, 1], base_timestamp=-5)

    assert list(iter_records(payload, 2, base_timestamp=-5)) == records


def test_header_keys_that_are_not_utf8_survive_a_round_trip() -> None:
    payload = record_bytes(0, headers=[(b"\xff\x00", b"x")])

    assert encode_records(list(iter_records(payload, 1)), [0], 0) == payload


def test_records_and_offset_deltas_must_be_as_many() -> None:
    with pytest.raises(ValueError):
        encode_records([Record(0, 0, None, None)], [0, 1], 0)


def facts_or_error(payload: bytes, count: int) -> RecordFacts | None:
    try:
        return check_record_framing(payload, count)
    except MalformedRecordError:
        return None


def facts_by_reading(payload: bytes, count: int) -> RecordFacts | None:
    """What the check must say, from the reader."""
    try:
        records = list(iter_records(payload, count))
    except MalformedRecordError:
        return None
    times = [record.timestamp for record in records]
    return RecordFacts(
        has_null_key=any(record.key is None for record in records),
        offsets_are_dense=[record.offset for record in records] == list(range(count)),
        min_timestamp_delta=min(times),
        max_timestamp_delta=max(times),
        max_timestamp_offset_delta=records[times.index(max(times))].offset,
    )


@pytest.mark.parametrize("seed", range(40))
def test_check_and_reader_agree_on_payloads_with_one_wrong_byte(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([1, 2, 40, 70])
    same_size = rng.random() < 0.6
    payload = b"".join(
        record_bytes(
            index,
            rng.choice([0, index, 70 + index, 10**6]) if not same_size else index // 3,
            None if rng.random() < 0.1 and not same_size else b"key",
            bytes(20 if same_size else rng.choice([0, 5, 100])),
            [(b"h", b"v")] * (0 if same_size else rng.choice([0, 0, 2])),
        )
        for index in range(count)
    )
    assert facts_or_error(payload, count) == facts_by_reading(payload, count) is not None

    for _ in range(60):
        damaged = bytearray(payload)
        for _ in range(rng.choice([1, 1, 2])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 2, 127, 128, 255, 14])
        expected = facts_by_reading(bytes(damaged), count)

        assert facts_or_error(bytes(damaged), count) == expected


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=80), st.integers(1, 12))
def test_check_and_reader_agree_on_random_bytes(payload: bytes, count: int) -> None:
    assert facts_or_error(payload, count) == facts_by_reading(payload, count)
