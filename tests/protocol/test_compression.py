from __future__ import annotations

import contextlib
import gzip
import random
import tracemalloc
import zlib
from functools import cache

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.compression import Codec, DecompressionError, compress, decompress
from pykbroker.protocol.errors import CorruptBatchError
from tests.harness.oracles import kafka_python

LIMIT = 10_000_000
COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = b"".join(b'{"id": %d, "name": "order %d"}\n' % (i, i * i) for i in range(5000))
NOISE = random.Random(5).randbytes(100_000)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("data", [b"", b"x", TEXT, NOISE, bytes(300_000)], ids=len)
def test_what_was_compressed_is_decompressed(codec: Codec, data: bytes) -> None:
    assert decompress(codec, compress(codec, data), LIMIT) == data


@pytest.mark.parametrize("codec", COMPRESSING)
def test_any_buffer_is_compressed(codec: Codec) -> None:
    expected = compress(codec, TEXT)

    assert compress(codec, bytearray(TEXT)) == expected
    assert compress(codec, memoryview(TEXT)) == expected
    assert decompress(codec, bytearray(expected), LIMIT) == TEXT


@pytest.mark.parametrize("codec", COMPRESSING)
def test_text_becomes_smaller(codec: Codec) -> None:
    assert len(compress(codec, TEXT)) < len(TEXT) / 2


@pytest.mark.parametrize(
    ("codec", "levels"),
    [
        (Codec.GZIP, [-1, 1, 6, 9]),
        (Codec.LZ4, [1, 9, 17]),
        (Codec.ZSTD, [-131072, -5, 1, 3, 22]),
        (Codec.SNAPPY, [0]),
        (Codec.NONE, [0]),
    ],
)
def test_all_levels_that_kafka_allows_are_accepted(codec: Codec, levels: list[int]) -> None:
    for level in levels:
        assert decompress(codec, compress(codec, TEXT, level), LIMIT) == TEXT


@pytest.mark.parametrize(
    ("codec", "fast", "small"), [(Codec.GZIP, 1, 9), (Codec.LZ4, 1, 17), (Codec.ZSTD, -20, 19)]
)
def test_a_higher_level_gives_a_smaller_result(codec: Codec, fast: int, small: int) -> None:
    assert len(compress(codec, TEXT, small)) < len(compress(codec, TEXT, fast))


def test_the_default_levels_are_those_of_kafka() -> None:
    assert compress(Codec.GZIP, TEXT) == compress(Codec.GZIP, TEXT, 6)
    assert compress(Codec.GZIP, TEXT, -1) == compress(Codec.GZIP, TEXT, 6)
    assert compress(Codec.LZ4, TEXT) == compress(Codec.LZ4, TEXT, 9)
    assert compress(Codec.ZSTD, TEXT) == compress(Codec.ZSTD, TEXT, 3)


@cache
def a_bomb(codec: Codec) -> bytes:
    return compress(codec, bytes(20_000_000))


# -- formats -----------------------------------------------------------------------------------


def test_gzip_is_that_of_the_standard_library() -> None:
    assert gzip.decompress(compress(Codec.GZIP, TEXT)) == TEXT
    assert decompress(Codec.GZIP, gzip.compress(TEXT), LIMIT) == TEXT


def test_several_gzip_members_are_one_stream() -> None:
    members = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(NOISE)

    assert decompress(Codec.GZIP, members, LIMIT) == TEXT + NOISE


@pytest.mark.parametrize("codec", [Codec.LZ4, Codec.ZSTD])
def test_several_frames_are_one_stream(codec: Codec) -> None:
    frames = compress(codec, TEXT) + compress(codec, NOISE)

    assert decompress(codec, frames, LIMIT) == TEXT + NOISE


def test_snappy_is_written_as_java_writes_it() -> None:
    data = bytes(40_000)

    written = compress(Codec.SNAPPY, data)

    assert written[:16] == b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
    size = int.from_bytes(written[16:20], "big")
    assert bytes(cramjam.snappy.decompress_raw(written[20 : 20 + size])) == data[:32768]
    rest = written[20 + size :]
    assert int.from_bytes(rest[:4], "big") == len(rest) - 4
    assert bytes(cramjam.snappy.decompress_raw(rest[4:])) == data[32768:]


def test_raw_snappy_of_librdkafka_is_read() -> None:
    raw = bytes(cramjam.snappy.compress_raw(TEXT))

    assert decompress(Codec.SNAPPY, raw, LIMIT) == TEXT


def test_a_hand_made_snappy_block_is_read() -> None:
    raw = bytes.fromhex(
        "0b"  # 11 bytes when decompressed
        "04 6162"  # 2 literal bytes: ab
        "1502"  # copy of 9 bytes from 2 bytes back
    )

    assert decompress(Codec.SNAPPY, raw, LIMIT) == memoryview(b"abababababa")
    framed = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\0\x06" + raw
    assert decompress(Codec.SNAPPY, framed, LIMIT) == memoryview(b"abababababa")


def test_xerial_streams_one_behind_the_other_are_one_stream() -> None:
    streams = compress(Codec.SNAPPY, TEXT) + compress(Codec.SNAPPY, NOISE)

    assert decompress(Codec.SNAPPY, streams, LIMIT) == TEXT + NOISE


def test_a_xerial_stream_without_blocks_is_empty() -> None:
    assert decompress(Codec.SNAPPY, compress(Codec.SNAPPY, b""), LIMIT).nbytes == 0


def test_lz4_frames_have_the_flags_that_java_asks_for() -> None:
    written = compress(Codec.LZ4, TEXT)

    assert written[:4] == b"\x04\x22\x4d\x18"
    assert written[4] >> 6 == 1, "version"
    assert written[4] & 0b10_0000, "independent blocks"
    assert written[4] & 0b11 == 0, "reserved"


def test_lz4_frames_with_dependent_blocks_are_refused_as_java_does() -> None:
    compressor = cramjam.lz4.Compressor(level=1, block_linked=True)
    compressor.compress(TEXT)

    with pytest.raises(DecompressionError, match="independent blocks"):
        decompress(Codec.LZ4, bytes(compressor.finish()), LIMIT)


@pytest.mark.parametrize(
    "options", [{"content_checksum": True}, {"content_checksum": False}], ids=str
)
def test_lz4_frames_with_and_without_checksum_are_read(options: dict[str, bool]) -> None:
    compressor = cramjam.lz4.Compressor(level=1, block_linked=False, **options)
    compressor.compress(TEXT)

    assert decompress(Codec.LZ4, bytes(compressor.finish()), LIMIT) == TEXT


def test_kafka_python_reads_our_gzip_and_we_read_its() -> None:
    codec = kafka_python("codec")

    assert codec.gzip_decode(compress(Codec.GZIP, TEXT)) == TEXT
    assert decompress(Codec.GZIP, codec.gzip_encode(TEXT), LIMIT) == TEXT


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
def test_aiokafka_reads_our_streams_and_we_read_its(codec: Codec) -> None:
    import aiokafka.codec

    name = codec.config_name
    encode = getattr(aiokafka.codec, f"{name}_encode")
    decode = getattr(aiokafka.codec, f"{name}_decode")

    assert bytes(decode(compress(codec, TEXT))) == TEXT
    assert decompress(codec, bytes(encode(TEXT)), LIMIT) == TEXT


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", Codec)
def test_the_limit_is_the_size_that_is_still_accepted(codec: Codec) -> None:
    data = compress(codec, TEXT)

    assert decompress(codec, data, len(TEXT)) == TEXT
    with pytest.raises(DecompressionError):
        decompress(codec, data, len(TEXT) - 1)


@pytest.mark.parametrize("codec", COMPRESSING)
@pytest.mark.parametrize("limit", [0, 1, 1000, 1_000_000])
def test_a_bomb_takes_no_more_memory_than_the_limit(codec: Codec, limit: int) -> None:
    bomb = a_bomb(codec)

    tracemalloc.start()
    try:
        with pytest.raises(DecompressionError):
            decompress(codec, bomb, limit)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # The xerial format needs a list of its blocks, some 40 bytes for each 32 KiB.
    assert peak_bytes < limit + 500_000


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_the_error_does_not_keep_what_was_decompressed(codec: Codec) -> None:
    bomb = a_bomb(codec)

    tracemalloc.start()
    try:
        with pytest.raises(DecompressionError) as caught:
            decompress(codec, bomb, LIMIT)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.__traceback__ is not None
    assert kept_bytes < 500_000


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_result_much_larger_than_its_input_is_decompressed(codec: Codec) -> None:
    data = bytes(5_000_000)

    assert decompress(codec, compress(codec, data), LIMIT) == data


@pytest.mark.parametrize("claimed", [b"\xff\xff\xff\xff\x0f", b"\x80\x80\x40"])
def test_snappy_that_claims_more_than_it_can_hold_is_refused(claimed: bytes) -> None:
    with pytest.raises(DecompressionError):
        decompress(Codec.SNAPPY, claimed + b"\x00a", 2**33)


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_cut_off_stream_is_corrupt(codec: Codec) -> None:
    data = compress(codec, TEXT)

    for cut in [1, 3, 4, 5, 10, 15, 17, 19, 21, len(data) // 2, len(data) - 1]:
        with pytest.raises(CorruptBatchError):
            decompress(codec, data[:cut], LIMIT)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_nothing_is_no_stream(codec: Codec) -> None:
    with pytest.raises(DecompressionError):
        decompress(codec, b"", LIMIT)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_bytes_of_another_format_are_corrupt(codec: Codec) -> None:
    for data in (b"not compressed at all", NOISE[:100], zlib.compress(TEXT), TEXT):
        with pytest.raises(DecompressionError):
            decompress(codec, data, LIMIT)


def test_xerial_blocks_that_reach_beyond_the_end_are_corrupt() -> None:
    stream = bytearray(compress(Codec.SNAPPY, b"some text"))
    stream[16] = 0x7F

    with pytest.raises(DecompressionError, match="cut off"):
        decompress(Codec.SNAPPY, stream, LIMIT)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(COMPRESSING), st.binary(max_size=200), st.integers(0, 1000))
def test_random_bytes_raise_only_the_one_error(codec: Codec, data: bytes, limit: int) -> None:
    with contextlib.suppress(DecompressionError):
        assert len(decompress(codec, data, limit)) <= limit


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_flipped_byte_raises_only_the_one_error(codec: Codec) -> None:
    rng = random.Random(1)
    data = compress(codec, TEXT[:3000])
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        with contextlib.suppress(DecompressionError):
            decompress(codec, damaged, 100_000)
