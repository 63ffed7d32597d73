"""SaslHandshake and SaslAuthenticate where nobody has to say who they are."""

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.metadata import MetadataRequest
from pykbroker.protocol.messages.sasl_authenticate import SaslAuthenticateRequest
from pykbroker.protocol.messages.sasl_handshake import SaslHandshakeRequest

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "", "unknown")
NO_TOPICS = MetadataRequest(topics=[])


@case(SaslHandshakeRequest)
def test_handshake(session: Session, version: int) -> None:
    for mechanism in MECHANISMS:
        session.send(SaslHandshakeRequest(mechanism=mechanism), version)
    # The connection goes on.
    session.send(NO_TOPICS, 12)


@case(SaslAuthenticateRequest)
def test_authenticate(session: Session, version: int) -> None:
    for token in (b"\0user\0password", b""):
        session.send(SaslAuthenticateRequest(auth_bytes=token), version)
    session.send(NO_TOPICS, 12)
