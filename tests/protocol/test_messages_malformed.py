"""Bytes that no client sends: only ProtocolError, in bounded time and memory."""

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.fetch import FetchRequest
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.metadata import MetadataRequest
from pykbroker.protocol.messages.produce import ProduceRequest
from tests.harness.protocol_values import MESSAGES, MessageCase, encoded, random_value

BY_NAME = pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)


def decode_or_refuse(case: MessageCase, data: bytes, version: int) -> bool:
    """Whether the bytes were refused; any exception but ProtocolError passes."""
    try:
        case.type.decode(memoryview(data), version)
    except ProtocolError:
        return True
    return False


@BY_NAME
def test_every_cut_message_is_refused(case: MessageCase) -> None:
    random = Random(case.name)
    for version in {case.type.MIN_VERSION, case.type.MAX_VERSION}:
        whole = encoded(random_value(case, version, random), version)
        cuts = range(len(whole)) if len(whole) < 60 else random.sample(range(len(whole)), 40)
        for cut in cuts:
            assert decode_or_refuse(case, whole[:cut], version), f"cut at {cut} of {whole.hex()}"


@BY_NAME
def test_random_and_damaged_bytes_raise_nothing_but_protocol_error(case: MessageCase) -> None:
    random = Random(case.name)
    for version in case.versions():
        damaged = bytearray(encoded(random_value(case, version, random), version))
        for _ in range(6):
            if damaged:
                damaged[random.randrange(len(damaged))] = random.choice((0, 1, 127, 128, 255))
            decode_or_refuse(case, bytes(damaged), version)
        decode_or_refuse(case, random.randbytes(40), version)
        decode_or_refuse(case, b"\xff" * 40, version)


@BY_NAME
def test_a_giant_count_anywhere_allocates_nothing(case: MessageCase) -> None:
    """2^31 - 1 elements, classic and compact, at each position of a frame of 20 bytes."""
    classic, compact = b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x07"
    version = case.type.MAX_VERSION
    decode_or_refuse(case, b"", version)  # Loads the module before memory is measured.
    tracemalloc.start()
    try:
        for count in (classic, compact):
            for position in range(16):
                frame = bytes(position) + count + bytes(20)
                decode_or_refuse(case, frame[:20], version)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=60), st.integers(0, 13))
def test_any_bytes_as_a_produce_request(data: bytes, version: int) -> None:
    try:
        request = ProduceRequest.decode(memoryview(data), version)
    except ProtocolError:
        return
    assert ProduceRequest.decode(memoryview(encoded(request, version)), version) == request


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7fffffff", "array of 2147483647 with 0 bytes left"),
        ("00000002 0001 61", "array of 2 with 3 bytes left"),
        ("00000001 0005 61", "string of 5 with 1 bytes left"),
        ("00000001 ffff", "null string"),
        ("ffffffff", "null array"),
        ("8000", "4 bytes"),
    ],
)
def test_the_reason_is_named_in_the_classic_form(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        MetadataRequest.decode(memoryview(bytes.fromhex(line)), 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("00 ffffffff0f 00", "array of 4294967294"),
        ("00 ffffffff1f 00", "varint of more than 32 bits"),
        ("00 808080808001 00", "varint of more than 32 bits"),
        ("00 00 00", "null array"),
        ("00 02 00", "null string"),
        ("00 02 05 61", "string of 4 with 1 bytes left"),
        ("00 01 01 05 7f", "tagged field of 127"),
        ("00", "out of bounds"),
    ],
)
def test_the_reason_is_named_in_the_compact_form(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        FindCoordinatorRequest.decode(memoryview(bytes.fromhex(line)), 4)


def test_a_long_frame_of_small_elements_is_read_in_one_walk() -> None:
    """The count is limited by the bytes that are there, so no count makes work without bytes."""
    topics = 20_000
    frame = bytes.fromhex("ffffffff 00000000 00000000 00000000 00") + topics.to_bytes(4, "big")
    with pytest.raises(ProtocolError, match=f"array of {topics}"):
        FetchRequest.decode(memoryview(frame + bytes(100)), 4)
