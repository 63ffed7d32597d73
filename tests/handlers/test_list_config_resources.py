from pathlib import Path

import pytest

from pykbroker.handlers import list_config_resources
from pykbroker.metadata.config_changes import ConfigChange, ConfigOperation
from pykbroker.metadata.image import ResourceType
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_config_resources import (
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

TOPIC = (2, "t")
BROKER = (4, "1")
LOGGER = (8, "1")
SUBSCRIPTION = (16, "s")
GROUP = (32, "g")


def listed(response: ListConfigResourcesResponse) -> list[tuple[int, str]]:
    assert response.error_code == ErrorCode.NONE
    return [(row.resource_type, row.resource_name) for row in response.config_resources]


async def configure(broker: BrokerHarness) -> None:
    """Have one resource of each type."""
    await broker.create_topic("t")
    interval = ConfigOperation("interval.ms", 0, "1000")
    timeout = ConfigOperation("consumer.session.timeout.ms", 0, "50000")
    results = await broker.broker.metadata.incremental_alter_configs(
        [
            ConfigChange(ResourceType.CLIENT_METRICS, "s", (interval,)),
            ConfigChange(ResourceType.GROUP, "g", (timeout,)),
        ]
    )
    assert results == [None, None]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([], [GROUP, SUBSCRIPTION, LOGGER, BROKER, TOPIC]),
        ([2], [TOPIC]),
        ([4, 8], [LOGGER, BROKER]),
        ([16], [SUBSCRIPTION]),
        ([32, 32], [GROUP]),
    ],
)
def test_resources_are_listed_by_type(
    tmp_path: Path, types: list[int], expected: list[tuple[int, str]]
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await configure(broker)
            request = ListConfigResourcesRequest(resource_types=types)
            assert listed(await answer(broker, list_config_resources, request, 1)) == expected

    run(scenario())


def test_v0_lists_client_metrics_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await configure(broker)
            request = ListConfigResourcesRequest()
            response = await answer(broker, list_config_resources, request, 0)
            assert listed(response) == [SUBSCRIPTION]

    run(scenario())


@pytest.mark.parametrize("types", [[0], [1], [99], [2, 99]])
def test_an_unknown_type_fails_the_request(tmp_path: Path, types: list[int]) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = ListConfigResourcesRequest(resource_types=types)
            response = await answer(broker, list_config_resources, request, 1)
            assert response == ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)

    run(scenario())
