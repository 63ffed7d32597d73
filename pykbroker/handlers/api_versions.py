"""ApiVersions (API key 18), versions 0-4.

v3 is flexible, carries the client's software name and version (KIP-511) and the features of the
cluster (KIP-584); v4 differs only in features whose minimum is 0 (KIP-511, KAFKA-17492). The header
of the response is version 0 in every version, since the client does not know yet what we speak.

An unknown version is answered, not refused: the v0 body with UNSUPPORTED_VERSION and the range that
the client may use next. dispatch calls `unsupported_version_response` for it, for a body of an
unknown version cannot be decoded.

Of the features that Kafka knows those are listed whose levels mean something here, see
`metadata.features`. In older versions Kafka leaves out what is supported from level 0 on.
"""

import re
from typing import Final

from pykbroker.handlers import APIS
from pykbroker.metadata.features import SUPPORTED_LEVELS, Features
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_SOFTWARE_NAME: Final = 3
FIRST_VERSION_WITH_LEVEL_0: Final = 4
# KIP-511: what goes into metric names and logs has to be harmless.
SOFTWARE_PATTERN: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def handle(context: RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse:
    """List every API that is served, and remember what software the client is.

    Raises:
        KafkaError: INVALID_REQUEST for a malformed software name or version.
    """
    if context.api_version >= FIRST_VERSION_WITH_SOFTWARE_NAME:
        names = (request.client_software_name, request.client_software_version)
        if not all(SOFTWARE_PATTERN.fullmatch(name) for name in names):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "malformed client software name or version")
        context.connection.software_name, context.connection.software_version = names
    response = ApiVersionsResponse(api_keys=_advertised())
    _add_features(response, context.broker.metadata.image.features, context.api_version)
    return response


def error_response(
    request: ApiVersionsRequest, code: ErrorCode, message: str | None = None
) -> ApiVersionsResponse:
    """Answer with an error; the list of APIs stays empty."""
    return ApiVersionsResponse(error_code=code)


def unsupported_version_response() -> ApiVersionsResponse:
    """Answer a version that we do not know: the client may retry with one of the range given."""
    api = APIS[ApiKey.API_VERSIONS]
    return ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[
            ApiVersion(api_key=api.key, min_version=api.min_version, max_version=api.max_version)
        ],
    )


def _add_features(response: ApiVersionsResponse, features: Features, version: int) -> None:
    response.supported_features = [
        SupportedFeatureKey(name=name, min_version=first, max_version=last)
        for name, (first, last) in SUPPORTED_LEVELS.items()
        if first > 0 or version >= FIRST_VERSION_WITH_LEVEL_0
    ]
    response.finalized_features_epoch = features.epoch
    response.finalized_features = [
        FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
        for name, level in features.finalized.items()
    ]


def _advertised() -> list[ApiVersion]:
    return [
        ApiVersion(
            api_key=api.key,
            min_version=api.advertised_min_version,
            max_version=api.max_version,
        )
        for api in APIS.values()
    ]
