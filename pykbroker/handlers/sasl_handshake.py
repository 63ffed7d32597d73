"""SaslHandshake (API key 17), versions 0-1: which mechanism a client would use to say who it is.

Here every client is who it is when it has connected: there are plaintext listeners alone. So no
mechanism is enabled, and the request comes at the wrong time, as it does in Kafka behind an
authentication (KafkaApis.handleSaslHandshakeRequest).
"""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sasl_handshake import (
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)
from pykbroker.request_context import RequestContext


def handle(context: RequestContext, request: SaslHandshakeRequest) -> SaslHandshakeResponse:
    """Answer ILLEGAL_SASL_STATE."""
    return error_response(request, ErrorCode.ILLEGAL_SASL_STATE)


def error_response(
    request: SaslHandshakeRequest, code: ErrorCode, message: str | None = None
) -> SaslHandshakeResponse:
    """Answer with an error."""
    return SaslHandshakeResponse(error_code=code)
