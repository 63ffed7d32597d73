"""SaslAuthenticate (API key 36), versions 0-2: a client says who it is (KIP-152).

v1 says how long that holds (KIP-368), v2 is flexible. Here every client is who it is when it has
connected: there are plaintext listeners alone. So the request comes at the wrong time, as it does
in Kafka behind an authentication (KafkaApis.handleSaslAuthenticateRequest).
"""

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)
from pykbroker.request_context import RequestContext


def handle(context: RequestContext, request: SaslAuthenticateRequest) -> SaslAuthenticateResponse:
    """Answer ILLEGAL_SASL_STATE."""
    return error_response(
        request, ErrorCode.ILLEGAL_SASL_STATE, "This connection needs no authentication."
    )


def error_response(
    request: SaslAuthenticateRequest, code: ErrorCode, message: str | None = None
) -> SaslAuthenticateResponse:
    """Answer with an error."""
    return SaslAuthenticateResponse(error_code=code, error_message=message)
