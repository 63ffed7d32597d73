"""Whether a batch that a client sent may be appended, and in which form (pure).

The order is Kafka's: `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
`LogValidator`. The first rule that fails decides the error:

1. exactly one batch, of magic 2 (a partial one behind it is ignored): INVALID_RECORD; a length or
   magic that cannot be: CORRUPT_MESSAGE; zstd before Produce v7: UNSUPPORTED_COMPRESSION_TYPE;
2. base offset 0: INVALID_RECORD; size within `max.message.bytes`: MESSAGE_TOO_LARGE; checksum:
   CORRUPT_MESSAGE;
3. record count positive and equal to the offset range, no control batch, a base sequence with every
   producer id: INVALID_RECORD;
4. the records decompress, and chain exactly to the end of the batch: INVALID_RECORD;
5. each record has a key if the topic is compacted (INVALID_RECORD) and a timestamp inside of the
   window (INVALID_TIMESTAMP, which wins). These errors name the records.

Then the batch is made what the topic stores: the codec of `compression.type`, offsets without gaps,
the right largest timestamp or the append time. Mostly that changes nothing or a few bytes in place;
otherwise the batch is built anew, and its size judged again.

Deviations from Kafka: an unknown codec and records that do not decompress are INVALID_RECORD, not
UNKNOWN_SERVER_ERROR. Uncompressed batches with gaps in their offsets are built anew as compressed
ones are; Kafka stores offsets that contradict the batch.

Nothing here touches the log, so large batches may be validated in a worker thread.
"""

import struct
from collections.abc import Sequence
from typing import Final

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.compression import Codec, DecompressionError
from pykbroker.protocol.errors import CorruptBatchError, ErrorCode, KafkaError
from pykbroker.protocol.record_batch import (
    HEADER_BYTES,
    LOG_OVERHEAD_BYTES,
    MAGIC,
    MAGIC_POSITION,
    RecordBatch,
    build_batch,
)
from pykbroker.protocol.records import NO_TIMESTAMP, Record, RecordFacts

FIRST_ZSTD_VERSION: Final = 7  # KIP-110

_LENGTH: Final = struct.Struct(">i")
_LENGTH_POSITION: Final = 8
_CODEC_POSITION: Final = 22  # the low byte of the attributes
_CODEC_MASK: Final = 0x07
_MIN_LEGACY_BYTES: Final = 14  # of a record in the oldest format
# What a batch may decompress to, in multiples of what a batch may have: a bomb has more.
_MAX_INFLATION: Final = 64
_MIN_INFLATED_LIMIT_BYTES: Final = 64 << 20

_TARGET_CODECS: Final = {
    "uncompressed": Codec.NONE,
    "gzip": Codec.GZIP,
    "snappy": Codec.SNAPPY,
    "lz4": Codec.LZ4,
    "zstd": Codec.ZSTD,
}


class InvalidBatchError(KafkaError):
    """The batch is refused.

    Attributes:
        record_errors: (index, message) of the records that are at fault, where single ones are.
    """

    def __init__(
        self, code: ErrorCode, message: str, record_errors: Sequence[tuple[int, str]] = ()
    ) -> None:
        super().__init__(code, message)
        self.record_errors = list(record_errors)


class UndecompressedBatchError(InvalidBatchError):
    """The records do not decompress, or to too much."""


class ImpossibleBatchError(InvalidBatchError):
    """The first bytes cannot be a batch: Kafka fails on them while it looks at the request."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.CORRUPT_MESSAGE, message)


def needs_decompression(data: memoryview) -> bool:
    """Whether validating the batch takes decompressing it, so that a large one is slow."""
    return len(data) > _CODEC_POSITION and data[_CODEC_POSITION] & _CODEC_MASK != 0


def validate_batch(
    data: memoryview,
    config: TopicConfig,
    *,
    now_ms: int,
    api_version: int,
    max_inflated_bytes: int | None = None,
) -> RecordBatch:
    """Check the records of one partition in a Produce request.

    Args:
        data: The records field; changed in place where it is writable, else copied.
        config: The topic's settings.
        now_ms: Wall time.
        api_version: Of the Produce request.
        max_inflated_bytes: What the records may decompress to; default: `inflated_limit`.

    Returns:
        The batch to append: a view of `data`, or a batch built anew.

    Raises:
        InvalidBatchError: See the module.
    """
    batch = find_only_batch(data, api_version)
    _validate_header(batch, config)
    try:
        source = batch.codec
        if max_inflated_bytes is None:
            max_inflated_bytes = inflated_limit(config)
        facts = batch.check_records(max_inflated_bytes)
    except DecompressionError as error:
        raise UndecompressedBatchError(ErrorCode.INVALID_RECORD, str(error)) from error
    except CorruptBatchError as error:
        raise InvalidBatchError(ErrorCode.INVALID_RECORD, str(error)) from error

    is_append_time = config.message_timestamp_type == "LogAppendTime"
    if _may_have_record_errors(batch, facts, config, now_ms, is_append_time):
        _validate_records(batch, config, now_ms, is_append_time)
    target = _TARGET_CODECS.get(config.compression_type, source)
    if source is not target or not facts.offsets_are_dense:
        return _rebuild(batch, target, config, now_ms if is_append_time else None)
    if batch.data.readonly:
        batch = RecordBatch.parse(bytearray(batch.data))
    if is_append_time:
        batch.set_log_append_time(now_ms)
    elif batch.is_log_append_time:
        # The records have their own times again; the largest stays the one that was checked.
        batch.set_create_time()
    else:
        latest = batch.base_timestamp + facts.max_timestamp_delta
        batch.ensure_max_timestamp(max(latest, NO_TIMESTAMP))
    return batch


def inflated_limit(config: TopicConfig) -> int:
    """Return how many bytes the records of a batch may decompress to."""
    return max(config.max_message_bytes * _MAX_INFLATION, _MIN_INFLATED_LIMIT_BYTES)


def find_only_batch(data: memoryview, api_version: int) -> RecordBatch:
    """Find the one batch that there must be, rule 1 of the module.

    Raises:
        InvalidBatchError: There is no such batch.
    """
    size_bytes = _size_of_whole_batch(data, 0)
    if size_bytes is None:
        raise InvalidBatchError(ErrorCode.INVALID_RECORD, "there is no whole record batch")
    magic = data[MAGIC_POSITION]
    if magic != MAGIC:
        raise InvalidBatchError(
            ErrorCode.INVALID_RECORD, f"record batches must have magic 2, not {magic}"
        )
    if (
        api_version < FIRST_ZSTD_VERSION
        and size_bytes > _CODEC_POSITION
        and data[_CODEC_POSITION] & _CODEC_MASK == Codec.ZSTD
    ):
        raise InvalidBatchError(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            f"zstd needs Produce v{FIRST_ZSTD_VERSION}, not v{api_version}",
        )
    is_alone = size_bytes == len(data)
    if not is_alone and _size_of_whole_batch(data, size_bytes) is not None:
        raise InvalidBatchError(
            ErrorCode.INVALID_RECORD, "there must be exactly one record batch for a partition"
        )
    if size_bytes < HEADER_BYTES:
        raise InvalidBatchError(
            ErrorCode.CORRUPT_MESSAGE, f"a batch of {size_bytes} bytes is less than its header"
        )
    return RecordBatch.parse(data if is_alone else data[:size_bytes])


def _size_of_whole_batch(data: memoryview, position: int) -> int | None:
    """Return the size of the batch at `position`; None if there is none, or a part of one.

    Kafka's `ByteBufferLogInputStream.nextBatch`.
    """
    remaining = len(data) - position
    if remaining < LOG_OVERHEAD_BYTES:
        return None
    (length,) = _LENGTH.unpack_from(data, position + _LENGTH_POSITION)
    if length < _MIN_LEGACY_BYTES:
        raise _impossible(position, f"impossible batch length {length}")
    if remaining <= MAGIC_POSITION:
        return None
    magic = data[position + MAGIC_POSITION]
    if magic > MAGIC:
        raise _impossible(position, f"impossible magic {magic}")
    size_bytes: int = length + LOG_OVERHEAD_BYTES
    return size_bytes if size_bytes <= remaining else None


def _impossible(position: int, message: str) -> InvalidBatchError:
    if position == 0:
        return ImpossibleBatchError(message)
    return InvalidBatchError(ErrorCode.CORRUPT_MESSAGE, message)


def _validate_header(batch: RecordBatch, config: TopicConfig) -> None:
    if batch.base_offset != 0:
        raise InvalidBatchError(
            ErrorCode.INVALID_RECORD, f"the base offset must be 0, not {batch.base_offset}"
        )
    _validate_size(batch, config)
    if not batch.is_crc_valid():
        raise InvalidBatchError(
            ErrorCode.CORRUPT_MESSAGE, f"the checksum is not {batch.crc:#010x} as the batch says"
        )
    count = batch.record_count
    if count <= 0 or batch.last_offset_delta != count - 1:
        raise InvalidBatchError(
            ErrorCode.INVALID_RECORD,
            f"{count} records cannot span offsets 0 to {batch.last_offset_delta}",
        )
    if batch.is_control:
        raise InvalidBatchError(ErrorCode.INVALID_RECORD, "clients may not write control records")
    if batch.has_producer_id and batch.base_sequence < 0:
        raise InvalidBatchError(
            ErrorCode.INVALID_RECORD,
            f"producer {batch.producer_id} sent base sequence {batch.base_sequence}",
        )


def _validate_size(batch: RecordBatch, config: TopicConfig) -> None:
    if batch.size_bytes > config.max_message_bytes:
        raise InvalidBatchError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the batch has {batch.size_bytes} bytes, the topic takes {config.max_message_bytes}",
        )


def _may_have_record_errors(
    batch: RecordBatch, facts: RecordFacts, config: TopicConfig, now_ms: int, is_append_time: bool
) -> bool:
    """Whether the records must be looked at one by one; what is known of all may rule that out."""
    if batch.is_log_append_time:
        return True
    if facts.has_null_key and config.is_compacted:
        return True
    if is_append_time:
        return False
    earliest = batch.base_timestamp + facts.min_timestamp_delta
    latest = batch.base_timestamp + facts.max_timestamp_delta
    return (
        now_ms - earliest > config.message_timestamp_before_max_ms
        or latest - now_ms > config.message_timestamp_after_max_ms
    )


def _validate_records(
    batch: RecordBatch, config: TopicConfig, now_ms: int, is_append_time: bool
) -> None:
    record_errors: list[tuple[int, str]] = []
    has_invalid_timestamp = False
    for index, record in enumerate(batch.records(inflated_limit(config))):
        if config.is_compacted and record.key is None:
            record_errors.append((index, "a compacted topic needs records with keys"))
            continue
        message = _timestamp_error(batch, record, config, now_ms, is_append_time)
        if message is not None:
            has_invalid_timestamp = True
            record_errors.append((index, message))
    if not record_errors:
        return
    code = ErrorCode.INVALID_TIMESTAMP if has_invalid_timestamp else ErrorCode.INVALID_RECORD
    reason = "an invalid timestamp" if has_invalid_timestamp else record_errors[0][1]
    raise InvalidBatchError(
        code,
        f"{len(record_errors)} of {batch.record_count} records were refused: {reason}",
        record_errors,
    )


def _timestamp_error(
    batch: RecordBatch, record: Record, config: TopicConfig, now_ms: int, is_append_time: bool
) -> str | None:
    """Kafka's `LogValidator.validateTimestamp`."""
    if not is_append_time and record.timestamp != NO_TIMESTAMP:
        age_ms = now_ms - record.timestamp
        earliest_ms = now_ms - config.message_timestamp_before_max_ms
        latest_ms = now_ms + config.message_timestamp_after_max_ms
        if (
            age_ms > config.message_timestamp_before_max_ms
            or -age_ms > config.message_timestamp_after_max_ms
        ):
            return f"timestamp {record.timestamp} is not within [{earliest_ms}, {latest_ms}]"
    elif batch.is_log_append_time:
        return "a producer must not set the timestamp type to LogAppendTime"
    return None


def _rebuild(
    batch: RecordBatch, codec: Codec, config: TopicConfig, log_append_time_ms: int | None
) -> RecordBatch:
    levels = {
        Codec.GZIP: config.compression_gzip_level,
        Codec.LZ4: config.compression_lz4_level,
        Codec.ZSTD: config.compression_zstd_level,
    }
    rebuilt = RecordBatch.parse(
        build_batch(
            list(batch.records(inflated_limit(config))),
            codec=codec,
            level=levels.get(codec),
            log_append_time_ms=log_append_time_ms,
            producer_id=batch.producer_id,
            producer_epoch=batch.producer_epoch,
            base_sequence=batch.base_sequence,
            is_transactional=batch.is_transactional,
        )
    )
    _validate_size(rebuilt, config)
    return rebuilt
