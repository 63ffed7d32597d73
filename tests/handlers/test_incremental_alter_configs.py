import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykbroker.handlers import incremental_alter_configs
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

NEWEST = 1
TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
INVALID, BAD_CONFIG = ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_CONFIG
LOGGER_NAME = "pykbroker.test.incremental_alter_configs"

Change = tuple[str, int, str | None]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the broker, and the levels as they were afterwards."""
    root = logging.getLogger()
    level = root.level
    logger = logging.getLogger(LOGGER_NAME)
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(logging.NOTSET)
    root.setLevel(level)


def a_resource(resource_type: int, name: str, *changes: Change) -> AlterConfigsResource:
    return AlterConfigsResource(
        resource_type=resource_type,
        resource_name=name,
        configs=[
            AlterableConfig(name=setting, config_operation=operation, value=value)
            for setting, operation, value in changes
        ],
    )


async def alter(
    broker: BrokerHarness,
    *resources: AlterConfigsResource,
    version: int = NEWEST,
    validate_only: bool = False,
) -> list[AlterConfigsResourceResponse]:
    request = IncrementalAlterConfigsRequest(resources=list(resources), validate_only=validate_only)
    response = await answer(broker, incremental_alter_configs, request, version)
    assert isinstance(response, IncrementalAlterConfigsResponse)
    return response.responses


@pytest.mark.parametrize("version", range(2))
def test_other_settings_stay_as_they_are(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", retention_ms="5000", segment_ms="6000")
            changes = a_resource(
                TOPIC, "t", ("retention.ms", SET, "7000"), ("segment.bytes", DELETE, None)
            )
            results = await alter(broker, changes, version=version)
            assert results == [AlterConfigsResourceResponse(0, None, TOPIC, "t")]
            expected = {"retention.ms": "7000", "segment.ms": "6000"}
            assert broker.image.topics["t"].configs == expected
            assert broker.log("t").config.retention_ms == 7000

            await alter(broker, a_resource(TOPIC, "t", ("retention.ms", DELETE, None)))
            assert broker.image.topics["t"].configs == {"segment.ms": "6000"}

    run(scenario())


@pytest.mark.parametrize(
    ("start", "operation", "value", "expected"),
    [
        ("compact", APPEND, "delete", "compact,delete"),
        ("compact", APPEND, "compact", "compact"),
        ("compact,delete", SUBTRACT, "compact", "delete"),
        ("delete", SUBTRACT, "compact", "delete"),
        ("delete", SUBTRACT, "delete", ""),
        # Without a value of its own the list starts from the default, which is "delete".
        (None, APPEND, "compact", "delete,compact"),
    ],
)
def test_lists_grow_and_shrink(
    tmp_path: Path, start: str | None, operation: int, value: str, expected: str
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            if start is not None:
                await alter(broker, a_resource(TOPIC, "t", ("cleanup.policy", SET, start)))
            change = a_resource(TOPIC, "t", ("cleanup.policy", operation, value))
            (result,) = await alter(broker, change)
            assert result.error_code == ErrorCode.NONE
            assert broker.image.topics["t"].configs == {"cleanup.policy": expected}

    run(scenario())


def test_validation_alone_changes_nothing(tmp_path: Path, logger: logging.Logger) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            results = await alter(
                broker,
                a_resource(TOPIC, "t", ("retention.ms", SET, "5000")),
                a_resource(LOGGER, "1", (LOGGER_NAME, SET, "DEBUG")),
                a_resource(BROKER, "1", ("log.retention.ms", SET, "x")),
                validate_only=True,
            )
            assert [row.error_code for row in results] == [0, 0, INVALID]
            assert broker.image.topics["t"].configs == {}
            assert logger.level == logging.NOTSET

    run(scenario())


def test_levels_of_loggers_change_at_once(tmp_path: Path, logger: logging.Logger) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            results = await alter(
                broker,
                a_resource(LOGGER, "1", (LOGGER_NAME, SET, "DEBUG"), ("root", SET, "ERROR")),
                a_resource(TOPIC, "t", ("retention.ms", SET, "5000")),
            )
            assert [(row.resource_type, row.error_code) for row in results] == [
                (LOGGER, 0),
                (TOPIC, 0),
            ]
            assert logger.level == logging.DEBUG
            assert logging.getLogger().level == logging.ERROR

            await alter(broker, a_resource(LOGGER, "1", (LOGGER_NAME, DELETE, None)))
            assert logger.level == logging.NOTSET

    run(scenario())


REFUSALS = [
    (a_resource(TOPIC, "gone"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "'gone' does not exist"),
    (a_resource(TOPIC, ""), INVALID, "Default topic resources are not allowed."),
    (a_resource(TOPIC, "t", ("foo", SET, "1")), BAD_CONFIG, "Unknown topic config name: foo"),
    (a_resource(TOPIC, "t", ("retention.ms", SET, "x")), BAD_CONFIG, "Not a number of type LONG"),
    (a_resource(TOPIC, "t", ("retention.ms", SET, None)), INVALID, "Null value not supported for"),
    (a_resource(TOPIC, "t", ("retention.ms", APPEND, "1")), BAD_CONFIG, "type is not LIST"),
    (a_resource(TOPIC, "t", ("retention.ms", 4, "1")), INVALID, "4"),
    (
        a_resource(TOPIC, "t", ("segment.ms", SET, "1"), ("segment.ms", DELETE, None)),
        INVALID,
        "Error due to duplicate config keys",
    ),
    (a_resource(BROKER, "1", ("num.partitions", SET, "3")), INVALID, "Cannot update these configs"),
    (a_resource(BROKER, "7"), INVALID, "expected 1, but received 7"),
    (a_resource(0, "x"), INVALID, "Unknown resource type 0"),
    (a_resource(CLIENT_METRICS, ""), INVALID, "Subscription name can't be empty"),
    (a_resource(GROUP, ""), INVALID, "Default group resources are not allowed."),
    (a_resource(LOGGER, "7"), INVALID, "Expected 1, but received 7"),
    (a_resource(LOGGER, ""), INVALID, "Node id must be an integer"),
    (a_resource(LOGGER, "1", (LOGGER_NAME, SET, "LOUD")), BAD_CONFIG, "not a supported log level"),
    (a_resource(LOGGER, "1", (LOGGER_NAME, SET, "info")), BAD_CONFIG, "not a supported log level"),
    (a_resource(LOGGER, "1", (LOGGER_NAME, SET, None)), INVALID, "Null value not supported"),
    (a_resource(LOGGER, "1", ("no.such", SET, "INFO")), BAD_CONFIG, "no.such does not exist"),
    (a_resource(LOGGER, "1", ("root", DELETE, None)), INVALID, "root logger is not allowed"),
    (a_resource(LOGGER, "1", (LOGGER_NAME, APPEND, "INFO")), INVALID, "APPEND operation is not"),
    (a_resource(LOGGER, "1", (LOGGER_NAME, 9, "INFO")), INVALID, "9 operation is not"),
    (
        a_resource(LOGGER, "1", (LOGGER_NAME, SET, "INFO"), (LOGGER_NAME, DELETE, None)),
        INVALID,
        "Error due to duplicate config keys",
    ),
]


def test_a_refused_resource_says_why_and_harms_no_other(
    tmp_path: Path, logger: logging.Logger
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.create_topic("other")
            for number, (resource, code, message) in enumerate(REFUSALS, start=1):
                wanted = a_resource(TOPIC, "other", ("segment.ms", SET, str(number)))
                refused, changed = await alter(broker, resource, wanted)
                assert (refused.resource_type, refused.resource_name) == (
                    resource.resource_type,
                    resource.resource_name,
                )
                assert (refused.error_code, message) == (code, message)
                assert message in (refused.error_message or "")
                assert changed.error_code == ErrorCode.NONE
                assert broker.image.topics["other"].configs == {"segment.ms": str(number)}
            assert broker.image.topics["t"].configs == {}
            assert logger.level == logging.NOTSET

    run(scenario())


def test_one_bad_level_changes_none_of_them(tmp_path: Path, logger: logging.Logger) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            changes = (LOGGER_NAME, SET, "DEBUG"), ("root", SET, "LOUD")
            (result,) = await alter(broker, a_resource(LOGGER, "1", *changes))
            assert result.error_code == BAD_CONFIG
            assert logger.level == logging.NOTSET

    run(scenario())


def test_a_resource_that_comes_twice_is_refused_each_time(
    tmp_path: Path, logger: logging.Logger
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.create_topic("other")
            topic = a_resource(TOPIC, "t", ("retention.ms", SET, "1"))
            level = a_resource(LOGGER, "1", (LOGGER_NAME, SET, "DEBUG"))
            other = a_resource(TOPIC, "other", ("retention.ms", SET, "1"))
            results = await alter(broker, topic, level, topic, level, other)
            assert [row.error_code for row in results] == [INVALID] * 4 + [0]
            assert broker.image.topics["t"].configs == {}
            assert logger.level == logging.NOTSET

    run(scenario())


def test_a_failure_is_said_for_each_resource() -> None:
    request = IncrementalAlterConfigsRequest(resources=[a_resource(TOPIC, "t")])
    code = ErrorCode.KAFKA_STORAGE_ERROR
    response = incremental_alter_configs.error_response(request, code, "full")
    assert response.responses == [AlterConfigsResourceResponse(code, "full", TOPIC, "t")]
