from pathlib import Path

import pytest

from pykbroker.handlers import list_partition_reassignments
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    ListPartitionReassignmentsTopics,
)
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run


@pytest.mark.parametrize(
    "topics",
    [
        None,
        [],
        [ListPartitionReassignmentsTopics(name="t", partition_indexes=[0, 9])],
        [ListPartitionReassignmentsTopics(name="gone", partition_indexes=[0])],
    ],
)
def test_nothing_is_ever_in_progress(
    tmp_path: Path, topics: list[ListPartitionReassignmentsTopics] | None
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = ListPartitionReassignmentsRequest(topics=topics, timeout_ms=0)
            response = await answer(broker, list_partition_reassignments, request, 0)
            assert response == ListPartitionReassignmentsResponse(error_message=None)

    run(scenario())


def test_a_failure_is_said_at_the_top() -> None:
    response = list_partition_reassignments.error_response(
        ListPartitionReassignmentsRequest(), ErrorCode.UNKNOWN_SERVER_ERROR, "why"
    )
    assert (response.error_code, response.error_message) == (ErrorCode.UNKNOWN_SERVER_ERROR, "why")
