from pathlib import Path

import pytest

from pykbroker.handlers import api_versions, update_features
from pykbroker.metadata.features import GROUP_VERSION, TRANSACTION_VERSION, UpgradeType
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.update_features import (
    FeatureUpdateKey,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

NEWEST = 2


async def update(
    broker: BrokerHarness,
    *updates: tuple[str, int],
    version: int = NEWEST,
    validate_only: bool = False,
) -> UpdateFeaturesResponse:
    request = UpdateFeaturesRequest(
        feature_updates=[
            FeatureUpdateKey(name, level, upgrade_type=UpgradeType.SAFE_DOWNGRADE)
            for name, level in updates
        ],
        validate_only=validate_only,
    )
    response = await answer(broker, update_features, request, version)
    assert isinstance(response, UpdateFeaturesResponse)
    return response


async def finalized(broker: BrokerHarness) -> tuple[dict[str, int], int]:
    """What ApiVersions tells, without metadata.version, and the epoch."""
    request = ApiVersionsRequest(client_software_name="a", client_software_version="1")
    response = await answer(broker, api_versions, request, 4)
    levels = {each.name: each.max_version_level for each in response.finalized_features}
    del levels["metadata.version"]
    return levels, response.finalized_features_epoch


@pytest.mark.parametrize("version", range(1, 3))
def test_levels_are_changed_and_survive_a_restart(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            assert await finalized(broker) == ({GROUP_VERSION: 1, TRANSACTION_VERSION: 2}, 0)
            changes = (TRANSACTION_VERSION, 1), (GROUP_VERSION, 0)
            response = await update(broker, *changes, version=version)
            assert (response.error_code, response.error_message) == (ErrorCode.NONE, None)
            results = [(each.feature, each.error_code) for each in response.results]
            assert results == ([(name, 0) for name, _ in changes] if version == 1 else [])
            assert await finalized(broker) == ({TRANSACTION_VERSION: 1}, 1)
        async with a_broker(tmp_path) as broker:
            assert await finalized(broker) == ({TRANSACTION_VERSION: 1}, 1)

    run(scenario())


def test_all_levels_are_changed_or_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            response = await update(broker, (TRANSACTION_VERSION, 1), (GROUP_VERSION, 7))
            assert response.error_code == ErrorCode.INVALID_UPDATE_VERSION
            assert response.error_message is not None
            assert response.error_message.endswith("Local controller 1 only supports versions 0-1")
            assert await finalized(broker) == ({GROUP_VERSION: 1, TRANSACTION_VERSION: 2}, 0)

    run(scenario())


def test_it_can_be_asked_without_a_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            response = await update(broker, (TRANSACTION_VERSION, 0), validate_only=True)
            assert response.error_code == ErrorCode.NONE
            assert await finalized(broker) == ({GROUP_VERSION: 1, TRANSACTION_VERSION: 2}, 0)

    run(scenario())


def test_an_error_is_told_for_the_whole_request() -> None:
    request = UpdateFeaturesRequest(feature_updates=[FeatureUpdateKey("a", 1)])
    response = update_features.error_response(request, ErrorCode.INVALID_UPDATE_VERSION, "why")
    assert response.error_code == ErrorCode.INVALID_UPDATE_VERSION
    assert (response.error_message, response.results) == ("why", [])
