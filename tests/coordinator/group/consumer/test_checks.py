from typing import Any

import pytest

from pykbroker.coordinator.group.consumer.checks import (
    check_epoch,
    check_instance,
    check_released,
    check_request,
    check_room,
)
from pykbroker.coordinator.group.consumer.reconcile import Owned
from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from tests.harness.consumer_groups import a_group, a_member, owned, topic_id

T = topic_id("t")
JOINING: dict[str, Any] = {
    "group_id": "g",
    "member_id": "m",
    "rebalance_timeout_ms": 5,
    "topic_partitions": [],
    "subscribed_topic_names": ["t"],
}
INVALID = ErrorCode.INVALID_REQUEST


def code_of(version: int = 1, **changes: Any) -> ErrorCode:
    request = ConsumerGroupHeartbeatRequest(**{**JOINING, **changes})
    try:
        check_request(request, version, ConsumerGroupSettings())
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ErrorCode.NONE),
        ({"member_id": ""}, INVALID),
        ({"group_id": " \t"}, INVALID),
        ({"instance_id": ""}, INVALID),
        ({"rack_id": ""}, INVALID),
        ({"rebalance_timeout_ms": -1}, INVALID),
        ({"topic_partitions": None}, INVALID),
        ({"topic_partitions": owned(t=[0])}, INVALID),
        ({"subscribed_topic_names": None}, INVALID),
        ({"subscribed_topic_names": None, "subscribed_topic_regex": "t"}, ErrorCode.NONE),
        ({"server_assignor": "other"}, ErrorCode.UNSUPPORTED_ASSIGNOR),
        ({"server_assignor": "range"}, ErrorCode.NONE),
        ({"member_epoch": -1}, ErrorCode.NONE),
        ({"member_epoch": -2}, INVALID),
        ({"member_epoch": -2, "instance_id": "i"}, ErrorCode.NONE),
        ({"member_epoch": -3}, INVALID),
        ({"member_epoch": 1, "topic_partitions": None}, ErrorCode.NONE),
    ],
)
def test_a_request_must_make_sense(changes: dict[str, Any], code: ErrorCode) -> None:
    assert code_of(**changes) is code


def test_an_old_client_may_leave_its_member_id_to_the_broker_when_it_joins() -> None:
    assert code_of(0, member_id="") is ErrorCode.NONE
    assert code_of(0, member_id="", member_epoch=1) is INVALID
    assert code_of(0, member_id="", member_epoch=-1) is INVALID


def test_a_full_group_has_room_for_its_members() -> None:
    group = a_group(a_member("a"))
    check_room(group, "a", 1)
    check_room(group, "b", 2)
    with pytest.raises(KafkaError):
        check_room(group, "b", 1)


@pytest.mark.parametrize(
    ("epoch", "says", "is_fenced"),
    [
        (0, None, False),
        (3, None, False),
        (4, None, True),
        (2, None, True),
        (2, [], False),
        (2, owned(t=[0]), False),
        (2, owned(t=[0, 1]), True),
        (2, owned(u=[0]), True),
        (1, [], True),
    ],
)
def test_the_epoch_must_be_the_last_one_told_or_the_one_before(
    epoch: int, says: Owned | None, is_fenced: bool
) -> None:
    member = a_member(member_epoch=3, previous_member_epoch=2, assigned={T: {0: 3}})
    if not is_fenced:
        check_epoch(member, epoch, says)
        return
    with pytest.raises(KafkaError) as refusal:
        check_epoch(member, epoch, says)
    assert refusal.value.code is ErrorCode.FENCED_MEMBER_EPOCH


def test_an_instance_id_belongs_to_one_member() -> None:
    check_instance(a_member("a"), "i", "a")
    with pytest.raises(KafkaError) as unknown:
        check_instance(None, "i", "a")
    with pytest.raises(KafkaError) as fenced:
        check_instance(a_member("b"), "i", "a")
    assert unknown.value.code is ErrorCode.UNKNOWN_MEMBER_ID
    assert fenced.value.code is ErrorCode.FENCED_INSTANCE_ID


def test_an_instance_id_is_free_once_its_member_has_left() -> None:
    check_released(a_member("a", member_epoch=-2), "i", "b")
    with pytest.raises(KafkaError) as refusal:
        check_released(a_member("a", member_epoch=3), "i", "b")
    assert refusal.value.code is ErrorCode.UNRELEASED_INSTANCE_ID
