from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import join_group
from pykbroker.protocol.errors import ErrorCode
from tests.harness.broker import BrokerHarness
from tests.harness.coordinators import OFFSETS_TOPIC, GroupClient, a_group_broker
from tests.harness.groups import a_join
from tests.harness.loop import run

EVERY_VERSION = pytest.mark.parametrize("version", range(10))


def no_protocol(version: int) -> str | None:
    return None if version >= 7 else ""


@EVERY_VERSION
def test_a_client_becomes_leader_of_a_group_of_its_own(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            client = GroupClient(broker)
            joined = await client.join(a_join(), version)
            if version >= 4:
                assert joined.error_code == ErrorCode.MEMBER_ID_REQUIRED
                assert joined.member_id.startswith("test-")
                assert joined.protocol_name == no_protocol(version)
                joined = await client.join(a_join(member_id=joined.member_id), version)
            assert (joined.error_code, joined.generation_id) == (ErrorCode.NONE, 1)
            assert joined.leader == joined.member_id
            assert joined.protocol_name == "range"
            assert joined.protocol_type == ("consumer" if version >= 7 else None)
            assert [member.member_id for member in joined.members] == [joined.member_id]
            (member,) = (await broker.broker.groups.describe_group("g")).members
            assert (member.client_id, member.client_host) == ("test", "/127.0.0.1")

    run(scenario())


def test_before_version_1_the_session_timeout_is_the_rebalance_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            client = GroupClient(broker)
            for version, timeout_ms in ((0, 10_000), (1, 30_000)):
                joined = await client.join(a_join(f"g{version}"), version)
                assert rebalance_timeout_ms(broker, f"g{version}", joined) == timeout_ms

    def rebalance_timeout_ms(broker: BrokerHarness, group_id: str, joined: Any) -> int:
        partition = broker.broker.groups._topic.partition_of(group_id)
        return partition.shard.groups[group_id].members[joined.member_id].rebalance_timeout_ms

    run(scenario())


@EVERY_VERSION
def test_a_refusal_names_no_generation_and_no_protocol(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            for request, code in (
                (a_join(""), ErrorCode.INVALID_GROUP_ID),
                (a_join(session_timeout_ms=1), ErrorCode.INVALID_SESSION_TIMEOUT),
                (a_join(member_id="m"), ErrorCode.UNKNOWN_MEMBER_ID),
                (a_join(protocols={}), ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
            ):
                refused = await GroupClient(broker).join(request, version)
                assert (refused.error_code, refused.generation_id) == (code, -1)
                assert refused.protocol_name == no_protocol(version)

    run(scenario())


def test_without_the_offsets_topic_this_is_not_the_coordinator(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(10):
                refused = await GroupClient(broker).join(a_join(), version)
                assert refused.error_code == ErrorCode.NOT_COORDINATOR

    run(scenario())


@EVERY_VERSION
def test_every_version_can_tell_an_error(version: int) -> None:
    response = join_group.error_response(a_join(), ErrorCode.UNKNOWN_SERVER_ERROR)
    assert response.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    response.encode(version)
