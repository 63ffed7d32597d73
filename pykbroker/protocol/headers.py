"""The headers in front of every request and response.

Request header v1 (v2 adds the tag section, KIP-482):
    int16   API key
    int16   API version
    int32   correlation id, given back in the response
    int16 + bytes   client id, a nullable string in the classic form even in v2 (so that any
            broker can read the header of an ApiVersions request that is too new for it)
    tag section     v2 only: requests in a flexible version
Response header v0 (v1 adds the tag section):
    int32   correlation id
    tag section     v1 only: responses in a flexible version, but never for ApiVersions, whose
            sender does not know yet what the broker speaks (KIP-511)

Request header v0, without client id, was used by ControlledShutdown v0 only and is gone.
Source: Kafka's classes `RequestHeader` and `ResponseHeader`, and `ApiMessageType`.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pykbroker.protocol import primitives
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages import API_SCHEMAS
from pykbroker.protocol.primitives import DECODE_ERRORS

_FIXED: Final = Struct(">hhi")
_CORRELATION_ID: Final = Struct(">i")


@dataclass(slots=True)
class RequestHeader:
    """What every request starts with. A client id of None and of "" mean the same."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None = None


def request_header_version(api_key: int, api_version: int) -> int:
    """The version of the header of a request: 1, or 2 where the request is flexible.

    An API that is not in the schemas counts as not flexible.
    """
    schema = API_SCHEMAS.get(api_key)
    first = schema.first_flexible_version if schema else None
    return 1 if first is None or api_version < first else 2


def response_header_version(api_key: int, api_version: int) -> int:
    """The version of the header of a response: 0, or 1 where the response is flexible."""
    if api_key == ApiKey.API_VERSIONS:
        return 0
    return request_header_version(api_key, api_version) - 1


def decode_request_header(frame: memoryview, position: int = 0) -> tuple[RequestHeader, int]:
    """Read the header of a frame.

    Keys and versions that this broker does not know are read all the same: what to do with them
    is for dispatch to say (and ApiVersions answers a version that is too new).

    Returns:
        The header, and the position of the body behind it.

    Raises:
        ProtocolError: The frame is too short, or the client id or a tag is malformed.
    """
    if len(frame) - position < _FIXED.size:
        raise ProtocolError(f"a request of {len(frame) - position} bytes has no room for a header")
    api_key, version, correlation_id = _FIXED.unpack_from(frame, position)
    client_id, position = decode_client_id(frame, position + _FIXED.size)
    if request_header_version(api_key, version) == 2:
        position = skip_tagged_fields(frame, position)
    return RequestHeader(api_key, version, correlation_id, client_id), position


def decode_client_id(frame: memoryview, position: int) -> tuple[str | None, int]:
    """Read the client id of a request's header.

    Returns:
        The client id, and the position behind it.

    Raises:
        ProtocolError: It is longer than the frame, or no UTF-8.
    """
    try:
        return primitives.read_nullable_string(frame, position)
    except DECODE_ERRORS as error:
        raise ProtocolError(f"client id: {error}") from error


def skip_tagged_fields(frame: memoryview, position: int) -> int:
    """Return the position behind the tag section of a header; no tag of a header is known.

    Raises:
        ProtocolError: The section is malformed.
    """
    try:
        if frame[position] == 0:
            return position + 1
        return primitives.skip_tagged_fields(frame, position)
    except DECODE_ERRORS as error:
        raise ProtocolError(f"tags of a header: {error}") from error


def encode_request_header(header: RequestHeader) -> bytes:
    """Write the header of a request, as clients do."""
    out = bytearray(_FIXED.pack(header.api_key, header.api_version, header.correlation_id))
    primitives.write_nullable_string(out, header.client_id)
    if request_header_version(header.api_key, header.api_version) == 2:
        out.append(0)
    return bytes(out)


def encode_response_header(api_key: int, api_version: int, correlation_id: int) -> bytes:
    """Write the header of the response to a request of this API and version."""
    header = _CORRELATION_ID.pack(correlation_id)
    return header + b"\x00" if response_header_version(api_key, api_version) == 1 else header


def decode_response_header(
    frame: memoryview, api_key: int, api_version: int, position: int = 0
) -> tuple[int, int]:
    """Read the header of a response, as clients do.

    Returns:
        The correlation id, and the position of the body behind the header.

    Raises:
        ProtocolError: The frame is too short, or a tag is malformed.
    """
    if len(frame) - position < _CORRELATION_ID.size:
        raise ProtocolError(f"a response of {len(frame) - position} bytes has no room for a header")
    (correlation_id,) = _CORRELATION_ID.unpack_from(frame, position)
    position += _CORRELATION_ID.size
    if response_header_version(api_key, api_version) == 1:
        position = skip_tagged_fields(frame, position)
    return correlation_id, position
