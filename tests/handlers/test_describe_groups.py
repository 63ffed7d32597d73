from pathlib import Path

import pytest

from pykbroker.handlers import describe_groups
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.security.operations import GROUP_OPERATIONS
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.loop import run

NOT_REQUESTED = -(2**31)
EVERY_VERSION = pytest.mark.parametrize("version", range(7))


@EVERY_VERSION
def test_groups_are_described_and_a_missing_one_is_dead(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            request = DescribeGroupsRequest(groups=["g", "absent"])
            response = await answer(broker, describe_groups, request, version)
            group, absent = response.groups
            assert (group.error_code, group.group_state) == (ErrorCode.NONE, "Stable")
            assert (group.protocol_type, group.protocol_data) == ("consumer", "range")
            assert [member.member_id for member in group.members] == [member_id]
            assert group.authorized_operations == NOT_REQUESTED
            assert (absent.group_state, absent.members) == ("Dead", [])
            if version >= 6:
                assert absent.error_code == ErrorCode.GROUP_ID_NOT_FOUND
                assert absent.error_message == "Group absent not found."
            else:
                assert (absent.error_code, absent.error_message) == (ErrorCode.NONE, None)

    run(scenario())


@pytest.mark.parametrize("version", range(3, 7))
def test_operations_are_told_of_groups_without_an_error(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await GroupClient(broker).become_member()
            request = DescribeGroupsRequest(
                groups=["g", "absent"], include_authorized_operations=True
            )
            response = await answer(broker, describe_groups, request, version)
            told = [group.authorized_operations for group in response.groups]
            absent = NOT_REQUESTED if version >= 6 else GROUP_OPERATIONS
            assert told == [GROUP_OPERATIONS, absent]

    run(scenario())


def test_an_error_of_the_coordinator_is_told_per_group(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(7):
                request = DescribeGroupsRequest(groups=["g"])
                response = await answer(broker, describe_groups, request, version)
                assert [group.error_code for group in response.groups] == [
                    ErrorCode.NOT_COORDINATOR
                ]
                failed = describe_groups.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR)
                assert failed.groups[0].error_code == ErrorCode.UNKNOWN_SERVER_ERROR
                failed.encode(version)

    run(scenario())
