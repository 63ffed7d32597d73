from __future__ import annotations

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.state import GroupState
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataValue, MemberMetadata
from tests.harness.groups import a_subscription


def a_member(member_id: str, *protocols: str, instance_id: str | None = None) -> Member:
    offered = {name: a_subscription(member_id) for name in protocols or ("range",)}
    return Member(member_id, instance_id, "c", "/h", 30, 10, offered)


def a_group(*members: Member, state: GroupState = GroupState.PREPARING_REBALANCE) -> ClassicGroup:
    group = ClassicGroup("g", state=state, protocol_type="consumer")
    for member in members:
        group.add(member)
    return group


def test_the_first_member_leads_and_the_next_one_follows_it() -> None:
    group = a_group(a_member("a"), a_member("b"))
    assert group.leader_id == "a"
    group.remove("a")
    assert group.leader_id == "b"
    group.remove("b")
    assert group.leader_id is None
    assert group.remove("b") is None


def test_a_leader_that_stays_away_hands_over_to_one_that_has_joined() -> None:
    a, b = a_member("a"), a_member("b")
    group = a_group(a, b)
    assert not group.elect_joined_leader()
    group.park_join(b, 7)
    assert group.elect_joined_leader()
    assert group.leader_id == "b"
    assert group.elect_joined_leader()
    assert not a_group().elect_joined_leader()


def test_members_that_wait_are_counted_once() -> None:
    a = a_member("a")
    group = a_group(a, a_member("b"))
    assert group.park_join(a, 1) is None
    assert group.park_join(a, 2) == 1
    assert group.awaiting_join_count == 1
    assert not group.has_all_joined()
    group.remove("b")
    assert group.has_all_joined()
    assert group.take_join(a) == 2
    assert group.take_join(a) is None
    assert group.awaiting_join_count == 0


def test_a_member_that_waits_and_goes_is_not_counted_any_more() -> None:
    a = a_member("a")
    group = a_group(a)
    group.park_join(a, 1)
    group.remove("a")
    assert group.awaiting_join_count == 0


def test_a_promised_member_is_waited_for() -> None:
    group = a_group()
    group.pending_joins.add("p")
    assert not group.has_all_joined()
    group.remove("p")
    assert group.has_all_joined()


def test_each_member_votes_for_its_first_protocol_that_all_offer() -> None:
    group = a_group(
        a_member("a", "mine", "sticky", "range"),
        a_member("b", "range", "sticky"),
        a_member("c", "range", "sticky"),
    )
    assert group.select_protocol() == "range"
    group.remove("c")
    assert group.select_protocol() == "sticky"


def test_a_newcomer_needs_a_protocol_that_all_offer() -> None:
    group = a_group(a_member("a", "sticky", "range"), a_member("b", "range"))
    assert group.supports("consumer", {"range": b""})
    assert not group.supports("consumer", {"sticky": b""})
    assert not group.supports("connect", {"range": b""})
    assert not group.supports("consumer", {})


def test_an_empty_group_takes_any_protocol_that_has_a_name() -> None:
    group = a_group(state=GroupState.EMPTY)
    assert group.supports("connect", {"x": b""})
    assert not group.supports("", {"x": b""})
    assert not group.supports("connect", {})


def test_a_static_member_is_known_by_its_instance_id() -> None:
    group = a_group(a_member("a", instance_id="i"), a_member("b"))
    assert group.check_member("a", "i") is ErrorCode.NONE
    assert group.check_member("b", "i") is ErrorCode.FENCED_INSTANCE_ID
    assert group.check_member("a", "j") is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.check_member("b", None) is ErrorCode.NONE
    assert group.check_member("x", None) is ErrorCode.UNKNOWN_MEMBER_ID
    group.remove("a")
    assert group.check_member("a", "i") is ErrorCode.UNKNOWN_MEMBER_ID


def test_topics_are_known_once_the_protocol_is_chosen() -> None:
    group = a_group(a_member("a"), a_member("b"))
    assert group.is_subscribed_to("anything")
    group.begin_generation(5)
    assert group.is_subscribed_to("a")
    assert group.is_subscribed_to("b")
    assert not group.is_subscribed_to("c")


def test_other_protocol_types_have_no_topics() -> None:
    group = a_group(a_member("a"))
    group.protocol_type = "connect"
    group.begin_generation(5)
    assert group.subscribed_topics is None
    assert not group.is_subscribed_to("a")


def test_a_generation_without_members_is_empty() -> None:
    group = a_group()
    group.begin_generation(5)
    assert (group.state, group.generation_id) == (GroupState.EMPTY, 1)
    assert group.protocol_name is None
    assert group.subscribed_topics == frozenset()


def test_metadata_and_preference_make_the_offer() -> None:
    member = a_member("a", "x", "y")
    x, y = member.protocols.items()
    assert member.offers(dict([x, y]))
    assert not member.offers(dict([y, x]))
    assert not member.offers({**dict([x, y]), "y": b"other"})


def test_a_member_that_waits_for_us_is_excused_unless_it_is_new() -> None:
    member = a_member("a")
    assert not member.is_excused
    member.awaiting_sync = 1
    assert member.is_excused
    member.awaiting_sync, member.awaiting_join = None, 1
    assert member.is_excused
    member.is_new = True
    assert not member.is_excused


def test_an_assignment_takes_effect_for_its_own_generation_only() -> None:
    group = a_group(a_member("a"))
    group.begin_generation(5)
    saved = MemberMetadata(member_id="a", assignment=b"p0")

    group.apply(GroupMetadataValue(generation=7, members=[saved]), 6)
    group.apply(GroupMetadataValue(generation=1, members=[]), 6)
    assert group.members["a"].assignment == b""

    group.apply(GroupMetadataValue(generation=1, members=[saved]), 6)
    assert group.state is GroupState.STABLE
    assert group.members["a"].assignment == b"p0"
    assert group.state_timestamp_ms == 6


def test_a_group_is_rebuilt_from_its_record() -> None:
    saved = MemberMetadata(
        member_id="a",
        group_instance_id="i",
        client_id="c",
        client_host="/h",
        session_timeout=10,
        subscription=a_subscription("t"),
        assignment=b"p0",
    )
    group = ClassicGroup("g")
    group.restore()
    assert group.state is GroupState.EMPTY
    group.apply(
        GroupMetadataValue(
            protocol_type="consumer",
            generation=4,
            protocol="range",
            leader="a",
            current_state_timestamp=99,
            members=[saved],
        ),
        1,
    )
    group.restore()

    assert (group.state, group.generation_id, group.leader_id) == (GroupState.STABLE, 4, "a")
    assert group.state_timestamp_ms == 99
    assert group.subscribed_topics == frozenset({"t"})
    assert group.static_members == {"i": "a"}
    # Without a rebalance timeout, as in records of version 0, the session timeout is taken.
    assert group.members["a"].rebalance_timeout_ms == 10
    assert group.rebalance_timeout_ms() == 10
