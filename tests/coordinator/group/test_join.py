from __future__ import annotations

import pytest

from pykbroker.coordinator.group.join import check_request
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_join, a_subscription


@pytest.mark.parametrize(
    ("group_id", "timeout_ms", "code"),
    [
        ("g", 6_000, ErrorCode.NONE),
        ("g", 1_800_000, ErrorCode.NONE),
        ("g", 5_999, ErrorCode.INVALID_SESSION_TIMEOUT),
        ("g", 1_800_001, ErrorCode.INVALID_SESSION_TIMEOUT),
        ("", 6_000, ErrorCode.INVALID_GROUP_ID),
    ],
)
def test_group_id_and_session_timeout_are_checked_first(
    group_id: str, timeout_ms: int, code: ErrorCode
) -> None:
    request = a_join(group_id, session_timeout_ms=timeout_ms)
    assert check_request(request, GroupSettings()) is code


@pytest.mark.parametrize("version", range(10))
def test_a_member_id_is_required_from_version_4_on(version: int) -> None:
    driver = ShardDriver()
    token = driver.send_join(a_join(), "client", version)
    driver.advance(0)
    answer = driver.answers[token]
    assert answer.member_id == "client-1"
    expected = ErrorCode.MEMBER_ID_REQUIRED if version >= 4 else ErrorCode.NONE
    assert answer.error_code == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol_type": ""},
        {"protocols": {}},
    ],
)
def test_a_protocol_is_needed(fields: dict[str, object]) -> None:
    answer = ShardDriver().join(a_join(**fields))  # type: ignore[arg-type]
    assert answer.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("fields", [{"protocol_type": "connect"}, {"protocols": {"sticky": b""}}])
def test_a_newcomer_must_fit_the_others(fields: dict[str, object]) -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    newcomer = driver.join(a_join(**fields))  # type: ignore[arg-type]
    assert newcomer.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    changed = driver.join(a_join(member_id=member_id, protocol_type="connect"))
    assert changed.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert changed.member_id == member_id


@pytest.mark.parametrize(
    ("member_id", "instance_id"), [("stranger", None), ("stranger", "i"), ("MINE", "i")]
)
def test_a_member_id_that_nobody_gave_out_is_unknown(
    member_id: str, instance_id: str | None
) -> None:
    driver = ShardDriver()
    (mine,) = driver.stable_group("a")
    member_id = mine if member_id == "MINE" else member_id
    answer = driver.join(a_join(member_id=member_id, instance_id=instance_id))
    assert answer.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert answer.member_id == member_id


def test_in_a_missing_or_empty_group_every_member_id_is_unknown() -> None:
    driver = ShardDriver()
    answer = driver.join(a_join(member_id="m"))
    assert (answer.error_code, answer.member_id) == (ErrorCode.UNKNOWN_MEMBER_ID, "m")
    assert driver.shard.groups == {}
    (member_id,) = driver.stable_group("a")
    driver.leave((member_id, None))
    assert driver.join(a_join(member_id=member_id)).error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_promised_id_is_not_for_static_members() -> None:
    driver = ShardDriver()
    promised = driver.join(a_join()).member_id
    answer = driver.join(a_join(member_id=promised, instance_id="i"))
    assert answer.error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_the_first_of_two_protocols_of_one_name_counts() -> None:
    driver = ShardDriver()
    request = a_join(protocols={"range": a_subscription("t")})
    second = a_join(protocols={"range": a_subscription("u")}).protocols
    request.protocols.extend(second)
    driver.send_join_twice(request)
    driver.advance(0)
    assert driver.group().is_subscribed_to("t")
    assert not driver.group().is_subscribed_to("u")


def test_a_lost_answer_is_given_again_to_leader_and_follower() -> None:
    driver = ShardDriver()
    tokens = [driver.send_join_twice(a_join(), name) for name in ("a", "b")]
    driver.advance(0)
    for token in tokens:
        first = driver.answers[token]
        again = driver.join(a_join(member_id=first.member_id))
        assert again == first
    assert [len(driver.answers[token].members) for token in tokens] == [2, 0]


def test_new_metadata_while_the_leader_assigns_begins_a_rebalance() -> None:
    driver = ShardDriver()
    token = driver.send_join_twice(a_join())
    driver.advance(0)
    member_id = driver.answers[token].member_id
    changed = {"range": a_subscription("t", "u")}
    answer = driver.join(a_join(member_id=member_id, protocols=changed))
    assert answer.generation_id == 2


def test_a_follower_rejoins_without_effect_and_a_leader_with() -> None:
    driver = ShardDriver()
    leader, follower = driver.stable_group("a", "b")
    answer = driver.join(a_join(member_id=follower))
    assert (answer.generation_id, answer.leader, answer.members) == (1, leader, [])
    driver.send_join(a_join(member_id=leader))
    assert driver.heartbeat(follower, 1) is ErrorCode.REBALANCE_IN_PROGRESS


def test_the_clients_reason_is_told_in_the_log() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    driver.send_join(a_join(member_id=member_id, reason="new partitions"))
    assert any("client reason: new partitions" in e for e in driver.transitions[-1].events)


def test_a_promised_member_does_not_count_until_it_is_there() -> None:
    driver = ShardDriver(GroupSettings(max_size=1))
    promised = driver.join(a_join()).member_id
    token = driver.send_join(a_join(), version=3)
    full = driver.join(a_join(member_id=promised))
    assert full.error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert full.member_id == ""
    assert driver.group().pending_joins == set()
    driver.advance(0)
    assert driver.answers[token].error_code == ErrorCode.NONE


def test_who_is_in_already_may_ask_again_in_a_full_group() -> None:
    driver = ShardDriver(GroupSettings(max_size=1))
    (member_id,) = driver.stable_group("a")
    token = driver.send_join(a_join(member_id=member_id))
    assert driver.answers[token].generation_id == 2
    assert driver.join(a_join(member_id="x")).error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
