"""UpdateFeatures (API key 57), versions 0-2: change the levels of features (KIP-584).

v0 can only raise them: its `allow_downgrade` means nothing to Kafka's controller. v1 has upgrade
types, and can only ask; v2 answers for all features at once (KIP-1022), as all are changed or none
is in the older versions too, which then tell of each that it was, or of none.
"""

from typing import Final

from pykbroker.metadata.features import FeatureUpdate
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.update_features import (
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from pykbroker.request_context import RequestContext

LAST_VERSION_WITH_RESULTS: Final = 1


async def handle(context: RequestContext, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse:
    """Change the levels of all the features, or only say whether they could be.

    Raises:
        KafkaError: INVALID_UPDATE_VERSION; no level is changed.
    """
    updates = [
        FeatureUpdate(update.feature, update.max_version_level, update.upgrade_type)
        for update in request.feature_updates
    ]
    await context.broker.metadata.update_features(updates, validate_only=request.validate_only)
    response = UpdateFeaturesResponse(error_message=None)
    if context.api_version <= LAST_VERSION_WITH_RESULTS:
        response.results = [
            UpdatableFeatureResult(update.name, error_message=ErrorCode.NONE.name)
            for update in updates
        ]
    return response


def error_response(
    request: UpdateFeaturesRequest, code: ErrorCode, message: str | None = None
) -> UpdateFeaturesResponse:
    """Answer with an error for all features."""
    return UpdateFeaturesResponse(error_code=code, error_message=message)
