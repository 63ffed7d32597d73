"""The quick way against the generated code, which is its specification."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.headers import (
    RequestHeader,
    decode_request_header,
    encode_request_header,
    encode_response_header,
)
from pykbroker.protocol.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from pykbroker.protocol.produce_layout import MAX_LEARNT_BYTES, ProduceLayout

VERSIONS = st.integers(3, 13)
BATCHES = st.one_of(st.binary(max_size=200), st.integers(0, 20_000).map(bytes))
INT64 = st.integers(-(2**63), 2**63 - 1)


def frame_of(
    request: ProduceRequest, version: int, correlation_id: int = 1, client_id: str | None = "c"
) -> bytes:
    header = RequestHeader(ProduceRequest.API_KEY, version, correlation_id, client_id)
    return b"".join([encode_request_header(header), *request.encode(version)])


def a_request(version: int, records: bytes | None, **fields: object) -> ProduceRequest:
    name, topic_id = ("t", bytes(16)) if version < 13 else ("", b"i" * 16)
    data = [PartitionProduceData(7, records)]
    request = ProduceRequest(None, 1, 30_000, [TopicProduceData(name, topic_id, data)])
    return replace(request, **fields)  # type: ignore[arg-type]


def decoded(frame: bytes) -> tuple[RequestHeader, ProduceRequest]:
    view = memoryview(frame)
    header, position = decode_request_header(view)
    return header, ProduceRequest.decode(view, header.api_version, position)


def layout_of(frame: bytes) -> ProduceLayout | None:
    view = memoryview(frame)
    header, position = decode_request_header(view)
    request = ProduceRequest.decode(view, header.api_version, position)
    return ProduceLayout.of(view, header.api_version, header.client_id or "", position, request)


@st.composite
def requests(draw: st.DrawFn, version: int) -> ProduceRequest:
    name = draw(st.text(max_size=5)) if version < 13 else ""
    topic_id = draw(st.binary(min_size=16, max_size=16)) if version >= 13 else bytes(16)
    data = PartitionProduceData(draw(st.integers(-1, 300)), draw(BATCHES))
    return ProduceRequest(
        draw(st.none() | st.text(max_size=3)),
        draw(st.integers(-1, 1)),
        draw(st.integers(0, 2**31 - 1)),
        [TopicProduceData(name, topic_id, [data])],
    )


@given(st.data(), VERSIONS, st.none() | st.text(max_size=4), BATCHES)
def test_another_batch_in_the_same_request_is_read_as_the_decoder_reads_it(
    data: st.DataObject, version: int, client_id: str | None, batch: bytes
) -> None:
    request = data.draw(requests(version))
    layout = layout_of(frame_of(request, version, client_id=client_id))
    assert layout is not None
    assert layout.client_id == (client_id or "")

    request.topic_data[0].partition_data[0].records = batch
    frame = frame_of(request, version, data.draw(st.integers(0, 2**31 - 1)), client_id)
    assert layout.read(memoryview(frame)) == decoded(frame)[1] == request


@settings(max_examples=500)
@given(st.data(), VERSIONS)
def test_whatever_it_reads_the_decoder_reads_too(data: st.DataObject, version: int) -> None:
    first = data.draw(requests(version))
    layout = layout_of(frame_of(first, version))
    assert layout is not None
    other_version = data.draw(st.just(version) | VERSIONS)
    other = data.draw(st.just(first) | requests(other_version))
    if (other_version >= 13) != (version >= 13):
        other = a_request(other_version, b"batch")
    frame = bytearray(frame_of(other, other_version))
    for position in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=3)):
        frame[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(frame)) | st.integers(8, len(frame)))
    whole = bytes(frame[:end]) + data.draw(st.just(b"") | st.binary(max_size=3))

    read = layout.read(memoryview(whole))
    if read is None:
        return
    header, request = decoded(whole)
    assert read == request
    assert (header.client_id or "") == layout.client_id
    assert header.api_version == version


@pytest.mark.parametrize("version", [3, 8, 9, 12, 13])
def test_what_is_no_plain_request_has_no_layout(version: int) -> None:
    plain = a_request(version, b"batch")
    topic = plain.topic_data[0]
    two = replace(topic, partition_data=[*topic.partition_data, PartitionProduceData(8, b"")])
    assert layout_of(frame_of(plain, version)) is not None
    assert layout_of(frame_of(a_request(version, None), version)) is None
    assert layout_of(frame_of(replace(plain, topic_data=[two]), version)) is None
    assert layout_of(frame_of(replace(plain, topic_data=[topic, topic]), version)) is None
    assert layout_of(frame_of(plain, version) + b"\0") is None
    assert layout_of(frame_of(a_request(version, bytes(MAX_LEARNT_BYTES)), version)) is None


def test_tags_have_no_layout() -> None:
    frame = frame_of(a_request(9, b"batch"), 9)
    assert frame.endswith(b"\0\0\0")
    assert layout_of(frame[:-1] + b"\1\5\1\0") is None


@given(
    VERSIONS, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), INT64, st.integers(0, 2**63 - 1)
)
def test_the_answer_is_as_the_encoder_writes_it(
    version: int, correlation_id: int, base_offset: int, time_ms: int, log_start: int
) -> None:
    layout = layout_of(frame_of(a_request(version, b"batch"), version))
    assert layout is not None
    (topic,) = a_request(version, b"").topic_data
    result = PartitionProduceResponse(7, 0, base_offset, time_ms, log_start)
    response = ProduceResponse([TopicProduceResponse(topic.name, topic.topic_id, [result])])

    header = encode_response_header(ProduceRequest.API_KEY, version, correlation_id)
    body = header + b"".join(response.encode(version))
    for _ in range(2):
        answer = layout.answer(correlation_id, response)
        assert answer is not None
        assert bytes(answer) == pack(">i", len(body)) + body


def test_an_answer_that_says_more_is_left_to_the_encoder() -> None:
    layout = layout_of(frame_of(a_request(12, b"batch"), 12))
    assert layout is not None

    def answer(response: ProduceResponse) -> bytearray | None:
        return layout.answer(1, response)

    result = PartitionProduceResponse(7)
    topic = TopicProduceResponse("t", bytes(16), [result])
    assert answer(ProduceResponse([topic])) is not None
    for other in (
        replace(result, index=8),
        replace(result, error_code=3),
        replace(result, record_errors=[BatchIndexAndErrorMessage()]),
        replace(result, error_message=""),
        replace(result, current_leader=LeaderIdAndEpoch(1, 0)),
        replace(result, current_leader=LeaderIdAndEpoch(-1, 0)),
    ):
        assert answer(ProduceResponse([replace(topic, partition_responses=[other])])) is None
    for others in ([], [replace(topic, name="u")], [topic, topic]):
        assert answer(ProduceResponse(others)) is None
    assert answer(ProduceResponse([replace(topic, topic_id=b"i" * 16)])) is None
    assert answer(ProduceResponse([replace(topic, partition_responses=[])])) is None
    assert answer(ProduceResponse([topic], throttle_time_ms=1)) is None
    assert answer(ProduceResponse([topic], node_endpoints=[NodeEndpoint()])) is None


def test_a_size_that_cannot_be_is_left_to_the_decoder() -> None:
    layout = layout_of(frame_of(a_request(9, b""), 9))
    assert layout is not None
    frame = frame_of(a_request(9, b""), 9)
    for size in (b"\xff\xff\xff\xff\xff\xff", b"\xff", b"\x00"):
        assert layout.read(memoryview(frame[:-4] + size)) is None
    with pytest.raises(ProtocolError):
        decoded(frame[:-4] + b"\xff\xff\xff\xff\xff\xff")
