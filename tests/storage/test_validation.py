"""Which batches are refused and why, and what the accepted ones are made into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record
from pykbroker.storage.validation import (
    InvalidBatchError,
    UndecompressedBatchError,
    needs_decompression,
    validate_batch,
)
from tests.harness.batches import (
    NOW_MS,
    a_batch,
    a_batch_of_payload,
    a_record,
    record_bytes,
    with_right_crc,
)
from tests.harness.walks import VERSIONS, check_records_with

COMPACTED = TopicConfig(cleanup_policy=frozenset({"compact"}))
APPEND_TIME = TopicConfig(message_timestamp_type="LogAppendTime")
TIMESTAMP_TYPE_BIT = 0x08


@pytest.fixture(autouse=True, scope="module", params=VERSIONS)
def walk_version(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from check_records_with(request.param)


def validated(
    batch: RecordBatch | bytes | bytearray,
    config: TopicConfig | None = None,
    *,
    now_ms: int = NOW_MS,
    api_version: int = 9,
) -> RecordBatch:
    data = batch.data if isinstance(batch, RecordBatch) else memoryview(batch)
    return validate_batch(data, config or TopicConfig(), now_ms=now_ms, api_version=api_version)


def refusal(batch: RecordBatch | bytes | bytearray, *args: Any, **kwargs: Any) -> ErrorCode:
    with pytest.raises(InvalidBatchError) as caught:
        validated(batch, *args, **kwargs)
    return caught.value.code


def changed(field: str, number: int, *, records: int = 2) -> RecordBatch:
    """A batch of two good records whose header has one other field, and a right checksum."""
    payload = b"".join(record_bytes(index) for index in range(records))
    return a_batch_of_payload(payload, records, **{field: number})


def test_a_good_batch_is_taken_as_it_is() -> None:
    batch = a_batch(records=3)
    before = bytes(batch.data)

    result = validated(batch)

    assert bytes(result.data) == before
    assert result.data.obj is batch.data.obj, "no copy"


def test_what_is_no_batch_is_an_invalid_record() -> None:
    whole = bytes(a_batch().data)

    assert refusal(b"") == ErrorCode.INVALID_RECORD
    assert refusal(whole[:11]) == ErrorCode.INVALID_RECORD
    assert refusal(whole[:16]) == ErrorCode.INVALID_RECORD
    assert refusal(whole[:-1]) == ErrorCode.INVALID_RECORD


def test_a_partial_batch_behind_the_first_is_dropped() -> None:
    whole = bytes(a_batch().data)

    for extra in (1, 12, 20, len(whole) - 1):
        assert validated(whole + whole[:extra]).size_bytes == len(whole)


def test_two_batches_are_an_invalid_record() -> None:
    whole = bytes(a_batch().data)

    assert refusal(whole + whole) == ErrorCode.INVALID_RECORD
    assert refusal(whole + bytes(20)) == ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize(
    ("magic", "code"),
    [
        (0, ErrorCode.INVALID_RECORD),
        (1, ErrorCode.INVALID_RECORD),
        (3, ErrorCode.CORRUPT_MESSAGE),
        (255, ErrorCode.CORRUPT_MESSAGE),
    ],
)
def test_only_magic_2_is_taken(magic: int, code: ErrorCode) -> None:
    data = bytearray(a_batch().data)
    data[16] = magic

    assert refusal(data) == code


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (-1, ErrorCode.CORRUPT_MESSAGE),
        (13, ErrorCode.CORRUPT_MESSAGE),
        (14, ErrorCode.CORRUPT_MESSAGE),  # a whole batch, but less than its header
        (2**31 - 1, ErrorCode.INVALID_RECORD),  # a partial batch
    ],
)
def test_an_impossible_length_is_refused(length: int, code: ErrorCode) -> None:
    data = bytearray(a_batch().data)
    data[8:12] = length.to_bytes(4, "big", signed=True)

    assert refusal(data[: 12 + length] if length == 14 else data) == code


def test_zstd_needs_produce_v7() -> None:
    batch = a_batch(codec=Codec.ZSTD)

    assert refusal(batch, api_version=6) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert validated(batch, api_version=7).codec is Codec.ZSTD


@pytest.mark.parametrize(
    ("field", "number", "code"),
    [
        ("base_offset", 1, ErrorCode.INVALID_RECORD),
        ("record_count", 0, ErrorCode.INVALID_RECORD),
        ("record_count", -1, ErrorCode.INVALID_RECORD),
        ("record_count", 3, ErrorCode.INVALID_RECORD),
        ("last_offset_delta", 0, ErrorCode.INVALID_RECORD),
        ("last_offset_delta", -1, ErrorCode.INVALID_RECORD),
        ("attributes", 0x20, ErrorCode.INVALID_RECORD),  # control
        ("attributes", 5, ErrorCode.INVALID_RECORD),  # no such codec
        ("attributes", 1, ErrorCode.INVALID_RECORD),  # not gzip
        ("producer_id", 5, ErrorCode.INVALID_RECORD),  # without a sequence
    ],
)
def test_a_header_that_cannot_be_is_refused(field: str, number: int, code: ErrorCode) -> None:
    assert refusal(changed(field, number)) == code


def test_size_is_judged_before_the_checksum() -> None:
    data = bytearray(a_batch(records=10).data)
    data[-1] ^= 1
    small = TopicConfig(max_message_bytes=len(data) - 1)

    assert refusal(data, small) == ErrorCode.MESSAGE_TOO_LARGE
    assert refusal(data) == ErrorCode.CORRUPT_MESSAGE


def test_every_flipped_bit_is_noticed_or_harmless() -> None:
    """The checksum covers all but the fields that the broker writes itself."""
    batch = a_batch(records=2, producer_id=3, producer_epoch=0, base_sequence=0)
    for bit in range(len(batch.data) * 8):
        data = bytearray(batch.data)
        data[bit // 8] ^= 1 << bit % 8
        if 12 <= bit // 8 < 16:  # the leader epoch, which a client cannot know
            validated(data)
        else:
            assert refusal(data) != ErrorCode.NONE


def test_a_malformed_record_is_refused_under_a_right_checksum() -> None:
    longer = a_batch_of_payload(record_bytes() + record_bytes(1, length=40), 2)
    fewer = a_batch_of_payload(record_bytes() + record_bytes(1), 1)
    more = a_batch_of_payload(record_bytes(), 2)

    assert [refusal(batch) for batch in (longer, fewer, more)] == [ErrorCode.INVALID_RECORD] * 3


def test_a_decompression_bomb_is_refused() -> None:
    bomb = build_batch([a_record(value=bytes(70 << 20))], codec=Codec.ZSTD)

    with pytest.raises(UndecompressedBatchError) as caught:
        validated(bomb)

    assert caught.value.code == ErrorCode.INVALID_RECORD


def test_compacted_topics_need_keys() -> None:
    batch = a_batch(records=[a_record(0), a_record(1, key=None), a_record(2, key=None)])

    with pytest.raises(InvalidBatchError) as caught:
        validated(batch, COMPACTED)

    assert caught.value.code == ErrorCode.INVALID_RECORD
    assert [index for index, _ in caught.value.record_errors] == [1, 2]
    assert validated(batch).record_count == 3
    assert validated(a_batch(records=2), COMPACTED).record_count == 2


@pytest.mark.parametrize(
    ("age_ms", "code"),
    [
        (1000, ErrorCode.NONE),
        (1001, ErrorCode.INVALID_TIMESTAMP),
        (-500, ErrorCode.NONE),
        (-501, ErrorCode.INVALID_TIMESTAMP),
    ],
)
def test_timestamps_must_be_in_the_window(age_ms: int, code: ErrorCode) -> None:
    config = TopicConfig(message_timestamp_before_max_ms=1000, message_timestamp_after_max_ms=500)
    batch = a_batch(records=[a_record(0), a_record(1, timestamp=NOW_MS - age_ms)])

    if code is ErrorCode.NONE:
        assert validated(batch, config).max_timestamp == max(NOW_MS, NOW_MS - age_ms)
        return
    with pytest.raises(InvalidBatchError) as caught:
        validated(batch, config)
    assert caught.value.code == code
    assert [index for index, _ in caught.value.record_errors] == [1]


def test_no_timestamp_is_always_in_the_window() -> None:
    config = TopicConfig(message_timestamp_before_max_ms=1000)
    batch = a_batch(records=[a_record(timestamp=-1)])

    assert validated(batch, config).max_timestamp == -1


def test_an_invalid_timestamp_outranks_a_missing_key() -> None:
    batch = a_batch(records=[a_record(0, key=None), a_record(1, timestamp=NOW_MS + 10**9)])

    with pytest.raises(InvalidBatchError) as caught:
        validated(batch, COMPACTED)

    assert caught.value.code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in caught.value.record_errors] == [0, 1]


def test_append_time_replaces_the_producers_time() -> None:
    batch = a_batch(records=[a_record(timestamp=5), a_record(1, timestamp=10**15)])

    result = validated(batch, APPEND_TIME, now_ms=NOW_MS + 3)

    assert result.is_log_append_time
    assert result.max_timestamp == NOW_MS + 3
    assert result.is_crc_valid()
    assert [record.timestamp for record in result.records(1000)] == [NOW_MS + 3] * 2


def test_producers_must_not_set_append_time() -> None:
    batch = a_batch(records=2, log_append_time_ms=NOW_MS)
    assert refusal(batch, APPEND_TIME) == ErrorCode.INVALID_TIMESTAMP

    without_time = a_batch(records=2, log_append_time_ms=-1)
    assert refusal(without_time) == ErrorCode.INVALID_TIMESTAMP


def test_append_time_in_a_topic_of_create_time_becomes_create_time() -> None:
    """As Kafka: only the window is checked, then the records have their own times again."""
    batch = a_batch(records=2, log_append_time_ms=NOW_MS - 7)

    result = validated(batch)

    assert not result.is_log_append_time
    assert result.max_timestamp == NOW_MS - 7
    assert result.is_crc_valid()
    own = a_batch(records=2).records(1000)
    assert [each.timestamp for each in result.records(1000)] == [each.timestamp for each in own]


def test_a_wrong_largest_timestamp_is_corrected() -> None:
    batch = changed("max_timestamp", NOW_MS + 99)

    result = validated(batch)

    assert result.max_timestamp == NOW_MS
    assert result.is_crc_valid()


def test_read_only_data_is_copied() -> None:
    data = bytes(a_batch(records=2).data)

    result = validated(data, APPEND_TIME)

    assert not result.data.readonly
    assert result.max_timestamp == NOW_MS


@pytest.mark.parametrize("source", list(Codec))
@pytest.mark.parametrize("target", ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_the_topic_decides_the_codec(source: Codec, target: str) -> None:
    batch = a_batch(
        records=20,
        codec=source,
        producer_id=4,
        producer_epoch=1,
        base_sequence=8,
        is_transactional=True,
    )
    before = list(batch.records(10_000))
    expected = {"producer": source, "uncompressed": Codec.NONE}.get(target)
    if expected is None:
        expected = Codec[target.upper()]

    result = validated(batch, TopicConfig(compression_type=target))

    assert result.codec is expected
    assert list(result.records(10_000)) == before
    assert (result.producer_id, result.producer_epoch, result.base_sequence) == (4, 1, 8)
    assert result.is_transactional
    assert result.is_crc_valid()


def test_the_level_is_that_of_the_topic() -> None:
    text = b"".join(b"%d " % (n * n % 9973) for n in range(20_000))
    sizes = [
        validated(
            a_batch(records=[a_record(value=text)]),
            TopicConfig(compression_type="gzip", compression_gzip_level=level),
        ).size_bytes
        for level in (1, 9)
    ]

    assert sizes[1] < sizes[0]


def test_the_size_is_judged_again_after_recompression() -> None:
    batch = a_batch(records=[a_record(value=bytes(5000))], codec=Codec.GZIP)
    config = TopicConfig(compression_type="uncompressed", max_message_bytes=1000)

    assert refusal(batch, config) == ErrorCode.MESSAGE_TOO_LARGE


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.LZ4])
def test_offsets_with_gaps_are_closed(codec: Codec) -> None:
    data = build_batch([a_record(0), a_record(5)], codec=codec, keep_offsets=True)
    data[23:27] = (1).to_bytes(4, "big")

    result = validated(with_right_crc(data))

    assert [record.offset for record in result.records(1000)] == [0, 1]
    assert result.codec is codec


def test_append_time_survives_a_rebuild() -> None:
    config = TopicConfig(message_timestamp_type="LogAppendTime", compression_type="gzip")

    result = validated(a_batch(records=3), config, now_ms=NOW_MS + 5)

    assert result.is_log_append_time
    assert result.max_timestamp == NOW_MS + 5


def test_only_compressed_batches_need_decompression() -> None:
    assert not needs_decompression(a_batch().data)
    assert not needs_decompression(memoryview(b"short"))
    assert all(needs_decompression(a_batch(codec=codec).data) for codec in list(Codec)[1:])


def test_a_record_error_says_what_is_wrong() -> None:
    batch = RecordBatch.parse(build_batch([Record(0, NOW_MS, None, b"v")]))

    with pytest.raises(InvalidBatchError, match="1 of 1 records") as caught:
        validated(batch, COMPACTED)

    assert caught.value.record_errors == [(0, "a compacted topic needs records with keys")]
