from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.framing import (
    FrameReader,
    FrameTooLargeError,
    InvalidFrameSizeError,
    describe_foreign_protocol,
)

KIB = 1024
MIB = 1024 * KIB


def framed(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


def feed(reader: FrameReader, data: bytes, chunk_bytes: int = 1 << 30) -> list[bytes]:
    """Receive the data in chunks of at most so many bytes, taking every frame at once."""
    frames = []
    position = 0
    while position < len(data):
        buffer = reader.get_buffer()
        assert len(buffer) > 0
        chunk = data[position : position + min(chunk_bytes, len(buffer))]
        buffer[: len(chunk)] = chunk
        reader.received(len(chunk))
        position += len(chunk)
        while (frame := reader.next_frame()) is not None:
            frames.append(bytes(frame))
    return frames


def test_a_frame_comes_without_its_size_field() -> None:
    reader = FrameReader(100)

    frames = feed(
        reader,
        bytes.fromhex(
            "00000003"  # 3 bytes
            "0a0b0c"
            "00000000"  # none
            "00000001"  # 1 byte
            "0d"
        ),
    )

    assert frames == [b"\x0a\x0b\x0c", b"", b"\x0d"]
    assert reader.next_frame() is None


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 100, 5000])
def test_one_byte_at_a_time_gives_the_same_frames_as_all_at_once(chunk_bytes: int) -> None:
    rng = random.Random(chunk_bytes)
    contents = [rng.randbytes(rng.choice([0, 1, 10, 50, 600])) for _ in range(40)]

    assert feed(FrameReader(1000, initial_bytes=64), framed(*contents), chunk_bytes) == contents


def test_a_frame_can_be_written_to_and_is_not_a_copy() -> None:
    reader = FrameReader(100)
    buffer = reader.get_buffer()
    buffer[:6] = framed(b"ab")
    reader.received(6)

    frame = reader.next_frame()

    assert frame is not None
    frame[0] = ord("x")
    assert bytes(buffer[4:6]) == b"xb"


def test_frames_behind_the_current_one_wait_in_the_buffer() -> None:
    reader = FrameReader(100)
    data = framed(b"first", b"second", b"thi")[:-1]
    reader.get_buffer()[: len(data)] = data
    reader.received(len(data))

    first = reader.next_frame()
    second = reader.next_frame()

    assert first is not None
    assert second is not None
    assert (bytes(first), bytes(second)) == (b"first", b"second")
    assert reader.next_frame() is None
    assert reader.buffered_bytes == 6
    assert reader.missing_bytes == 1
    assert feed(reader, b"i") == [b"thi"]


def test_the_missing_bytes_are_known_as_far_as_the_size_is() -> None:
    reader = FrameReader(100)

    assert reader.missing_bytes == 4
    feed(reader, framed(b"12345")[:3])
    assert reader.missing_bytes == 1
    feed(reader, framed(b"12345")[3:6])
    assert reader.missing_bytes == 3

    buffer = reader.get_buffer()
    buffer[:3] = b"345"
    reader.received(3)
    assert reader.missing_bytes == 0


def test_the_size_of_the_frame_that_arrives_is_known() -> None:
    reader = FrameReader(1000)
    assert reader.awaited_frame_bytes == 0
    for received in framed(bytes(700))[:3], framed(bytes(700))[3:100]:
        buffer = reader.get_buffer()
        buffer[: len(received)] = received
        reader.received(len(received))
    assert reader.awaited_frame_bytes == 700


@pytest.mark.parametrize("size", [101, 2**31 - 1])
def test_a_frame_above_the_limit_is_refused_before_it_arrives(size: int) -> None:
    reader = FrameReader(100)

    with pytest.raises(FrameTooLargeError, match=f"a frame of {size} bytes .* limit of 100"):
        feed(reader, size.to_bytes(4, "big"))
    assert reader.capacity_bytes == 64 * KIB


def test_a_frame_at_the_limit_is_accepted() -> None:
    assert feed(FrameReader(100), framed(bytes(100))) == [bytes(100)]


@pytest.mark.parametrize("size", [-1, -(2**31)])
def test_a_negative_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidFrameSizeError, match=f"cannot have {size} bytes"):
        feed(FrameReader(100), size.to_bytes(4, "big", signed=True))


def test_a_refused_frame_stays_refused() -> None:
    reader = FrameReader(100)
    with pytest.raises(ProtocolError):
        feed(reader, b"\xff" * 4)

    with pytest.raises(ProtocolError):
        reader.next_frame()
    with pytest.raises(ProtocolError):
        _ = reader.missing_bytes


def test_the_limit_may_change_between_frames() -> None:
    reader = FrameReader(10)
    feed(reader, framed(bytes(10)))

    reader.max_frame_bytes = 5

    with pytest.raises(FrameTooLargeError):
        feed(reader, framed(bytes(10)))


def test_announcing_a_large_frame_reserves_nothing() -> None:
    reader = FrameReader(100 * MIB)
    tracemalloc.start()
    try:
        feed(reader, (100 * MIB).to_bytes(4, "big") + bytes(1000))
        reader.get_buffer()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 * KIB
    assert reader.capacity_bytes == 64 * KIB


def test_the_buffer_grows_by_doubling_as_bytes_arrive_and_not_beyond_the_frame() -> None:
    reader = FrameReader(100 * MIB)
    data = framed(bytes(3 * MIB))
    capacities = []
    position = 0
    while position < len(data):
        buffer = reader.get_buffer()
        size = min(len(buffer), len(data) - position)
        assert reader.capacity_bytes <= max(64 * KIB, 2 * reader.buffered_bytes)
        buffer[:size] = data[position : position + size]
        reader.received(size)
        position += size
        capacities.append(reader.capacity_bytes)

    assert capacities == [KIB << n for n in range(6, 12)] + [3 * MIB + 64 * KIB]
    frame = reader.next_frame()
    assert frame is not None
    assert len(frame) == 3 * MIB


def test_a_large_buffer_is_given_back_at_once() -> None:
    reader = FrameReader(100 * MIB)
    feed(reader, framed(bytes(3 * MIB)))

    reader.get_buffer()

    assert reader.capacity_bytes == 64 * KIB


def test_a_medium_buffer_is_kept_while_frames_need_it() -> None:
    reader = FrameReader(100 * MIB)
    for _ in range(100):
        feed(reader, framed(bytes(MIB), b"small", b"small"))
    assert reader.capacity_bytes >= MIB
    kept = reader.capacity_bytes

    feed(reader, framed(bytes(MIB + 100)))
    assert reader.capacity_bytes == kept, "there is some slack for the next one"

    for _ in range(32):
        feed(reader, framed(b"small"))
    reader.get_buffer()
    assert reader.capacity_bytes == 64 * KIB


def test_a_partial_frame_moves_to_the_front_when_the_rest_does_not_fit() -> None:
    reader = FrameReader(10_000, initial_bytes=100)
    contents = [bytes([index]) * 61 for index in range(20)]

    assert feed(reader, framed(*contents), 90) == contents
    assert reader.capacity_bytes == 100


def test_whole_frames_that_wait_are_never_overwritten() -> None:
    """Even if the shell asks for space too early."""
    reader = FrameReader(1000, initial_bytes=64)
    data = framed(*[b"%03d" % index for index in range(500)])
    position = 0
    while position < len(data):
        buffer = reader.get_buffer()
        size = min(len(buffer), len(data) - position)
        buffer[:size] = data[position : position + size]
        reader.received(size)
        position += size

    for index in range(500):
        frame = reader.next_frame()
        assert frame is not None
        assert bytes(frame) == b"%03d" % index


def test_the_first_bytes_of_a_connection_are_kept_for_its_epitaph() -> None:
    reader = FrameReader(1000)
    assert reader.first_bytes == b""

    feed(reader, framed(b"request" * 20))

    assert reader.first_bytes == framed(b"request" * 20)[:64]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(max_size=300), max_size=20),
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.sampled_from([4, 16, 64, 1000]),
)
def test_frames_survive_any_cutting(
    contents: list[bytes], chunks: list[int], initial_bytes: int
) -> None:
    reader = FrameReader(300, initial_bytes)
    data = framed(*contents)
    frames: list[bytes] = []
    position = 0
    while position < len(data):
        size = chunks[position % len(chunks)]
        frames += feed(reader, data[position : position + size])
        position += size

    assert frames == contents


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_only_protocol_errors(data: bytes) -> None:
    try:
        feed(FrameReader(50), data)
    except ProtocolError:
        return


@pytest.mark.parametrize(
    ("first_bytes", "name"),
    [
        (bytes.fromhex("16030100c8010000c40303") + bytes(40), "TLS"),
        (bytes.fromhex("160301"), "TLS"),
        (b"GET / HTTP/1.1\r\nHost: broker:9092\r\n", "HTTP"),
        (b"POST /topics/orders HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (bytes.fromhex("0000000804d2162f"), "PostgreSQL"),
        (b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00", "PostgreSQL"),
        (b"*1\r\n$4\r\nPING\r\n", "Redis"),
        (b"AMQP\x00\x00\x09\x01", "AMQP"),
        (b"\x10\x1e\x00\x04MQTT\x04\x02\x00\x3c", "MQTT"),
        (b"EHLO mail.example.org\r\n", "SMTP"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 9092\r\n", "PROXY"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "PROXY"),
        (b"stats\r\n", "a text protocol ('stats')"),
        (b"ruok", "a text protocol ('ruok')"),
        (b"first line\nsecond \x07", "a text protocol ('first line')"),
    ],
)
def test_other_protocols_are_recognised_by_their_first_bytes(first_bytes: bytes, name: str) -> None:
    description = describe_foreign_protocol(first_bytes)

    assert description is not None
    assert name in description


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"",
        b"ab",
        b"\xff\xff\xff\xff",
        bytes(64),
        b"\x07\x07\x07\x07",
        # ApiVersions version 3 of a client named "rdkafka"
        bytes.fromhex("00000024 0012 0003 00000001 0007 72646b61666b61 00"),
        # Metadata version 0, which PostgreSQL's version 3 looks like
        bytes.fromhex("00000013 0003 0000 00000001 0005 736172616d 61 00000000"),
    ],
)
def test_kafka_and_noise_are_not_taken_for_another_protocol(first_bytes: bytes) -> None:
    assert describe_foreign_protocol(first_bytes) is None
