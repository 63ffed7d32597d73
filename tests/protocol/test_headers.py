"""Headers on the wire, at the versions where their format changes."""

import pytest
from kio.schema.request_header.v1.header import RequestHeader as KioRequestHeaderV1
from kio.schema.request_header.v2.header import RequestHeader as KioRequestHeaderV2
from kio.serial import entity_reader

from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.headers import (
    RequestHeader,
    decode_client_id,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    encode_response_header,
    request_header_version,
    response_header_version,
    skip_tagged_fields,
)
from pykbroker.protocol.messages import API_SCHEMAS

REQUESTS = [
    # key, version, correlation id, client id [, tags]
    (RequestHeader(0, 8, 1, "cli"), "0000 0008 00000001 0003 636c69"),
    (RequestHeader(0, 9, 1, "cli"), "0000 0009 00000001 0003 636c69 00"),
    (RequestHeader(18, 2, 7, "cli"), "0012 0002 00000007 0003 636c69"),
    (RequestHeader(18, 3, 7, "cli"), "0012 0003 00000007 0003 636c69 00"),
    (RequestHeader(17, 1, -1, ""), "0011 0001 ffffffff 0000"),  # SaslHandshake is never flexible
    (RequestHeader(3, 9, 2**31 - 1, None), "0003 0009 7fffffff ffff 00"),
    (RequestHeader(18, 99, 3, "new"), "0012 0063 00000003 0003 6e6577 00"),  # not out yet
    (RequestHeader(999, 0, 3, "odd"), "03e7 0000 00000003 0003 6f6464"),  # no such API
]


@pytest.mark.parametrize(("header", "line"), REQUESTS)
def test_a_request_header_on_the_wire(header: RequestHeader, line: str) -> None:
    frame = bytes.fromhex(line)
    assert encode_request_header(header) == frame
    assert decode_request_header(memoryview(frame + b"body")) == (header, len(frame))
    assert decode_request_header(memoryview(b"size" + frame), 4) == (header, 4 + len(frame))


RESPONSES = [
    # correlation id [, tags]
    (ApiKey.PRODUCE, 8, "00000005"),
    (ApiKey.PRODUCE, 9, "00000005 00"),
    (ApiKey.API_VERSIONS, 2, "00000005"),
    (ApiKey.API_VERSIONS, 3, "00000005"),  # flexible, but its header never is (KIP-511)
    (ApiKey.API_VERSIONS, 4, "00000005"),
    (ApiKey.OFFSET_DELETE, 0, "00000005"),
    (ApiKey.DESCRIBE_CLUSTER, 0, "00000005 00"),
]


@pytest.mark.parametrize(("api_key", "version", "line"), RESPONSES)
def test_a_response_header_on_the_wire(api_key: int, version: int, line: str) -> None:
    frame = bytes.fromhex(line)
    assert encode_response_header(api_key, version, 5) == frame
    assert decode_response_header(memoryview(frame + b"body"), api_key, version) == (5, len(frame))
    assert decode_response_header(memoryview(b"size" + frame), api_key, version, 4) == (
        5,
        4 + len(frame),
    )


def test_every_api_has_the_header_versions_that_its_schema_says() -> None:
    for key, schema in API_SCHEMAS.items():
        first = schema.first_flexible_version
        for version in range(schema.min_version, schema.max_version + 1):
            flexible = first is not None and version >= first
            assert request_header_version(key, version) == (2 if flexible else 1)
            expected = 1 if flexible and key != ApiKey.API_VERSIONS else 0
            assert response_header_version(key, version) == expected


def test_kio_reads_our_request_headers() -> None:
    old = encode_request_header(RequestHeader(0, 8, 42, "größe"))
    new = encode_request_header(RequestHeader(0, 9, 42, None))
    first, first_size = entity_reader(KioRequestHeaderV1)(old, 0)
    second, second_size = entity_reader(KioRequestHeaderV2)(new, 0)
    assert (first.correlation_id, first.client_id, first_size) == (42, "größe", len(old))
    assert (second.request_api_version, second.client_id, second_size) == (9, None, len(new))


def test_unknown_tags_in_a_header_are_skipped() -> None:
    frame = bytes.fromhex("0000 0009 00000001 0000 02 00 01 aa 05 02 bbcc")
    header, position = decode_request_header(memoryview(frame + b"body"))
    assert (header, position) == (RequestHeader(0, 9, 1, ""), len(frame))

    unordered = bytes.fromhex("0000 0009 00000001 0001 61 03 05 00 01 00 05 00")
    assert decode_request_header(memoryview(unordered))[1] == len(unordered)

    response = bytes.fromhex("00000001 01 07 01 ff")
    assert decode_response_header(memoryview(response), 0, 9) == (1, len(response))


def test_a_client_id_in_another_encoding_is_read_with_substitutes() -> None:
    """As in Kafka: a C program may be named in Latin-1."""
    header, _ = decode_request_header(memoryview(bytes.fromhex("0000 0008 00000001 0004 636166e9")))
    assert header.client_id == "caf\ufffd"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "0 bytes has no room"),
        ("0000 0009 000000", "7 bytes has no room"),
        ("0000 0009 00000001", "client id"),
        ("0000 0009 00000001 0005 61", "string of 5 with 1 bytes left"),
        ("0000 0009 00000001 0001 61", "tags of a header"),
        ("0000 0009 00000001 0001 61 01 00 7f", "tagged field of 127"),
    ],
)
def test_a_malformed_request_header_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_request_header(memoryview(bytes.fromhex(line)))


@pytest.mark.parametrize(
    ("line", "reason"), [("000000", "3 bytes has no room"), ("00000001", "tags of a header")]
)
def test_a_malformed_response_header_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_response_header(memoryview(bytes.fromhex(line)), 0, 9)


def test_the_parts_can_be_read_alone() -> None:
    frame = memoryview(bytes.fromhex("0002 6162 00"))
    assert decode_client_id(frame, 0) == ("ab", 4)
    assert skip_tagged_fields(frame, 4) == 5
