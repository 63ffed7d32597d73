from pathlib import Path

import pytest

from pykbroker.handlers import alter_configs
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.alter_configs import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

NEWEST = 2
TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
INVALID, BAD_CONFIG = ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_CONFIG


def a_resource(resource_type: int, name: str, **configs: str | None) -> AlterConfigsResource:
    """Settings are Kafka's with `_` for `.`."""
    return AlterConfigsResource(
        resource_type=resource_type,
        resource_name=name,
        configs=[
            AlterableConfig(name=setting.replace("_", "."), value=value)
            for setting, value in configs.items()
        ],
    )


async def alter(
    broker: BrokerHarness,
    *resources: AlterConfigsResource,
    version: int = NEWEST,
    validate_only: bool = False,
) -> list[AlterConfigsResourceResponse]:
    request = AlterConfigsRequest(resources=list(resources), validate_only=validate_only)
    response = await answer(broker, alter_configs, request, version)
    assert isinstance(response, AlterConfigsResponse)
    return response.responses


@pytest.mark.parametrize("version", range(3))
def test_the_new_settings_replace_the_old_ones(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="5000", segment_ms="6000")
            wanted = a_resource(TOPIC, "t", segment_ms="7000")
            results = await alter(broker, wanted, version=version)
            assert results == [AlterConfigsResourceResponse(0, None, TOPIC, "t")]
            assert broker.image.topics["t"].configs == {"segment.ms": "7000"}
            assert broker.log("t").config.segment_ms == 7000

            await alter(broker, a_resource(TOPIC, "t"), version=version)
            assert broker.image.topics["t"].configs == {}

    run(scenario())


def test_validation_alone_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="5000")
            (result,) = await alter(broker, a_resource(TOPIC, "t"), validate_only=True)
            assert result.error_code == ErrorCode.NONE
            assert broker.image.topics["t"].configs == {"retention.ms": "5000"}

    run(scenario())


def test_brokers_groups_and_subscriptions_have_settings_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            results = await alter(
                broker,
                a_resource(BROKER, "1", message_max_bytes="2000000"),
                a_resource(BROKER, "", log_retention_ms="123456"),
                a_resource(CLIENT_METRICS, "s", interval_ms="1000"),
                a_resource(GROUP, "g", consumer_session_timeout_ms="50000"),
            )
            assert [row.error_code for row in results] == [ErrorCode.NONE] * 4
            assert broker.broker.config.message_max_bytes == 2_000_000
            assert broker.broker.metadata.topic_config("any").retention_ms == 123_456
            assert set(broker.image.client_metrics_configs) == {"s"}
            assert set(broker.image.group_configs) == {"g"}

    run(scenario())


REFUSALS = [
    (a_resource(TOPIC, "gone"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "'gone' does not exist"),
    (a_resource(TOPIC, "a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "Topic name is invalid"),
    (a_resource(TOPIC, ""), INVALID, "Default topic resources are not allowed."),
    (a_resource(TOPIC, "t", foo="1"), BAD_CONFIG, "Unknown topic config name: foo"),
    (a_resource(TOPIC, "t", retention_ms="x"), BAD_CONFIG, "Not a number of type LONG"),
    (a_resource(TOPIC, "t", retention_ms=None), INVALID, "Null value not supported for"),
    (a_resource(BROKER, "1", num_partitions="3"), INVALID, "Cannot update these configs"),
    (a_resource(BROKER, "7", log_retention_ms="1"), INVALID, "expected 1, but received 7"),
    (a_resource(BROKER, "x", log_retention_ms="1"), INVALID, "Node id must be an integer"),
    (a_resource(LOGGER, "1", root="INFO"), INVALID, "Unknown resource type 8"),
    (a_resource(0, "x"), INVALID, "Unknown resource type 0"),
    (a_resource(99, "x"), INVALID, "Unknown resource type 99"),
    (a_resource(GROUP, "g", foo="1"), BAD_CONFIG, "Unknown group config name: foo"),
]


def test_a_refused_resource_says_why_and_harms_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="5000")
            await broker.create_topic("other")
            for number, (resource, code, message) in enumerate(REFUSALS, start=1):
                wanted = a_resource(TOPIC, "other", segment_ms=str(number))
                refused, changed = await alter(broker, resource, wanted)
                assert (refused.resource_type, refused.resource_name) == (
                    resource.resource_type,
                    resource.resource_name,
                )
                assert refused.error_code == code
                assert message in (refused.error_message or "")
                assert changed.error_code == ErrorCode.NONE
                assert broker.image.topics["other"].configs == {"segment.ms": str(number)}
            assert broker.image.topics["t"].configs == {"retention.ms": "5000"}

    run(scenario())


def test_what_comes_twice_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="5000")
            twice = a_resource(TOPIC, "t", retention_ms="1"), a_resource(TOPIC, "t")
            assert [row.error_code for row in await alter(broker, *twice)] == [INVALID, INVALID]

            resource = a_resource(TOPIC, "t", retention_ms="1")
            resource.configs *= 2
            (row,) = await alter(broker, resource)
            assert (row.error_code, row.error_message) == (
                INVALID,
                "Error due to duplicate config keys",
            )
            assert broker.image.topics["t"].configs == {"retention.ms": "5000"}

    run(scenario())


def test_a_failure_is_said_for_each_resource() -> None:
    request = AlterConfigsRequest(resources=[a_resource(TOPIC, "t"), a_resource(BROKER, "1")])
    response = alter_configs.error_response(request, ErrorCode.KAFKA_STORAGE_ERROR, "full")
    code = ErrorCode.KAFKA_STORAGE_ERROR
    assert response.responses == [
        AlterConfigsResourceResponse(code, "full", TOPIC, "t"),
        AlterConfigsResourceResponse(code, "full", BROKER, "1"),
    ]
