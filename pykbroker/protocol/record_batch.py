"""Record batches, the unit in which records travel and are stored (batch magic 2).

Format, big-endian (Kafka's `DefaultRecordBatch`):

     0  base offset             int64
     8  batch length            int32   bytes behind this field
    12  partition leader epoch  int32
    16  magic                   int8    2
    17  crc                     uint32  CRC-32C of everything from the attributes to the end
    21  attributes              int16   bits 0-2 codec, 3 timestamp type (1 = log append time),
                                        4 transactional, 5 control, 6 delete horizon
    23  last offset delta       int32
    27  base timestamp          int64   the delete horizon instead, if bit 6 is set
    35  max timestamp           int64
    43  producer id             int64   -1 without
    51  producer epoch          int16   -1 without
    53  base sequence           int32   -1 without
    57  record count            int32
    61  records                         compressed as a whole, see `records` and `compression`

The broker changes the first 16 bytes of a batch that it stores, which the checksum leaves out. Only
log append time changes more, and therefore the checksum.

Older formats (message sets of magic 0 and 1) have the magic at the same position and are only
recognised, by `magic_at`: no supported version of Produce carries them.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from struct import Struct
from typing import Final, Self

from pykbroker.protocol import crc
from pykbroker.protocol.compression import Buffer, Codec, compress, decompress
from pykbroker.protocol.errors import CorruptBatchError as CorruptBatchError
from pykbroker.protocol.records import (
    NO_TIMESTAMP,
    KeyValue,
    Record,
    RecordFacts,
    check_record_framing,
    encode_records,
    iter_records,
    read_key_values,
)

HEADER_BYTES: Final = 61
LOG_OVERHEAD_BYTES: Final = 12  # base offset and batch length, in all formats
MAGIC: Final = 2
MAX_SEQUENCE: Final = 2**31 - 1  # the next one is 0

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_LEADER_EPOCH: Final = -1

CODEC_MASK: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
DELETE_HORIZON: Final = 0x40
KNOWN_ATTRIBUTES: Final = 0x7F

MAGIC_POSITION: Final = 16
_CRC_POSITION: Final = 17
_ATTRIBUTES_POSITION: Final = 21
MAX_TIMESTAMP_POSITION: Final = 35

# A look-up takes a tenth of the time of `Codec(number)`.
_CODECS: Final = {codec.value: codec for codec in Codec}

_HEADER: Final = Struct(">qiibIhiqqqhii")
_INT16: Final = Struct(">h")
_INT32: Final = Struct(">i")
_UINT32: Final = Struct(">I")
_INT64: Final = Struct(">q")


class TruncatedBatchError(CorruptBatchError):
    """The data ends inside of a batch that looks right so far."""


class RecordBatch:
    """One record batch: a view of its bytes with the header's fields read out.

    Attributes:
        data: Exactly this batch; writable when what it was parsed from is.
        size_bytes: Size of the whole batch, with its header.
    """

    __slots__ = (
        "attributes",
        "base_offset",
        "base_sequence",
        "base_timestamp",
        "batch_length",
        "crc",
        "data",
        "last_offset_delta",
        "magic",
        "max_timestamp",
        "partition_leader_epoch",
        "producer_epoch",
        "producer_id",
        "record_count",
        "size_bytes",
    )

    data: memoryview
    size_bytes: int
    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @classmethod
    def parse(cls, data: Buffer, position: int = 0) -> Self:
        """Read the header of the batch that starts at a position.

        Neither the magic nor the checksum nor the records are checked.

        Raises:
            TruncatedBatchError: The data ends before the batch does.
            CorruptBatchError: The batch length is too small for a header.
        """
        size = _batch_size(data, position)
        if size < HEADER_BYTES:
            raise CorruptBatchError(
                f"the batch at byte {position} has {size} bytes, fewer than its header"
            )
        if position + size > len(data):
            raise TruncatedBatchError(
                f"the batch at byte {position} has {size} bytes, but only"
                f" {len(data) - position} are there"
            )
        batch = cls()
        batch.size_bytes = size
        view = data if isinstance(data, memoryview) else memoryview(data)
        batch.data = view[position : position + size] if size < len(data) else view
        (
            batch.base_offset,
            batch.batch_length,
            batch.partition_leader_epoch,
            batch.magic,
            batch.crc,
            batch.attributes,
            batch.last_offset_delta,
            batch.base_timestamp,
            batch.max_timestamp,
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            batch.record_count,
        ) = _HEADER.unpack_from(data, position)
        return batch

    def __repr__(self) -> str:
        return (
            f"RecordBatch(base_offset={self.base_offset}, record_count={self.record_count},"
            f" size_bytes={self.size_bytes})"
        )

    @property
    def last_offset(self) -> int:
        """The offset of the last record; it may have been compacted away."""
        return self.base_offset + self.last_offset_delta

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record, -1 without; wraps to 0 behind 2^31 - 1."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & MAX_SEQUENCE

    @property
    def codec(self) -> Codec:
        """How the records are compressed.

        Raises:
            CorruptBatchError: The attributes name no codec that exists.
        """
        codec = _CODECS.get(self.attributes & CODEC_MASK)
        if codec is None:
            raise CorruptBatchError(f"there is no compression codec {self.attributes & CODEC_MASK}")
        return codec

    @property
    def is_log_append_time(self) -> bool:
        """Whether all records have the batch's max timestamp, set by a broker."""
        return self.attributes & _LOG_APPEND_TIME != 0

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return self.attributes & _TRANSACTIONAL != 0

    @property
    def is_control(self) -> bool:
        """Whether the batch holds control records, which consumers do not see."""
        return self.attributes & _CONTROL != 0

    @property
    def has_delete_horizon(self) -> bool:
        """Whether compaction put the time to drop tombstones into the base timestamp."""
        return self.attributes & DELETE_HORIZON != 0

    @property
    def has_producer_id(self) -> bool:
        """Whether the batch comes from an idempotent or transactional producer."""
        return self.producer_id > NO_PRODUCER_ID

    @property
    def payload(self) -> memoryview:
        """The records section as it is stored, compressed or not."""
        return self.data[HEADER_BYTES:]

    def is_crc_valid(self) -> bool:
        """Whether the checksum in the header is that of the bytes."""
        return self.crc == _crc_of(self.data)

    def decompressed(self, max_bytes: int) -> memoryview:
        """The records section, decompressed.

        Raises:
            CorruptBatchError: It does not decompress, or to more than `max_bytes`.
        """
        payload = self.data[HEADER_BYTES:]
        if not self.attributes & CODEC_MASK and len(payload) <= max_bytes:
            return payload
        return decompress(self.codec, payload, max_bytes)

    def check_records(self, max_bytes: int) -> RecordFacts:
        """Check that the records are well-formed and as many as the header says.

        Raises:
            MalformedRecordError: They are not.
            CorruptBatchError: They do not decompress, or to more than `max_bytes`.
        """
        payload = self.payload
        if self.attributes & CODEC_MASK or len(payload) > max_bytes:
            payload = self.decompressed(max_bytes)
        return check_record_framing(payload, self.record_count, self.base_timestamp)

    def records(self, max_bytes: int) -> Iterator[Record]:
        """Read the records, with absolute offsets and timestamps.

        Raises:
            MalformedRecordError: When the iteration reaches a malformed record.
            CorruptBatchError: They do not decompress, or to more than `max_bytes`.
        """
        return iter_records(
            self.decompressed(max_bytes),
            self.record_count,
            base_offset=self.base_offset,
            base_timestamp=self.base_timestamp,
            log_append_time_ms=self.max_timestamp if self.is_log_append_time else None,
        )

    def key_values(self, max_bytes: int) -> list[KeyValue]:
        """Read the absolute offset, the key and the value of each record.

        Raises:
            MalformedRecordError: A record is malformed.
            CorruptBatchError: They do not decompress, or to more than `max_bytes`.
        """
        return read_key_values(self.decompressed(max_bytes), self.record_count, self.base_offset)

    def assign(self, base_offset: int, leader_epoch: int) -> None:
        """Write the offset and the leader epoch into the batch, in place.

        The checksum does not cover them.
        """
        _INT64.pack_into(self.data, 0, base_offset)
        _INT32.pack_into(self.data, LOG_OVERHEAD_BYTES, leader_epoch)
        self.base_offset = base_offset
        self.partition_leader_epoch = leader_epoch

    def set_log_append_time(self, now_ms: int) -> None:
        """Give all records the broker's time: attribute, max timestamp and checksum, in place."""
        self.attributes |= _LOG_APPEND_TIME
        _INT16.pack_into(self.data, _ATTRIBUTES_POSITION, self.attributes)
        self._set_max_timestamp(now_ms)

    def set_create_time(self) -> None:
        """Let the records have their own times: attribute and checksum, in place."""
        self.attributes &= ~_LOG_APPEND_TIME
        _INT16.pack_into(self.data, _ATTRIBUTES_POSITION, self.attributes)
        self._set_max_timestamp(self.max_timestamp)

    def with_records(
        self,
        payload: Buffer,
        *,
        attributes: int,
        base_timestamp: int,
        max_timestamp: int,
        record_count: int,
    ) -> bytearray:
        """Return a batch of the same offsets, sequences and producer around other records."""
        data = bytearray(self.data[:HEADER_BYTES])
        data += payload
        _HEADER.pack_into(
            data,
            0,
            self.base_offset,
            len(data) - LOG_OVERHEAD_BYTES,
            self.partition_leader_epoch,
            self.magic,
            0,  # the checksum follows
            attributes,
            self.last_offset_delta,
            base_timestamp,
            max_timestamp,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            record_count,
        )
        _UINT32.pack_into(data, _CRC_POSITION, _crc_of(memoryview(data)))
        return data

    def ensure_max_timestamp(self, max_timestamp: int) -> None:
        """Correct the max timestamp in place if the producer's header has another.

        Kafka does so for a batch of create time, see `DefaultRecordBatch.setMaxTimestamp`.
        """
        if self.max_timestamp != max_timestamp:
            self._set_max_timestamp(max_timestamp)

    def _set_max_timestamp(self, max_timestamp: int) -> None:
        _INT64.pack_into(self.data, MAX_TIMESTAMP_POSITION, max_timestamp)
        self.max_timestamp = max_timestamp
        self.crc = _crc_of(self.data)
        _UINT32.pack_into(self.data, _CRC_POSITION, self.crc)


def magic_at(data: Buffer, position: int = 0) -> int | None:
    """The magic of the batch or message set at a position, None if the data ends before it."""
    if position + MAGIC_POSITION >= len(data):
        return None
    magic: int = memoryview(data)[position + MAGIC_POSITION]
    return magic


def iter_batches(data: Buffer) -> Iterator[RecordBatch]:
    """The batches that lie one behind the other; stops before a partial last one.

    Raises:
        CorruptBatchError: When the iteration reaches a batch length that cannot be.
    """
    data = memoryview(data)
    position = 0
    while position < len(data):
        try:
            batch = RecordBatch.parse(data, position)
        except TruncatedBatchError:
            return
        yield batch
        position += batch.size_bytes


def build_batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    codec: Codec = Codec.NONE,
    level: int | None = None,
    log_append_time_ms: int | None = None,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    is_control: bool = False,
    keep_offsets: bool = False,
) -> bytearray:
    """Write a record batch.

    The records get the offsets `base_offset`, `base_offset + 1` and so on, whatever their own are.
    With `keep_offsets` they keep their own, which must ascend from `base_offset` or above.

    Args:
        records: At least one.
        level: Compression level, see `compress`.
        log_append_time_ms: Mark the batch as having log append time, with this time.

    Raises:
        ValueError: There is no record, or the offsets to keep do not ascend.
    """
    if not records:
        raise ValueError("a record batch needs at least one record")
    deltas: Sequence[int] = range(len(records))
    if keep_offsets:
        deltas = [record.offset - base_offset for record in records]
        if deltas[0] < 0 or any(a >= b for a, b in pairwise(deltas)):
            raise ValueError(f"the offsets do not ascend from {base_offset}")

    base_timestamp = records[0].timestamp
    max_timestamp = max(NO_TIMESTAMP, *(record.timestamp for record in records))
    attributes = (
        codec | (_TRANSACTIONAL if is_transactional else 0) | (_CONTROL if is_control else 0)
    )
    if log_append_time_ms is not None:
        attributes |= _LOG_APPEND_TIME
        max_timestamp = log_append_time_ms
    payload = encode_records(records, deltas, base_timestamp)
    if codec is not Codec.NONE:
        payload = compress(codec, payload, level)

    data = bytearray(HEADER_BYTES)
    data += payload
    _HEADER.pack_into(
        data,
        0,
        base_offset,
        len(data) - LOG_OVERHEAD_BYTES,
        leader_epoch,
        MAGIC,
        0,  # the checksum follows
        attributes,
        deltas[-1],
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    )
    _UINT32.pack_into(data, _CRC_POSITION, _crc_of(memoryview(data)))
    return data


def _batch_size(data: Buffer, position: int) -> int:
    """Size of the batch at a position, as its length field has it."""
    if position + LOG_OVERHEAD_BYTES > len(data):
        raise TruncatedBatchError(
            f"only {len(data) - position} bytes at byte {position}, too few for a batch"
        )
    (length,) = _INT32.unpack_from(data, position + 8)
    return LOG_OVERHEAD_BYTES + int(length)


def _crc_of(data: memoryview) -> int:
    return crc.crc32c(data[_ATTRIBUTES_POSITION:])
