from pathlib import Path

import pytest

from pykbroker.handlers import delete_groups, offset_commit
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.groups import a_commit
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(3))
def test_each_group_has_its_own_result(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await GroupClient(broker).become_member()
            await answer(broker, offset_commit, a_commit({("t", 0): 1}, group_id="simple"), 9)
            names = ["g", "simple", "absent", "simple"]
            request = DeleteGroupsRequest(groups_names=names)
            response = await answer(broker, delete_groups, request, version)
            assert [(result.group_id, result.error_code) for result in response.results] == [
                ("g", ErrorCode.NON_EMPTY_GROUP),
                ("simple", ErrorCode.NONE),
                ("absent", ErrorCode.GROUP_ID_NOT_FOUND),
            ]

    run(scenario())


def test_an_error_of_the_coordinator_is_told_per_group(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(3):
                request = DeleteGroupsRequest(groups_names=["g"])
                response = await answer(broker, delete_groups, request, version)
                assert [r.error_code for r in response.results] == [ErrorCode.NOT_COORDINATOR]
                failed = delete_groups.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR)
                assert [r.error_code for r in failed.results] == [ErrorCode.UNKNOWN_SERVER_ERROR]
                failed.encode(version)

    run(scenario())
