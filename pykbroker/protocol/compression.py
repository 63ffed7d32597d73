"""The compression codecs of record batches, with a limit on what comes out.

Everything behind the header of a batch is compressed as one:

    1 gzip    RFC 1952, several members are allowed
    2 snappy  either one raw snappy block (librdkafka) or the "xerial" stream of the Java client:
              magic 82 "SNAPPY" 00, int32 version 1, int32 lowest compatible version 1, then blocks
              of an int32 length (big-endian) and a raw snappy block of that length
    3 lz4     the LZ4 frame format; Kafka's clients refuse frames with dependent blocks, and so
              does this module
    4 zstd    RFC 8878

What is written is what Kafka's own broker writes: xerial snappy in blocks of 32 KiB, lz4 frames of
independent blocks, and the same default levels.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, Final, TypeAlias

import cramjam

from pykbroker.protocol.errors import CorruptBatchError

Buffer: TypeAlias = bytes | bytearray | memoryview

GZIP_DEFAULT_LEVEL: Final = 6  # what Kafka's -1 means
LZ4_DEFAULT_LEVEL: Final = 9
ZSTD_DEFAULT_LEVEL: Final = 3

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = _XERIAL_MAGIC + b"\x00\x00\x00\x01" * 2
_XERIAL_LENGTH_BYTES: Final = 4
_XERIAL_BLOCK_BYTES: Final = 32 * 1024

_LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"  # the flags follow it
_LZ4_FLAGS_MASK: Final = 0b1110_0011  # version, block independence, reserved bits
_LZ4_FLAGS: Final = 0b0110_0000  # version 1, independent blocks, reserved bits 0

# The most that one compressed byte can become (snappy: 64 bytes for a copy of 3; lz4: 255 for each
# byte of a match length; deflate: 258 bytes in 2 bits; zstd: a block of 128 KiB in 4 bytes). What
# claims more is corrupt, so small damaged input never makes the broker reserve large buffers.
_MAX_SNAPPY_RATIO: Final = 22
_MAX_GZIP_RATIO: Final = 1032
_MAX_LZ4_RATIO: Final = 255
_MAX_ZSTD_RATIO: Final = 32 * 1024

# A first guess of the output size as a multiple of the input, and the factor of each next one.
_FIRST_GUESS: Final = 8
_GROWTH: Final = 4
_MIN_OUTPUT_BYTES: Final = 4096


class Codec(IntEnum):
    """The compression codec in the lowest three bits of a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def config_name(self) -> str:
        """The codec's name in `compression.type`."""
        return self.name.lower()


class DecompressionError(CorruptBatchError):
    """Compressed records that do not decompress, or to more than the limit."""


def compress(codec: Codec, data: Buffer, level: int | None = None) -> bytes:
    """Compress the records section of a batch.

    Args:
        codec: Which codec; NONE copies.
        data: The uncompressed records.
        level: As in Kafka's `compression.<codec>.level`: gzip 1 to 9 or -1, lz4 1 to 17, zstd
            -131072 to 22; None is Kafka's default. Not looked at for NONE and SNAPPY.
    """
    match codec:
        case Codec.NONE:
            return bytes(data)
        case Codec.GZIP:
            if level is None or level == -1:
                level = GZIP_DEFAULT_LEVEL
            return bytes(cramjam.gzip.compress(data, level))
        case Codec.SNAPPY:
            return _compress_xerial(memoryview(data))
        case Codec.LZ4:
            compressor = cramjam.lz4.Compressor(
                level=LZ4_DEFAULT_LEVEL if level is None else level,
                content_checksum=False,
                block_linked=False,
            )
            compressor.compress(bytes(data))
            return bytes(compressor.finish())
        case Codec.ZSTD:
            return bytes(
                cramjam.zstd.compress(data, ZSTD_DEFAULT_LEVEL if level is None else level)
            )


def decompress(codec: Codec, data: Buffer, max_bytes: int) -> memoryview:
    """Decompress the records section of a batch.

    Never allocates more than `max_bytes` for the result, whatever the data claims.

    Args:
        codec: Which codec; NONE returns the data itself.
        data: The compressed records.
        max_bytes: The most that the records may take when decompressed.

    Raises:
        DecompressionError: The data is damaged or cut off, or holds more than `max_bytes`.
    """
    data = memoryview(data)
    match codec:
        case Codec.NONE:
            if len(data) > max_bytes:
                raise _too_large(max_bytes)
            return data
        case Codec.GZIP:
            return _decompress(cramjam.gzip.decompress_into, data, max_bytes, _MAX_GZIP_RATIO)
        case Codec.SNAPPY:
            return _decompress_snappy(data, max_bytes)
        case Codec.LZ4:
            _check_lz4_flags(data)
            return _decompress(cramjam.lz4.decompress_into, data, max_bytes, _MAX_LZ4_RATIO)
        case Codec.ZSTD:
            return _decompress(cramjam.zstd.decompress_into, data, max_bytes, _MAX_ZSTD_RATIO)


def _decompress(
    decompress_into: Callable[[Any, Any], int], data: memoryview, max_bytes: int, max_ratio: int
) -> memoryview:
    """Decompress into a buffer that grows until the result fits or the limit is reached.

    The library says by the same exception that the buffer is full and that the data is damaged, so
    a failure is final only at the limit.
    """
    limit = min(max_bytes, max(len(data) * max_ratio, _MIN_OUTPUT_BYTES))
    size = min(limit, max(len(data) * _FIRST_GUESS, _MIN_OUTPUT_BYTES))
    while True:
        output = bytearray(size)
        try:
            written = decompress_into(data, output)
        except cramjam.DecompressionError as error:
            del output  # before the next one is allocated, or the error keeps it alive
            if size == limit:
                raise DecompressionError(
                    f"the records do not decompress to at most {limit} bytes: {error}"
                ) from error
            size = min(limit, size * _GROWTH)
        else:
            return memoryview(output)[:written]


def _check_lz4_flags(data: memoryview) -> None:
    """Refuse what Kafka's `Lz4BlockInputStream` refuses, though the lz4 library reads it."""
    if len(data) > len(_LZ4_MAGIC) and data[4] & _LZ4_FLAGS_MASK != _LZ4_FLAGS:
        raise DecompressionError(
            f"the lz4 frame has the flags {data[4]:#04x}, but Kafka needs version 1 with"
            " independent blocks"
        )


def _compress_xerial(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + _XERIAL_BLOCK_BYTES]))
        parts.append(len(block).to_bytes(_XERIAL_LENGTH_BYTES, "big"))
        parts.append(block)
    return b"".join(parts)


def _decompress_snappy(data: memoryview, max_bytes: int) -> memoryview:
    """Decompress raw or xerial snappy; each block says its size, so the result is sized once."""
    blocks = [data]
    if _is_xerial_header(data, 0):
        blocks = list(_xerial_blocks(data))
    try:
        sizes = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
        if any(
            size > len(block) * _MAX_SNAPPY_RATIO for size, block in zip(sizes, blocks, strict=True)
        ):
            raise DecompressionError("a snappy block claims more bytes than it can hold")
        if sum(sizes) > max_bytes:
            raise _too_large(max_bytes)
        output = memoryview(bytearray(sum(sizes)))
        position = 0
        for block, size in zip(blocks, sizes, strict=True):
            # The library refuses a block that holds fewer or more bytes than it says.
            cramjam.snappy.decompress_raw_into(block, output[position : position + size])
            position += size
    except cramjam.DecompressionError as error:
        raise DecompressionError(f"the snappy data is damaged: {error}") from error
    return output


def _xerial_blocks(data: memoryview) -> Iterator[memoryview]:
    """The raw blocks of a xerial stream, or of several one after the other."""
    position = 0
    while position < len(data):
        is_header = _is_xerial_header(data, position)
        if is_header:
            start = position
            position += len(_XERIAL_HEADER)
        else:
            start = position + _XERIAL_LENGTH_BYTES
            position = start + int.from_bytes(data[position:start], "big")
        if max(start, position) > len(data):
            raise DecompressionError("the snappy stream is cut off")
        if not is_header:
            yield data[start:position]


def _is_xerial_header(data: memoryview, position: int) -> bool:
    return data[position : position + len(_XERIAL_MAGIC)].tobytes() == _XERIAL_MAGIC


def _too_large(max_bytes: int) -> DecompressionError:
    return DecompressionError(f"the records take more than {max_bytes} bytes")
