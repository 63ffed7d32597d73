from pathlib import Path

import pytest

from pykbroker.handlers import list_groups, offset_commit
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_groups import ListedGroup, ListGroupsRequest
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.groups import a_commit
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(6))
def test_all_groups_are_listed_with_what_the_version_can_tell(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await GroupClient(broker).become_member()
            await answer(broker, offset_commit, a_commit({("t", 0): 1}, group_id="simple"), 9)
            response = await answer(broker, list_groups, ListGroupsRequest(), version)
            stable, empty = ("Stable", "Empty") if version >= 4 else ("", "")
            kind = "classic" if version >= 5 else ""
            assert sorted(response.groups, key=lambda group: group.group_id) == [
                ListedGroup("g", "consumer", stable, kind),
                ListedGroup("simple", "", empty, kind),
            ]

    run(scenario())


@pytest.mark.parametrize(
    ("version", "states", "types", "names"),
    [
        (4, ["stable"], [], ["g"]),
        (4, ["Dead"], [], []),
        (5, [], ["CLASSIC"], ["g"]),
        (5, ["Stable"], ["consumer"], []),
    ],
)
def test_filters_leave_groups_out(
    tmp_path: Path, version: int, states: list[str], types: list[str], names: list[str]
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await GroupClient(broker).become_member()
            request = ListGroupsRequest(states_filter=states, types_filter=types)
            response = await answer(broker, list_groups, request, version)
            assert [group.group_id for group in response.groups] == names

    run(scenario())


@pytest.mark.parametrize("version", range(6))
def test_an_error_is_told_at_the_top(version: int) -> None:
    response = list_groups.error_response(
        ListGroupsRequest(), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    )
    assert response.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert response.groups == []
    response.encode(version)
