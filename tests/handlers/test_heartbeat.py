from pathlib import Path

import pytest

from pykbroker.handlers import heartbeat
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(5))
def test_a_member_lives_and_a_stranger_does_not(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            for name, code in ((member_id, ErrorCode.NONE), ("x", ErrorCode.UNKNOWN_MEMBER_ID)):
                response = await answer(broker, heartbeat, HeartbeatRequest("g", 1, name), version)
                assert response.error_code == code
            refused = await answer(broker, heartbeat, HeartbeatRequest(""), version)
            assert refused.error_code == ErrorCode.INVALID_GROUP_ID

    run(scenario())


def test_it_never_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            member_id = await GroupClient(broker).become_member()
            request = HeartbeatRequest("g", 1, member_id)
            assert heartbeat.handle(broker.context(4), request) == HeartbeatResponse()

    run(scenario())
