from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.group_coordinator import OFFSETS_TOPIC
from pykbroker.handlers import consumer_group_describe, consumer_group_heartbeat
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from pykbroker.security.operations import GROUP_OPERATIONS
from tests.harness.answers import answer
from tests.harness.coordinators import a_group_broker
from tests.harness.loop import run
from tests.harness.metadata import NO_CONSUMER_GROUPS


@pytest.mark.parametrize("version", [0, 1])
def test_groups_are_described_each_with_its_own_error(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            joining = ConsumerGroupHeartbeatRequest(
                group_id="g",
                member_id="m",
                rebalance_timeout_ms=1_000,
                subscribed_topic_names=["t"],
                topic_partitions=[],
            )
            await answer(broker, consumer_group_heartbeat, joining, 1)
            request = ConsumerGroupDescribeRequest(
                group_ids=["g", "absent", ""], include_authorized_operations=True
            )
            response = await answer(broker, consumer_group_describe, request, version)
            group, absent, nameless = response.groups
            assert (group.error_code, group.group_state) == (ErrorCode.NONE, "Stable")
            assert group.authorized_operations == GROUP_OPERATIONS
            assert [member.member_id for member in group.members] == ["m"]
            assert group.members[0].member_type == (1 if version else -1)
            assert absent.error_code == ErrorCode.GROUP_ID_NOT_FOUND
            assert absent.error_message == "Group absent not found."
            assert nameless.error_code == ErrorCode.INVALID_GROUP_ID
            assert nameless.error_message is None

    run(scenario())


def test_an_error_is_told_for_every_group() -> None:
    request = ConsumerGroupDescribeRequest(group_ids=["g", "h"])
    response = consumer_group_describe.error_response(request, ErrorCode.NOT_COORDINATOR)
    assert [group.error_code for group in response.groups] == [ErrorCode.NOT_COORDINATOR] * 2


def test_nothing_is_described_while_the_feature_is_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.update_features(NO_CONSUMER_GROUPS)
            request = ConsumerGroupDescribeRequest(group_ids=["g", ""])
            response = await answer(broker, consumer_group_describe, request, 1)
            codes = [(group.error_code, group.error_message) for group in response.groups]
            assert codes == [(ErrorCode.UNSUPPORTED_VERSION, None)] * 2

    run(scenario())
