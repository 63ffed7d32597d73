import logging
from pathlib import Path

import pytest

from pykbroker.handlers import describe_configs
from pykbroker.metadata.config_changes import AlterOperation, ConfigChange, ConfigOperation
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

VERSIONS = range(1, 5)
NEWEST = 4
TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
INVALID = ErrorCode.INVALID_REQUEST


def a_resource(
    resource_type: int, name: str, keys: list[str] | None = None
) -> DescribeConfigsResource:
    return DescribeConfigsResource(
        resource_type=resource_type, resource_name=name, configuration_keys=keys
    )


async def describe(
    broker: BrokerHarness,
    *resources: DescribeConfigsResource,
    version: int = NEWEST,
    synonyms: bool = False,
    documentation: bool = False,
) -> list[DescribeConfigsResult]:
    request = DescribeConfigsRequest(
        resources=list(resources),
        include_synonyms=synonyms,
        include_documentation=documentation,
    )
    response = await answer(broker, describe_configs, request, version)
    assert isinstance(response, DescribeConfigsResponse)
    return response.results


async def alter(broker: BrokerHarness, resource_type: int, name: str, **configs: str) -> None:
    operations = tuple(
        ConfigOperation(setting.replace("_", "."), AlterOperation.SET, value)
        for setting, value in configs.items()
    )
    change = ConfigChange(resource_type, name, operations)
    assert await broker.broker.metadata.incremental_alter_configs([change]) == [None]


def by_name(result: DescribeConfigsResult) -> dict[str, DescribeConfigsResourceResult]:
    assert (result.error_code, result.error_message) == (ErrorCode.NONE, "")
    return {config.name: config for config in result.configs}


def sources(config: DescribeConfigsResourceResult) -> list[tuple[str, str | None, int]]:
    return [(synonym.name, synonym.value, synonym.source) for synonym in config.synonyms]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topics_settings_are_told_as_far_as_the_version_can(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="1000")
            keys = ["retention.ms", "compression.type", "no.such.setting", "retention.ms"]
            asked = a_resource(TOPIC, "t", keys)
            (result,) = await describe(
                broker, asked, version=version, synonyms=True, documentation=version >= 3
            )
            assert (result.resource_type, result.resource_name) == (TOPIC, "t")
            configs = by_name(result)
            assert list(configs) == ["compression.type", "retention.ms"]
            retention = configs["retention.ms"]
            assert (retention.value, retention.config_source) == ("1000", 1)
            assert not retention.read_only
            assert not retention.is_sensitive
            assert retention.synonyms == [DescribeConfigsSynonym("retention.ms", "1000", 1)]
            assert sources(configs["compression.type"]) == [("compression.type", "producer", 5)]
            assert retention.config_type == (5 if version >= 3 else 0)
            assert bool(retention.documentation) == (version >= 3)

    run(scenario())


def test_synonyms_and_documentation_come_only_when_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (result,) = await describe(broker, a_resource(TOPIC, "t"))
            assert all(config.synonyms == [] for config in result.configs)
            assert all(config.documentation is None for config in result.configs)

    run(scenario())


def test_null_and_no_names_mean_all_settings(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            (null,) = await describe(broker, a_resource(TOPIC, "t", None))
            (empty,) = await describe(broker, a_resource(TOPIC, "t", []))
            assert null == empty
            assert len(by_name(null)) == 33

    run(scenario())


def test_a_value_comes_from_the_nearest_place_that_has_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, message_max_bytes="1000012") as broker:
            await broker.create_topic("t")
            asked = (
                a_resource(TOPIC, "t", ["max.message.bytes"]),
                a_resource(BROKER, "1", ["message.max.bytes"]),
                a_resource(BROKER, ""),
            )
            static = ("message.max.bytes", "1000012", 4)
            default = ("message.max.bytes", "1048588", 5)
            topic, own, every = await describe(broker, *asked, synonyms=True)
            assert sources(by_name(topic)["max.message.bytes"]) == [static, default]
            assert sources(by_name(own)["message.max.bytes"]) == [static, default]
            assert every.configs == []

            await alter(broker, BROKER, "", message_max_bytes="2000000")
            await alter(broker, BROKER, "1", message_max_bytes="3000000")
            await alter(broker, TOPIC, "t", max_message_bytes="4000000")
            topic, own, every = await describe(broker, *asked, synonyms=True)
            dynamic = [("message.max.bytes", "3000000", 2), ("message.max.bytes", "2000000", 3)]
            below = [*dynamic, static, default]
            assert sources(by_name(topic)["max.message.bytes"]) == [
                ("max.message.bytes", "4000000", 1),
                *below,
            ]
            assert sources(by_name(own)["message.max.bytes"]) == below
            assert by_name(own)["message.max.bytes"].config_source == 2
            assert [(config.name, config.value) for config in every.configs] == [
                ("message.max.bytes", "2000000")
            ]

    run(scenario())


def test_all_settings_of_the_broker_are_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            configs = by_name((await describe(broker, a_resource(BROKER, "1")))[0])
            assert len(configs) > 340
            assert configs["num.partitions"].read_only
            assert not configs["log.retention.ms"].read_only
            password = configs["ssl.keystore.password"]
            assert (password.value, password.is_sensitive, password.config_type) == (None, True, 9)

    run(scenario())


def test_groups_and_subscriptions_need_not_exist(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            asked = a_resource(GROUP, "g"), a_resource(CLIENT_METRICS, "s")
            group, subscription = await describe(broker, *asked, synonyms=True)
            timeout = by_name(group)["consumer.session.timeout.ms"]
            assert sources(timeout) == [("group.consumer.session.timeout.ms", "45000", 5)]
            assert list(by_name(subscription)) == ["interval.ms", "match", "metrics"]

            await alter(broker, GROUP, "g", consumer_session_timeout_ms="50000")
            await alter(broker, CLIENT_METRICS, "s", interval_ms="1000")
            group, subscription = await describe(broker, *asked)
            assert by_name(group)["consumer.session.timeout.ms"].config_source == 8
            assert by_name(subscription)["interval.ms"].config_source == 7

    run(scenario())


def test_the_loggers_of_the_broker_are_shown_with_their_levels(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            name = "pykbroker.test.describe_configs"
            logging.getLogger(name).setLevel(logging.ERROR)
            asked = a_resource(LOGGER, "1", [name, "no.such.logger"])
            (result,) = await describe(broker, asked, synonyms=True, documentation=True)
            assert result.configs == [
                DescribeConfigsResourceResult(name=name, value="ERROR", config_source=6)
            ]
            (every,) = await describe(broker, a_resource(LOGGER, "1"))
            assert "root" in by_name(every)

    run(scenario())


REFUSALS = [
    (a_resource(TOPIC, "gone"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ""),
    (a_resource(TOPIC, "a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "Topic name is invalid"),
    (a_resource(TOPIC, ""), ErrorCode.INVALID_TOPIC_EXCEPTION, "empty string"),
    (a_resource(BROKER, "5"), INVALID, "expected 1 or empty string, but received 5"),
    (a_resource(BROKER, "x"), INVALID, "Broker id must be an integer, but it is: x"),
    (a_resource(LOGGER, "5"), INVALID, "Unexpected broker id, expected 1 but received 5"),
    (a_resource(LOGGER, "x"), INVALID, "Broker id must be an integer, but it is: x"),
    (a_resource(LOGGER, ""), INVALID, "Broker id must not be empty"),
    (a_resource(GROUP, ""), INVALID, "Group name must not be empty"),
    (a_resource(CLIENT_METRICS, ""), INVALID, "subscription name must not be empty"),
]


def test_a_refused_resource_says_why_and_harms_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for resource, code, message in REFUSALS:
                refused, good = await describe(broker, resource, a_resource(TOPIC, "t"))
                assert refused.resource_name == resource.resource_name
                assert refused.error_code == code
                assert message in (refused.error_message or "")
                assert refused.configs == []
                assert by_name(good)

    run(scenario())


@pytest.mark.parametrize("resource_type", [0, 1, 3, 99])
def test_an_unknown_type_fails_the_whole_request(tmp_path: Path, resource_type: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            results = await describe(broker, a_resource(resource_type, "x"), a_resource(TOPIC, "t"))
            assert [(row.resource_name, row.error_code) for row in results] == [
                ("x", INVALID),
                ("t", INVALID),
            ]

    run(scenario())


def test_a_resource_may_come_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            asked = a_resource(TOPIC, "t", ["retention.ms"]), a_resource(TOPIC, "t", ["segment.ms"])
            first, second = await describe(broker, *asked)
            assert (list(by_name(first)), list(by_name(second))) == (
                ["retention.ms"],
                ["segment.ms"],
            )
            assert await describe(broker) == []

    run(scenario())


def test_a_resource_is_described_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            results = await describe(broker, *[a_resource(TOPIC, "nope")] * 3)
            assert [result.resource_name for result in results] == ["nope"]

    run(main())


def test_there_is_a_limit_to_the_resources_of_a_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            names = map(str, range(describe_configs.MAX_RESOURCES + 1))
            results = await describe(broker, *(a_resource(TOPIC, name) for name in names))
            assert {result.error_code for result in results} == {INVALID}

    run(main())
