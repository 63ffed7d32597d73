from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.record_batch import (
    HEADER_BYTES,
    MAX_SEQUENCE,
    CorruptBatchError,
    RecordBatch,
    TruncatedBatchError,
    build_batch,
    iter_batches,
    magic_at,
)
from pykbroker.protocol.records import MalformedRecordError, Record, RecordFacts
from tests.harness.batches import (
    NOW_MS,
    a_batch,
    a_batch_of_payload,
    a_record,
    record_bytes,
    with_right_crc,
)
from tests.harness.oracles import kafka_python

LIMIT = 1_000_000

TWO_RECORDS = bytes.fromhex(
    "0000000000000007"  # base offset 7
    "00000048"  # batch length 72
    "00000005"  # partition leader epoch 5
    "02"  # magic
    "8535597d"  # crc
    "0010"  # attributes: transactional
    "00000001"  # last offset delta 1
    "0000018bcfe56800"  # base timestamp 1700000000000
    "0000018bcfe56803"  # max timestamp, 3 ms later
    "0000000000000fa1"  # producer id 4001
    "0002"  # producer epoch 2
    "0000000a"  # base sequence 10
    "00000002"  # record count 2
    # first record
    "16"  # length 11
    "00"  # attributes
    "00"  # timestamp delta 0
    "00"  # offset delta 0
    "02 6b"  # key of 1 byte: k
    "02 76"  # value of 1 byte: v
    "02"  # 1 header
    "02 68"  # its key of 1 byte: h
    "01"  # its value: null
    # second record
    "14"  # length 10
    "00"  # attributes
    "06"  # timestamp delta 3
    "02"  # offset delta 1
    "01"  # key: null
    "08 74657874"  # value of 4 bytes: text
    "00"  # no headers
)
THE_TWO = [
    Record(7, NOW_MS, b"k", b"v", (("h", None),)),
    Record(8, NOW_MS + 3, None, b"text", ()),
]


def test_every_header_field_is_read_from_its_place() -> None:
    batch = RecordBatch.parse(TWO_RECORDS)

    assert batch.base_offset == 7
    assert batch.batch_length == 72
    assert batch.partition_leader_epoch == 5
    assert batch.magic == 2
    assert batch.crc == 0x8535597D
    assert batch.attributes == 0x10
    assert batch.last_offset_delta == 1
    assert batch.base_timestamp == NOW_MS
    assert batch.max_timestamp == NOW_MS + 3
    assert batch.producer_id == 4001
    assert batch.producer_epoch == 2
    assert batch.base_sequence == 10
    assert batch.record_count == 2
    assert batch.size_bytes == len(TWO_RECORDS) == 84
    assert batch.last_offset == 8
    assert batch.last_sequence == 11
    assert batch.is_crc_valid()
    assert list(batch.records(LIMIT)) == THE_TWO
    assert batch.key_values(LIMIT) == [(each.offset, each.key, each.value) for each in THE_TWO]


def test_building_writes_the_same_bytes() -> None:
    built = build_batch(
        THE_TWO,
        base_offset=7,
        leader_epoch=5,
        producer_id=4001,
        producer_epoch=2,
        base_sequence=10,
        is_transactional=True,
    )

    assert built.hex() == TWO_RECORDS.hex()


def test_a_batch_is_read_at_a_position_and_takes_only_its_bytes() -> None:
    data = b"before" + TWO_RECORDS + b"behind"

    batch = RecordBatch.parse(data, 6)

    assert batch.data == TWO_RECORDS
    assert batch.payload == TWO_RECORDS[HEADER_BYTES:]


@pytest.mark.parametrize("size", [0, 1, 11, 12, 60, 61, 83])
def test_a_cut_off_batch_is_said_to_be_truncated(size: int) -> None:
    with pytest.raises(TruncatedBatchError):
        RecordBatch.parse(TWO_RECORDS[:size])


@pytest.mark.parametrize("length", [48, 14, 0, -1, -(2**31)])
def test_a_length_below_that_of_the_header_is_corrupt(length: int) -> None:
    data = bytearray(TWO_RECORDS)
    data[8:12] = length.to_bytes(4, "big", signed=True)

    with pytest.raises(CorruptBatchError, match="fewer than its header") as failure:
        RecordBatch.parse(data)

    assert not isinstance(failure.value, TruncatedBatchError)


def test_the_checksum_covers_everything_from_the_attributes_on() -> None:
    for position in range(len(TWO_RECORDS)):
        data = bytearray(TWO_RECORDS)
        data[position] ^= 0x40
        if 8 <= position < 12:
            continue  # the length makes it another batch
        valid = RecordBatch.parse(data).is_crc_valid()

        assert valid == (position < 17), f"byte {position}"


def test_the_attributes_say_what_the_batch_is() -> None:
    plain = a_batch()
    control = a_batch(is_control=True, is_transactional=True, producer_id=1)
    appended = a_batch(log_append_time_ms=5)
    horizon = a_batch_of_payload(b"", 0, attributes=0x40)

    assert (plain.is_control, plain.is_transactional, plain.is_log_append_time) == (False,) * 3
    assert not plain.has_delete_horizon
    assert not plain.has_producer_id
    assert control.is_control
    assert control.is_transactional
    assert control.has_producer_id
    assert appended.is_log_append_time
    assert horizon.has_delete_horizon


@pytest.mark.parametrize("codec", Codec)
def test_the_codec_is_in_the_attributes(codec: Codec) -> None:
    batch = a_batch(records=3, codec=codec)

    assert batch.codec is codec
    assert [record.value for record in batch.records(LIMIT)] == [
        b"value-0",
        b"value-1",
        b"value-2",
    ]


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_is_corrupt(codec: int) -> None:
    batch = a_batch_of_payload(record_bytes(), 1, attributes=codec)

    with pytest.raises(CorruptBatchError, match=f"no compression codec {codec}"):
        _ = batch.codec
    with pytest.raises(CorruptBatchError):
        batch.records(LIMIT)


@pytest.mark.parametrize(
    ("base_sequence", "delta", "last"),
    [
        (0, 0, 0),
        (5, 4, 9),
        (MAX_SEQUENCE - 1, 1, MAX_SEQUENCE),
        (MAX_SEQUENCE, 1, 0),
        (MAX_SEQUENCE - 2, 9, 6),
        (-1, 9, -1),
    ],
)
def test_sequence_numbers_wrap_to_zero(base_sequence: int, delta: int, last: int) -> None:
    batch = a_batch_of_payload(b"", 1, base_sequence=base_sequence, last_offset_delta=delta)

    assert batch.last_sequence == last


def test_assigning_changes_the_first_sixteen_bytes_in_place_and_keeps_the_checksum() -> None:
    request = bytearray(b"xx") + TWO_RECORDS
    batch = RecordBatch.parse(memoryview(request), 2)

    batch.assign(2**40, 77)

    assert batch.base_offset == 2**40
    assert batch.partition_leader_epoch == 77
    assert batch.is_crc_valid()
    assert request[2:] == (struct.pack(">qii", 2**40, 72, 77) + TWO_RECORDS[16:]), (
        "in the memory of the request"
    )
    assert [record.offset for record in batch.records(LIMIT)] == [2**40, 2**40 + 1]


def test_log_append_time_replaces_all_timestamps_and_corrects_the_checksum() -> None:
    batch = RecordBatch.parse(bytearray(TWO_RECORDS))

    batch.set_log_append_time(NOW_MS + 99)

    again = RecordBatch.parse(batch.data)
    assert again.is_crc_valid()
    assert batch.crc == again.crc
    assert again.is_log_append_time
    assert again.is_transactional
    assert again.max_timestamp == batch.max_timestamp == NOW_MS + 99
    assert {record.timestamp for record in again.records(LIMIT)} == {NOW_MS + 99}


def test_a_wrong_max_timestamp_is_corrected_and_a_right_one_not_touched() -> None:
    batch = RecordBatch.parse(bytearray(TWO_RECORDS))

    batch.ensure_max_timestamp(NOW_MS + 3)
    assert batch.data == TWO_RECORDS

    batch.ensure_max_timestamp(NOW_MS + 4)
    again = RecordBatch.parse(batch.data)
    assert again.max_timestamp == NOW_MS + 4
    assert again.is_crc_valid()


def test_a_batch_in_read_only_memory_can_be_read_but_not_changed() -> None:
    batch = RecordBatch.parse(TWO_RECORDS)

    with pytest.raises(TypeError):
        batch.assign(1, 1)


def test_batches_follow_each_other_until_a_partial_one() -> None:
    batches = [a_batch(0, records=2), a_batch(2, records=1), a_batch(3, records=5)]
    whole = b"".join(batch.data for batch in batches)
    ends = [0, batches[0].size_bytes, batches[0].size_bytes + batches[1].size_bytes, len(whole)]

    for cut in range(len(whole) + 1):
        found = [batch.base_offset for batch in iter_batches(whole[:cut])]

        assert found == [0, 2, 3][: sum(end <= cut for end in ends) - 1], f"cut at {cut}"


def test_an_impossible_length_between_batches_is_not_skipped() -> None:
    batches = iter_batches(TWO_RECORDS + bytes(12))

    assert next(batches).base_offset == 7
    with pytest.raises(CorruptBatchError):
        next(batches)


@pytest.mark.parametrize("magic", [0, 1, 2, 3, 255])
def test_the_magic_is_at_the_same_place_in_all_formats(magic: int) -> None:
    message_set = bytes(16) + bytes([magic])

    assert magic_at(message_set) == magic
    assert magic_at(memoryview(b"..." + message_set), 3) == magic
    assert magic_at(message_set[:16]) is None


def test_records_are_numbered_from_the_base_offset_whatever_their_own_offsets_are() -> None:
    batch = a_batch(100, records=[a_record(5), a_record(5), a_record(90)])

    assert [record.offset for record in batch.records(LIMIT)] == [100, 101, 102]
    assert batch.last_offset_delta == 2


def test_offsets_with_gaps_are_kept_on_demand() -> None:
    records = [a_record(102), a_record(105)]

    batch = a_batch(100, records=records, keep_offsets=True)

    assert [record.offset for record in batch.records(LIMIT)] == [102, 105]
    assert batch.last_offset == 105
    assert not batch.check_records(LIMIT).offsets_are_dense


@pytest.mark.parametrize("offsets", [(99, 100), (100, 100), (101, 100)])
def test_offsets_that_do_not_ascend_are_refused(offsets: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="do not ascend from 100"):
        a_batch(100, records=[a_record(offset) for offset in offsets], keep_offsets=True)


def test_a_batch_without_records_is_not_built() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        build_batch([])


def test_the_max_timestamp_is_the_largest_not_the_last() -> None:
    times = (NOW_MS + 5, NOW_MS + 9, NOW_MS - 7)

    batch = a_batch(records=[a_record(timestamp=time) for time in times])

    assert batch.base_timestamp == NOW_MS + 5
    assert batch.max_timestamp == NOW_MS + 9
    assert [record.timestamp for record in batch.records(LIMIT)] == list(times)


def test_records_without_timestamp_have_the_max_timestamp_minus_one() -> None:
    assert a_batch(records=[a_record(timestamp=-1), a_record(timestamp=-5)]).max_timestamp == -1


def test_checking_says_what_the_records_are_like() -> None:
    batch = RecordBatch.parse(TWO_RECORDS)

    assert batch.check_records(LIMIT) == RecordFacts(
        has_null_key=True,
        offsets_are_dense=True,
        min_timestamp_delta=0,
        max_timestamp_delta=3,
        max_timestamp_offset_delta=1,
    )


@pytest.mark.parametrize("codec", Codec)
def test_a_malformed_record_is_found_behind_each_codec(codec: Codec) -> None:
    good = a_batch(records=4, codec=codec)
    bad = a_batch_of_payload(bytes(good.payload), 5, attributes=codec)

    assert good.check_records(LIMIT).offsets_are_dense
    with pytest.raises(MalformedRecordError):
        bad.check_records(LIMIT)
    with pytest.raises(MalformedRecordError):
        list(bad.records(LIMIT))


@pytest.mark.parametrize("codec", Codec)
def test_records_above_the_limit_are_not_decompressed(codec: Codec) -> None:
    batch = a_batch(records=[a_record(value=bytes(100_000))], codec=codec)

    assert len(list(batch.records(101_000))) == 1
    with pytest.raises(CorruptBatchError):
        batch.records(99_000)


def test_a_batch_shows_its_offset_and_size() -> None:
    assert repr(a_batch(4)) == "RecordBatch(base_offset=4, record_count=1, size_bytes=80)"


def test_damage_behind_the_checksum_is_only_ever_a_corrupt_batch() -> None:
    batch = a_batch(records=3)
    for position in range(16, batch.size_bytes):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            data = bytearray(batch.data)
            data[position] = value
            damaged = with_right_crc(data)
            try:
                list(damaged.records(LIMIT))
                damaged.check_records(LIMIT)
            except CorruptBatchError:
                pass


headers = st.lists(
    st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3
).map(tuple)
records = st.lists(
    st.builds(
        Record,
        offset=st.just(0),
        timestamp=st.integers(-1, NOW_MS + 10**6) | st.integers(NOW_MS, NOW_MS + 300),
        key=st.none() | st.binary(max_size=200),
        value=st.none() | st.binary(max_size=200),
        headers=headers,
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(records, st.sampled_from(Codec), st.integers(0, 2**62))
def test_what_was_built_is_read_back(built: list[Record], codec: Codec, base_offset: int) -> None:
    batch = RecordBatch.parse(build_batch(built, base_offset=base_offset, codec=codec))

    expected = [
        Record(base_offset + index, record.timestamp, record.key, record.value, record.headers)
        for index, record in enumerate(built)
    ]
    assert batch.is_crc_valid()
    assert list(batch.records(LIMIT)) == expected
    facts = batch.check_records(LIMIT)
    assert facts.offsets_are_dense
    assert facts.has_null_key == any(record.key is None for record in built)
    assert batch.base_timestamp + facts.min_timestamp_delta == min(r.timestamp for r in built)
    times = [record.timestamp for record in built]
    assert facts.max_timestamp_delta + batch.base_timestamp == max(times)
    assert facts.max_timestamp_offset_delta == times.index(max(times))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_only_ever_a_corrupt_batch(data: bytes) -> None:
    try:
        for batch in iter_batches(data):
            batch.is_crc_valid()
            batch.check_records(LIMIT)
    except CorruptBatchError:
        pass


def theirs_and_ours(codec: int, built: list[Record]) -> tuple[bytes, bytearray]:
    """The same batch by kafka-python and by us."""
    builder: Any = kafka_python("record.default_records").DefaultRecordBatchBuilder(
        2, codec, True, 7, 3, 100, LIMIT
    )
    for index, record in enumerate(built):
        builder.append(index, record.timestamp, record.key, record.value, list(record.headers))
    ours = build_batch(
        built,
        codec=Codec(codec),
        leader_epoch=0,
        producer_id=7,
        producer_epoch=3,
        base_sequence=100,
        is_transactional=True,
    )
    return bytes(builder.build()), ours


SOME_RECORDS = [
    a_record(
        index,
        timestamp=NOW_MS + 37 * index - (index % 3) * 100,
        key=None if index % 5 == 0 else b"key-%d" % index,
        value=None if index % 7 == 0 else b"value" * index,
        headers=(("trace", b"%d" % index), ("null", None)) if index % 3 == 0 else (),
    )
    for index in range(80)
]


def test_an_uncompressed_batch_is_the_same_byte_for_byte_as_that_of_kafka_python() -> None:
    theirs, ours = theirs_and_ours(0, SOME_RECORDS)

    assert ours == theirs
    assert list(RecordBatch.parse(theirs).records(LIMIT)) == SOME_RECORDS


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.GZIP])
def test_kafka_python_and_we_read_each_others_batches(codec: Codec) -> None:
    theirs, ours = theirs_and_ours(codec, SOME_RECORDS)

    read_by_them = kafka_python("record.default_records").DefaultRecordBatch(bytes(ours))

    assert read_by_them.validate_crc()
    assert [
        Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in read_by_them
    ] == SOME_RECORDS
    assert RecordBatch.parse(theirs).is_crc_valid()
    assert list(RecordBatch.parse(theirs).records(LIMIT)) == SOME_RECORDS


@pytest.mark.parametrize("codec", Codec)
def test_aiokafka_and_we_read_each_others_batches(codec: Codec) -> None:
    from aiokafka.record.default_records import (
        DefaultRecordBatch,
        DefaultRecordBatchBuilder,
    )

    builder = DefaultRecordBatchBuilder(2, codec, 0, 7, 3, 100, LIMIT)
    for index, record in enumerate(SOME_RECORDS):
        builder.append(
            index, record.timestamp, record.key, record.value, headers=list(record.headers)
        )
    theirs = RecordBatch.parse(bytes(builder.build()))
    ours = build_batch(SOME_RECORDS, codec=codec)

    read_by_them = DefaultRecordBatch(bytes(ours))

    assert theirs.is_crc_valid()
    assert theirs.codec is codec
    assert list(theirs.records(LIMIT)) == SOME_RECORDS
    assert read_by_them.validate_crc()
    assert [
        Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in read_by_them
    ] == SOME_RECORDS
