from pathlib import Path

import pytest

from pykbroker.handlers import create_topics
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

VERSIONS = range(2, 8)
NEWEST = 7
NO_ID = bytes(16)


def a_topic(
    name: str = "t",
    partitions: int = 1,
    replicas: int = 1,
    assignments: dict[int, list[int]] | None = None,
    **configs: str | None,
) -> CreatableTopic:
    """A topic; settings are Kafka's with `_` for `.`."""
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replicas,
        assignments=[
            CreatableReplicaAssignment(partition_index=partition, broker_ids=brokers)
            for partition, brokers in (assignments or {}).items()
        ],
        configs=[
            CreatableTopicConfig(name=setting.replace("_", "."), value=value)
            for setting, value in configs.items()
        ],
    )


async def create(
    broker: BrokerHarness,
    *topics: CreatableTopic,
    version: int = NEWEST,
    timeout_ms: int = 1000,
    validate_only: bool = False,
) -> list[CreatableTopicResult]:
    request = CreateTopicsRequest(
        topics=list(topics), timeout_ms=timeout_ms, validate_only=validate_only
    )
    response = await answer(broker, create_topics, request, version)
    assert isinstance(response, CreateTopicsResponse)
    return response.topics


def outcomes(results: list[CreatableTopicResult]) -> list[tuple[str, int]]:
    return [(result.name, result.error_code) for result in results]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_is_there_when_the_answer_comes(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic = a_topic(partitions=2, retention_ms="5000", cleanup_policy="compact")
            (result,) = await create(broker, topic, version=version)

            image = broker.image.topics["t"]
            assert len(image.partitions) == 2
            assert image.configs == {"retention.ms": "5000", "cleanup.policy": "compact"}
            assert broker.log("t", 1).config.retention_ms == 5000
            assert (result.name, result.error_code, result.error_message) == ("t", 0, None)
            assert result.topic_id == (image.topic_id if version >= 7 else NO_ID)
            if version < 5:
                assert (result.num_partitions, result.configs) == (-1, [])
                return
            assert (result.num_partitions, result.replication_factor) == (2, 1)
            assert result.topic_config_error_code == ErrorCode.NONE
            configs = {row.name: (row.value, row.config_source) for row in result.configs or ()}
            assert list(configs) == sorted(configs)
            assert len(configs) == 33
            assert configs["retention.ms"] == ("5000", 1)
            assert configs["segment.bytes"] == ("1073741824", 5)

    run(scenario())


@pytest.mark.parametrize("version", VERSIONS)
def test_minus_one_stands_for_the_brokers_defaults(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, num_partitions="3") as broker:
            topic = a_topic(partitions=-1, replicas=-1)
            assert outcomes(await create(broker, topic, version=version)) == [("t", 0)]
            assert len(broker.image.topics["t"].partitions) == 3

    run(scenario())


def test_validation_alone_answers_as_if_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topics = a_topic(partitions=4), a_topic("bad", partitions=0)
            for version in VERSIONS:
                results = await create(broker, *topics, version=version, validate_only=True)
                assert outcomes(results) == [("t", 0), ("bad", ErrorCode.INVALID_PARTITIONS)]
                assert results[0].num_partitions == (4 if version >= 5 else -1)
            assert not broker.image.topics

    run(scenario())


REFUSALS: list[tuple[CreatableTopic, ErrorCode, str]] = [
    (a_topic("taken"), ErrorCode.TOPIC_ALREADY_EXISTS, "Topic 'taken' already exists."),
    (a_topic("a_b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "collides with existing topic: a.b"),
    (a_topic(""), ErrorCode.INVALID_TOPIC_EXCEPTION, "the empty string is not allowed"),
    (a_topic("a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "ASCII alphanumerics"),
    (a_topic("__cluster_metadata"), ErrorCode.INVALID_REQUEST, "is prohibited"),
    (a_topic(partitions=0), ErrorCode.INVALID_PARTITIONS, "non-positive"),
    (a_topic(partitions=100_000), ErrorCode.POLICY_VIOLATION, "large number of partitions"),
    (a_topic(replicas=0), ErrorCode.INVALID_REPLICATION_FACTOR, "larger than 0"),
    (a_topic(replicas=3), ErrorCode.INVALID_REPLICATION_FACTOR, "only 1 broker(s)"),
    (a_topic(foo_bar="1"), ErrorCode.INVALID_CONFIG, "Unknown topic config name: foo.bar"),
    (a_topic(retention_ms="x"), ErrorCode.INVALID_CONFIG, "Not a number of type LONG"),
    (a_topic(retention_ms=None), ErrorCode.INVALID_CONFIG, "Null value not supported"),
    (
        a_topic(assignments={0: [1]}),
        ErrorCode.INVALID_REQUEST,
        "replication factor was not set to -1",
    ),
    (
        a_topic(partitions=-1, replicas=-1, assignments={0: [1], 2: [1]}),
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "consecutive 0-based",
    ),
    (
        a_topic(partitions=-1, replicas=-1, assignments={0: [5]}),
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "broker 5, but no such broker",
    ),
]


def test_a_refused_topic_says_why_and_harms_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await create(broker, a_topic("taken"), a_topic("a.b"))
            for number, (topic, code, message) in enumerate(REFUSALS):
                refused, created = await create(broker, topic, a_topic(f"other{number}"))

                assert (refused.name, refused.error_code) == (topic.name, code)
                assert message in (refused.error_message or "")
                assert (refused.num_partitions, refused.replication_factor) == (-1, -1)
                assert (refused.topic_id, refused.configs) == (NO_ID, [])
                assert created.error_code == ErrorCode.NONE
            assert len(broker.image.topics) == 2 + len(REFUSALS)

    run(scenario())


def test_assigned_replicas_set_the_number_of_partitions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic = a_topic(partitions=-1, replicas=-1, assignments={1: [1], 0: [1]})
            (result,) = await create(broker, topic)
            assert (result.num_partitions, result.replication_factor) == (2, 1)

    run(scenario())


def test_a_cluster_sized_replication_factor_is_lowered_where_the_broker_may(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, pykbroker_replication_factor_cap="true") as broker:
            (result,) = await create(broker, a_topic(replicas=3))
            assert (result.error_code, result.replication_factor) == (0, 1)

    run(scenario())


def test_a_name_that_comes_twice_is_refused_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            results = await create(broker, a_topic("a"), a_topic("b"), a_topic("a"))
            assert outcomes(results) == [("a", ErrorCode.INVALID_REQUEST), ("b", 0)]
            assert list(broker.image.topics) == ["b"]

    run(scenario())


@pytest.mark.parametrize("timeout_ms", [0, -1])
def test_no_time_left_creates_nothing(tmp_path: Path, timeout_ms: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topics = a_topic("a"), a_topic("b", partitions=0)
            for version in VERSIONS:
                results = await create(broker, *topics, version=version, timeout_ms=timeout_ms)
                late = ErrorCode.REQUEST_TIMED_OUT
                assert outcomes(results) == [("a", late), ("b", late)]
                assert [result.error_message for result in results] == [None, None]
            assert not broker.image.topics

    run(scenario())


def test_no_topics_are_no_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            assert await create(broker) == []

    run(scenario())
