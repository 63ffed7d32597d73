"""Bytes that are no request: which are answered all the same, and which close the connection.

A case is played for each API, and its number is the key of the API, not a version: it goes through
the oldest and the newest version.
"""

import struct
from collections.abc import Iterator

from compat.differential.cases import case
from compat.differential.malformed import (
    NO_TAGS,
    TEXT,
    Outcomes,
    body,
    header,
    is_flexible,
    versions_to_try,
)
from compat.differential.session import Session
from pykbroker.handlers import APIS
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.fetch import FetchRequest

EVERY_API = sorted(APIS)
FLEXIBLE_APIS = sorted(key for key, api in APIS.items() if is_flexible(key, api.max_version))

TAGS = {
    "unknown": b"\x01\x63\x03abc",
    "two": b"\x02\x62\x01a\x63\x01b",
    "not ascending": b"\x02\x63\x01a\x62\x01b",
    "the same twice": b"\x02\x63\x01a\x63\x01b",
    "large number": b"\x01\xff\xff\xff\xff\x07\x01a",
    "empty": b"\x01\x63\x00",
    "cut": b"\x01\x63\x7f",
    "fewer than said": b"\x05\x63\x00",
    "huge size": b"\x01\x63\xff\xff\xff\xff\x07",
    "huge count": b"\xff\xff\xff\xff\x07",
    "negative count": b"\xff\xff\xff\xff\x0f",
    "count in more bytes than needed": b"\x80\x00",
    "endless count": b"\xff\xff\xff\xff\xff\xff",
}


@case(ApiVersionsRequest, versions=EVERY_API)
def test_cut(session: Session, version: int) -> None:
    """Every beginning of a request in the newest version."""
    api = APIS[version]
    request = header(api.key, api.max_version) + body(api, api.max_version)
    outcomes = Outcomes(session)
    outcomes.attempt_all((str(size), request[:size]) for size in range(len(request) + 1))
    outcomes.note("sizes")


@case(ApiVersionsRequest, versions=EVERY_API)
def test_followed_by_more(session: Session, version: int) -> None:
    api = APIS[version]
    for each in versions_to_try(api):
        request = header(api.key, each) + body(api, each)
        outcomes = Outcomes(session)
        for more in (b"x", bytes(4), b"\xff" * 100, request):
            outcomes.attempt(f"{len(more)} more", request + more)
        outcomes.note(f"v{each}")


@case(ApiVersionsRequest, versions=EVERY_API)
def test_client_ids(session: Session, version: int) -> None:
    api = APIS[version]
    for each in versions_to_try(api):
        rest = body(api, each)
        outcomes = Outcomes(session)
        for label, client_id in {
            "null": None,
            "empty": b"",
            "long": b"c" * 32767,
            "UTF-8": "zażółć".encode(),
            "Latin-1": "café".encode("latin-1"),
            "surrogate": b"\xed\xa0\x80",
            "NUL": b"a\x00b",
        }.items():
            outcomes.attempt(label, header(api.key, each, client_id) + rest)
        start = struct.pack(">hhi", api.key, each, 7)
        tags = NO_TAGS if is_flexible(api.key, each) else b""
        for length in (-2, -32768):
            outcomes.attempt(str(length), start + struct.pack(">h", length) + tags + rest)
        outcomes.attempt("too long", start + struct.pack(">h", 32767) + tags + rest)
        outcomes.note(f"v{each}")


@case(ApiVersionsRequest, versions=FLEXIBLE_APIS)
def test_tags_of_the_header(session: Session, version: int) -> None:
    api = APIS[version]
    for each in versions_to_try(api):
        if not is_flexible(api.key, each):
            continue
        outcomes = Outcomes(session)
        for label, tags in TAGS.items():
            outcomes.attempt(label, header(api.key, each, tags=tags) + body(api, each))
        outcomes.note(f"v{each}")


@case(ApiVersionsRequest, versions=FLEXIBLE_APIS)
def test_tags_of_the_body(session: Session, version: int) -> None:
    api = APIS[version]
    for each in versions_to_try(api):
        rest = body(api, each)
        if not is_flexible(api.key, each):
            continue
        assert rest.endswith(NO_TAGS)
        outcomes = Outcomes(session)
        for label, tags in TAGS.items():
            outcomes.attempt(label, header(api.key, each) + rest[:-1] + tags)
        outcomes.note(f"v{each}")


@case(FetchRequest, versions=(12, 18))
def test_size_of_a_known_tag(session: Session, version: int) -> None:
    """The name of the cluster, which brokers do not look at, with another size than it has."""
    api = APIS[FetchRequest.API_KEY]
    rest = body(api, version)
    assert rest.endswith(NO_TAGS)
    outcomes = Outcomes(session)
    for label, size in (
        ("right", b"\x02"),
        ("less", b"\x01"),
        ("more", b"\x03"),
        ("none", b"\x00"),
    ):
        tags = b"\x01\x00" + size + b"\x02x"
        outcomes.attempt(label, header(api.key, version) + rest[:-1] + tags)
    outcomes.note("sizes")


@case(ApiVersionsRequest, versions=EVERY_API)
def test_header_of_another_version(session: Session, version: int) -> None:
    """A tag section where none belongs, and none where one does."""
    api = APIS[version]
    for each in versions_to_try(api):
        other = b"" if is_flexible(api.key, each) else NO_TAGS
        outcomes = Outcomes(session)
        outcomes.attempt("other", header(api.key, each, tags=other) + body(api, each))
        outcomes.attempt("only the other", header(api.key, each, tags=other))
        outcomes.note(f"v{each}")


@case(ApiVersionsRequest, versions=EVERY_API)
def test_unknown_versions(session: Session, version: int) -> None:
    """All of them close the connection but those of ApiVersions, whose header is whole here."""
    api = APIS[version]
    outcomes = Outcomes(session)
    for each in (-1, -32768, api.min_version - 1, api.max_version + 1, 100, 32767):
        request = header(api.key, each, tags=b"") + bytes(40)
        outcomes.attempt(f"v{each}", request)
    outcomes.note("versions")


@case(ApiVersionsRequest, versions=EVERY_API)
def test_text(session: Session, version: int) -> None:
    """What is no UTF-8, or no text, in every string of a request."""
    api = APIS[version]
    for each in versions_to_try(api):
        outcomes = Outcomes(session)
        for label, rest in _other_texts(body(api, each), is_flexible(api.key, each)):
            outcomes.attempt(label, header(api.key, each) + rest)
        outcomes.note(f"v{each}")


def _other_texts(rest: bytes, flexible: bool) -> Iterator[tuple[str, bytes]]:
    text = TEXT.encode()
    yield "no UTF-8", rest.replace(text, b"pr\xffbe")
    yield "a surrogate", rest.replace(text, b"p\xed\xa0\x80e")
    yield "NULs", rest.replace(text, bytes(5))
    whole = (bytes([len(text) + 1]) if flexible else struct.pack(">h", len(text))) + text
    for label, other in {
        "null": b"\x00" if flexible else b"\xff\xff",
        "another length": b"\x80\x00",
        "too long": b"\xf0\x01" + text if flexible else b"\x7f\xff" + text,
        "empty": b"\x01" if flexible else b"\x00\x00",
    }.items():
        yield label, rest.replace(whole, other)


@case(ApiVersionsRequest, versions=EVERY_API)
def test_every_byte(session: Session, version: int) -> None:
    """Each byte of the body replaced: counts, lengths, numbers, flags and text."""
    api = APIS[version]
    rest = body(api, api.max_version)
    outcomes = Outcomes(session)
    for position, byte in enumerate(rest):
        for other in (0x00, 0x7F, 0xFF):
            if other != byte:
                changed = rest[:position] + bytes([other]) + rest[position + 1 :]
                request = header(api.key, api.max_version) + changed
                outcomes.attempt(f"{other:02x} at {position}", request)
    outcomes.note(f"v{api.max_version}")
