from pathlib import Path

import pytest

from pykbroker.handlers import leave_group
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    MemberIdentity,
    MemberResponse,
)
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(3))
def test_up_to_version_2_one_member_leaves_and_errors_are_at_the_top(
    tmp_path: Path, version: int
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            for code in (ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID):
                request = LeaveGroupRequest("g", member_id=member_id)
                response = await answer(broker, leave_group, request, version)
                assert (response.error_code, response.members) == (code, [])

    run(scenario())


@pytest.mark.parametrize("version", range(3, 6))
def test_from_version_3_on_many_leave_with_an_error_each(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            request = LeaveGroupRequest(
                "g",
                members=[MemberIdentity("x"), MemberIdentity(member_id), MemberIdentity("", "i")],
            )
            response = await answer(broker, leave_group, request, version)
            assert response.error_code == ErrorCode.NONE
            unknown = ErrorCode.UNKNOWN_MEMBER_ID
            assert response.members == [
                MemberResponse("x", None, unknown),
                MemberResponse(member_id, None, ErrorCode.NONE),
                MemberResponse("", "i", unknown),
            ]

    run(scenario())


def test_a_group_id_is_needed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(6):
                refused = await answer(broker, leave_group, LeaveGroupRequest(""), version)
                assert (refused.error_code, refused.members) == (ErrorCode.INVALID_GROUP_ID, [])

    run(scenario())
