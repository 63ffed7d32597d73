from pathlib import Path

import pytest

from pykbroker.handlers import elect_leaders
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    TopicPartitions,
)
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run

VERSIONS = range(3)


def outcomes(response: ElectLeadersResponse) -> list[tuple[str, int, int]]:
    return [
        (topic.topic, result.partition_id, result.error_code)
        for topic in response.replica_election_results
        for result in topic.partition_result
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_only_replica_leads_already(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            for election_type in (0, 1) if version else (0,):
                request = ElectLeadersRequest(
                    election_type=election_type,
                    topic_partitions=[TopicPartitions(topic="t", partitions=[1, 0])],
                )
                response = await answer(broker, elect_leaders, request, version)

                assert response.error_code == ErrorCode.NONE
                needed = ErrorCode.ELECTION_NOT_NEEDED
                assert outcomes(response) == [("t", 1, needed), ("t", 0, needed)]

    run(scenario())


@pytest.mark.parametrize("version", VERSIONS)
def test_null_asks_for_all_partitions_and_lists_topics_only(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = ElectLeadersRequest(topic_partitions=None)
            response = await answer(broker, elect_leaders, request, version)

            assert [topic.topic for topic in response.replica_election_results] == ["t"]
            assert outcomes(response) == []

    run(scenario())


def test_an_empty_list_asks_for_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            response = await answer(broker, elect_leaders, ElectLeadersRequest(), 2)
            assert response == ElectLeadersResponse()

    run(scenario())


def test_unknown_topics_and_partitions_are_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = ElectLeadersRequest(
                topic_partitions=[
                    TopicPartitions(topic="gone", partitions=[0]),
                    TopicPartitions(topic="t", partitions=[9, -1]),
                ]
            )
            response = await answer(broker, elect_leaders, request, 2)

            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert outcomes(response) == [
                ("gone", 0, unknown),
                ("t", 9, unknown),
                ("t", -1, unknown),
            ]
            messages = [
                result.error_message
                for topic in response.replica_election_results
                for result in topic.partition_result
            ]
            assert messages == [
                "No such topic as gone",
                "No such partition as t-9",
                "No such partition as t--1",
            ]

    run(scenario())


@pytest.mark.parametrize(
    ("request_fields", "code"),
    [
        ({"election_type": 2}, ErrorCode.INVALID_REQUEST),
        ({"timeout_ms": 0}, ErrorCode.REQUEST_TIMED_OUT),
    ],
)
def test_a_refused_request_says_so_at_the_top_and_for_each_partition(
    tmp_path: Path, request_fields: dict[str, int], code: ErrorCode
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            asked = [TopicPartitions(topic="t", partitions=[0, 1])]
            request = ElectLeadersRequest(topic_partitions=asked, **request_fields)
            response = await answer(broker, elect_leaders, request, 2)
            assert response.error_code == code
            assert outcomes(response) == [("t", 0, code), ("t", 1, code)]

            request.topic_partitions = None
            response = await answer(broker, elect_leaders, request, 2)
            assert response.error_code == code
            assert outcomes(response) == []

    run(scenario())


@pytest.mark.parametrize(
    ("leader", "election_type", "code"),
    [
        # Another replica leads: the preferred one would have to be live.
        (1, 0, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (1, 1, ErrorCode.ELECTION_NOT_NEEDED),
        # Nobody leads.
        (-1, 0, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (-1, 1, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE),
    ],
)
def test_an_election_that_cannot_be_held_says_why(
    tmp_path: Path, leader: int, election_type: int, code: ErrorCode
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            broker.change_partition("t", 0, leader=leader, replicas=(7, 1))
            request = ElectLeadersRequest(
                election_type=election_type,
                topic_partitions=[TopicPartitions(topic="t", partitions=[0])],
            )
            response = await answer(broker, elect_leaders, request, 2)
            assert outcomes(response) == [("t", 0, code)]

    run(scenario())
