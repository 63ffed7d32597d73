from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.group_coordinator import OFFSETS_TOPIC
from pykbroker.handlers import consumer_group_heartbeat
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from tests.harness.answers import answer
from tests.harness.coordinators import a_group_broker
from tests.harness.loop import run
from tests.harness.metadata import NO_CONSUMER_GROUPS

EVERY_VERSION = pytest.mark.parametrize("version", [0, 1])


def joining() -> ConsumerGroupHeartbeatRequest:
    return ConsumerGroupHeartbeatRequest(
        group_id="g",
        member_id="m",
        rebalance_timeout_ms=1_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )


@EVERY_VERSION
def test_a_member_joins_and_is_told_its_epoch(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            response = await answer(broker, consumer_group_heartbeat, joining(), version)
            assert response.error_code == ErrorCode.NONE
            assert (response.member_id, response.member_epoch) == ("m", 2)
            assert response.heartbeat_interval_ms == 5_000
            steady = ConsumerGroupHeartbeatRequest(group_id="g", member_id="m", member_epoch=2)
            response = await answer(broker, consumer_group_heartbeat, steady, version)
            assert (response.error_code, response.assignment) == (ErrorCode.NONE, None)

    run(scenario())


@EVERY_VERSION
def test_what_is_refused_is_told_with_a_reason(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            request = joining()
            request.rack_id = ""
            response = await answer(broker, consumer_group_heartbeat, request, version)
            assert response.error_code == ErrorCode.INVALID_REQUEST
            assert response.error_message == "RackId can't be empty."

    run(scenario())


def test_an_error_comes_without_a_membership() -> None:
    request = joining()
    response = consumer_group_heartbeat.error_response(request, ErrorCode.NOT_COORDINATOR)
    assert (response.error_code, response.member_id) == (ErrorCode.NOT_COORDINATOR, None)


@EVERY_VERSION
def test_nobody_joins_while_the_feature_is_off(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            await broker.broker.metadata.update_features(NO_CONSUMER_GROUPS)
            response = await answer(broker, consumer_group_heartbeat, joining(), version)
            assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
            assert (response.error_message, response.member_id) == (None, None)

    run(scenario())
