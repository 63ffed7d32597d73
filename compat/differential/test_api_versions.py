"""ApiVersions: what is served, who asks, and versions of its own that nobody knows (KIP-511)."""

from typing import Any

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.wire import Connection, decode_answer
from pykbroker.handlers import APIS
from pykbroker.metadata.features import SUPPORTED_LEVELS
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.metadata import MetadataRequest

FIRST_WITH_NAME = 3
NAMED = (3, 4)


def named(name: str = "differential", version: str = "1.0") -> ApiVersionsRequest:
    return ApiVersionsRequest(client_software_name=name, client_software_version=version)


def note(session: Session, label: str, answer: Any) -> None:
    """Compare an answer by the APIs that pykbroker serves at all."""
    served = [api for api in answer.api_keys if api.api_key in APIS]
    session.note(label, [answer.error_code, served, answer.throttle_time_ms])


@case(ApiVersionsRequest)
def test_served_apis(session: Session, version: int) -> None:
    note(session, "served", session.ask(named(), version))
    note(session, "again", session.ask(named("another"), version))


@case(ApiVersionsRequest)
def test_other_apis(session: Session, version: int) -> None:
    """What Kafka serves beside these; a listed difference."""
    answer = session.ask(named(), version)
    keys = sorted(api.api_key for api in answer.api_keys if api.api_key not in APIS)
    session.note("other APIs", keys)


@case(ApiVersionsRequest, versions=NAMED)
def test_features(session: Session, version: int) -> None:
    answer = session.ask(named(), version)
    supported = {each.name: each for each in answer.supported_features}
    finalized = {each.name: each for each in answer.finalized_features}
    session.note("supported", sorted(supported))
    session.note("finalized", sorted(finalized))
    for name in SUPPORTED_LEVELS:
        session.note(name, [supported.get(name), finalized.get(name)])
    session.note("has an epoch", answer.finalized_features_epoch >= 0)
    session.note("migration", answer.zk_migration_ready)


@case(ApiVersionsRequest, versions=NAMED)
def test_good_software_names(session: Session, version: int) -> None:
    for name, software_version in (
        ("a", "1"),
        ("apache-kafka-java", "4.3.1-SNAPSHOT"),
        ("A.b-C", "0"),
        ("a--..b", "1..2"),
        ("x" * 1000, "1"),
    ):
        note(session, name[:20], session.ask(named(name, software_version), version))


@case(ApiVersionsRequest, versions=NAMED)
def test_bad_software_names(session: Session, version: int) -> None:
    """Refused, but the connection stays."""
    for name, software_version in (
        ("", "1"),
        ("a", ""),
        ("a b", "1"),
        ("-a", "1"),
        ("a-", "1"),
        (".a", "1"),
        ("a", "1."),
        ("a_b", "1"),
        ("ü", "1"),
        ("a\n", "1"),
        ("a", "1/2"),
    ):
        session.send(named(name, software_version), version)
    session.send(MetadataRequest(topics=[]), 9)


@case(ApiVersionsRequest, versions=(0, 1, 2))
def test_old_versions_have_no_name(session: Session, version: int) -> None:
    note(session, "served", session.ask(named("", ""), version))


@case(ApiVersionsRequest, versions=(5, 6, 100, 32767, -1))
def test_unknown_versions(session: Session, version: int) -> None:
    """Answered in v0 with what may be asked, whatever follows the header; then once more."""
    tags = b"\x00" if version >= FIRST_WITH_NAME else b""
    for body in (b"", b"\x02a\x021\x00", bytes(40), b"\xff" * 40):
        head = _header(version, 7, b"differential") + tags
        frame = session.attempt_bytes(_sized(head + body), label=f"{len(body)} bytes")
        assert frame is not None, "no answer"
        session.note("answer", decode_answer(ApiVersionsRequest(), 0, frame[4:]))
        note(session, "then", session.ask(named(), 4))


@case(ApiVersionsRequest, versions=(5, 32767, -1))
def test_unknown_versions_with_half_a_header(session: Session, version: int) -> None:
    """The header has to be whole, with the tags of the versions from 3 on."""
    whole = _header(version, 7, None) + b"\x01\x05\x02ab"
    for size in (len(whole), len(whole) - 1, len(whole) - 4, len(whole) - 5, 9, 8, 7, 4, 0):
        session.reconnect()
        session.attempt_bytes(_sized(whole[:size]), label=f"{size} bytes")


@case(ApiVersionsRequest)
def test_in_the_middle(session: Session, version: int) -> None:
    """A client may ask at any time, not only first."""
    connection: Connection = session.connection
    session.send(MetadataRequest(topics=[]), 9, on=connection)
    note(session, "served", session.ask(named(), version, on=connection))
    session.send(MetadataRequest(topics=[]), 9, on=connection)


def _header(version: int, correlation_id: int, client_id: bytes | None) -> bytes:
    head = b"".join(
        number.to_bytes(size, "big", signed=True)
        for number, size in ((18, 2), (version, 2), (correlation_id, 4))
    )
    if client_id is None:
        return head + b"\xff\xff"
    return head + len(client_id).to_bytes(2, "big") + client_id


def _sized(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body
