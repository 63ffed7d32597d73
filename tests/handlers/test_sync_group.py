from pathlib import Path

import pytest

from pykbroker.handlers import sync_group
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sync_group import SyncGroupRequest
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(6))
def test_a_member_gets_its_assignment(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            request = SyncGroupRequest("g", 1, member_id)
            if version >= 5:
                request.protocol_type, request.protocol_name = "consumer", "range"
            synced = await answer(broker, sync_group, request, version)
            assert (synced.error_code, synced.assignment) == (ErrorCode.NONE, b"all")
            assert synced.protocol_name == ("range" if version >= 5 else None)
            assert synced.protocol_type == ("consumer" if version >= 5 else None)

    run(scenario())


@pytest.mark.parametrize(
    ("protocol_type", "protocol_name"), [(None, "range"), ("consumer", None), ("consumer", "x")]
)
def test_since_version_5_the_protocol_must_be_named(
    tmp_path: Path, protocol_type: str | None, protocol_name: str | None
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            request = SyncGroupRequest(
                "g", 1, member_id, protocol_type=protocol_type, protocol_name=protocol_name
            )
            refused = await answer(broker, sync_group, request, 5)
            assert refused.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
            assert refused.assignment == b""

    run(scenario())
