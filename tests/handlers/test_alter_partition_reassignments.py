from pathlib import Path

import pytest

from pykbroker.handlers import alter_partition_reassignments
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignableTopic,
)
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run

NONE = ErrorCode.NONE
UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
BAD_ASSIGNMENT = ErrorCode.INVALID_REPLICA_ASSIGNMENT


def a_reassignment(
    topic: str, partition: int, replicas: list[int] | None
) -> AlterPartitionReassignmentsRequest:
    wanted = ReassignablePartition(partition_index=partition, replicas=replicas)
    return AlterPartitionReassignmentsRequest(
        topics=[ReassignableTopic(name=topic, partitions=[wanted])]
    )


def outcomes(
    response: AlterPartitionReassignmentsResponse,
) -> list[tuple[str, int, int, str | None]]:
    return [
        (topic.name, partition.partition_index, partition.error_code, partition.error_message)
        for topic in response.responses
        for partition in topic.partitions
    ]


# partition, replicas -> error, part of the message
CASES: list[tuple[int, list[int] | None, ErrorCode, str | None]] = [
    (0, [1], NONE, None),
    (0, None, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, None),
    (0, [], BAD_ASSIGNMENT, "includes an empty replica list"),
    (0, [1, 1], BAD_ASSIGNMENT, "the broker 1 more than once"),
    (0, [1, 2], BAD_ASSIGNMENT, "broker 2, but no such broker"),
    (0, [-1], BAD_ASSIGNMENT, "broker -1, but no such broker"),
    (9, [1], UNKNOWN, "Unable to find partition t:9."),
    (9, None, UNKNOWN, "Unable to find partition t:9."),
    (-1, [1], UNKNOWN, "Unable to find partition t:-1."),
]


@pytest.mark.parametrize("version", range(2))
def test_only_the_assignment_that_is_in_place_is_possible(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for partition, replicas, code, message in CASES:
                request = a_reassignment("t", partition, replicas)
                response = await answer(broker, alter_partition_reassignments, request, version)

                assert (response.error_code, response.error_message) == (NONE, None)
                ((topic, index, found, said),) = outcomes(response)
                assert (topic, index, found) == ("t", partition, code)
                assert (said is None) == (message is None)
                assert (message or "") in (said or "")

    run(scenario())


def test_an_unknown_topic_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = a_reassignment("gone", 0, [1])
            response = await answer(broker, alter_partition_reassignments, request, 1)
            said = "Unable to find a topic named gone."
            assert outcomes(response) == [("gone", 0, UNKNOWN, said)]

    run(scenario())


def test_the_permission_to_change_the_replication_factor_is_repeated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            for allowed in (True, False):
                request = AlterPartitionReassignmentsRequest(
                    allow_replication_factor_change=allowed
                )
                response = await answer(broker, alter_partition_reassignments, request, 1)
                assert response.allow_replication_factor_change == allowed
                assert (response.responses, response.error_message) == ([], "")

    run(scenario())


def test_no_time_left_fails_the_request_and_each_partition(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = a_reassignment("t", 0, [1])
            request.timeout_ms = 0
            response = await answer(broker, alter_partition_reassignments, request, 1)
            timed_out = ErrorCode.REQUEST_TIMED_OUT
            assert response.error_code == timed_out
            assert outcomes(response) == [("t", 0, timed_out, None)]

    run(scenario())
