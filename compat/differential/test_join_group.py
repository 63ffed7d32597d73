"""JoinGroup of dynamic members: who gets in, with what, and who is sent away."""

from compat.differential.cases import case
from compat.differential.group_members import (
    CONSUMER,
    FIRST_JOIN_WITH_INSTANCE_ID,
    FIRST_JOIN_WITH_MEMBER_ID_REQUIRED,
    LONG_MS,
    Member,
    add_member,
    describe,
    let_in,
    stable_group,
    subscription,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol

REASONS_FROM = 8
DEFAULT_MAX_SESSION_MS = 1_800_000
# As targets.SETTINGS say it for both brokers.
MIN_SESSION_MS = 500

RANGE = {"range": subscription("t")}
STICKY = {"sticky": subscription("t")}
BOTH = RANGE | STICKY


@case(JoinGroupRequest)
def test_first_member(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.enter(version)
    describe(session, member.group_id)


@case(JoinGroupRequest)
def test_unknown_member_id(session: Session, version: int) -> None:
    member = Member(session, session.name("missing"))
    member.join(version, member_id="stranger")
    describe(session, member.group_id)
    (living,) = stable_group(session, session.name("living"))
    living.join(version, member_id="stranger")
    living.heartbeat()


@case(JoinGroupRequest)
def test_invalid_group_id(session: Session, version: int) -> None:
    member = Member(session, "")
    member.join(version)
    member.join(version, member_id="stranger")
    member.join(version, session_timeout_ms=0)


@case(JoinGroupRequest)
def test_odd_group_id(session: Session, version: int) -> None:
    for group_id in (" ", "a/b", "é", "x" * 5_000):
        Member(session, group_id).join(version, member_id="stranger")


@case(JoinGroupRequest)
def test_session_timeout_out_of_bounds(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    too_short = (MIN_SESSION_MS - 1, 0, -1, -(2**31))
    for timeout_ms in (*too_short, DEFAULT_MAX_SESSION_MS + 1, 2**31 - 1):
        member.join(version, session_timeout_ms=timeout_ms)
    describe(session, member.group_id)


@case(JoinGroupRequest)
def test_session_timeout_at_the_bounds(session: Session, version: int) -> None:
    longest = Member(session, session.name("group"), session_timeout_ms=DEFAULT_MAX_SESSION_MS)
    longest.enter(version)
    short = Member(session, session.name("short"), session_timeout_ms=MIN_SESSION_MS)
    short.enter(version)


@case(JoinGroupRequest, versions=range(1, 10))
def test_odd_rebalance_timeout(session: Session, version: int) -> None:
    for label, timeout_ms in (("none", 0), ("negative", -1), ("long", 2**31 - 1)):
        group_id = session.name(label)
        member = Member(session, group_id, rebalance_timeout_ms=timeout_ms)
        member.enter(version)


@case(JoinGroupRequest)
def test_no_protocols(session: Session, version: int) -> None:
    member = Member(session, session.name("group"), protocols={})
    member.join(version)
    member.await_state("Empty")
    describe(session, member.group_id)
    member.join(version, protocol_type="")
    typeless = Member(session, session.name("typeless"), protocol_type="")
    typeless.join(version)
    typeless.await_state("Empty")
    describe(session, typeless.group_id)


@case(JoinGroupRequest)
def test_inconsistent_protocols(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"), protocols=BOTH)
    other = Member(session, member.group_id, "b", protocols={"unknown": b""})
    other.join(version)
    other.join(version, member_id="stranger")
    other.protocols = RANGE
    other.join(version, protocol_type="connect")
    other.join(version, protocol_type="")
    other.join(version, protocols=[])
    member.heartbeat()
    member.join(version, protocols=[JoinGroupRequestProtocol("unknown", b"")])
    member.join(version, protocols=[])
    member.join(version, protocol_type="connect")
    member.heartbeat()
    describe(session, member.group_id)


@case(JoinGroupRequest)
def test_second_member(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"), protocols=BOTH)
    follower = Member(session, leader.group_id, "b", protocols=BOTH)
    entering = follower.begin_enter(version)
    describe(session, leader.group_id)
    leader.heartbeat()
    leader.join(version)
    follower.joined(entering)
    describe(session, leader.group_id)
    leader.assign(leader, follower)
    follower.sync()
    describe(session, leader.group_id)


@case(JoinGroupRequest)
def test_leader_joins_again(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    again = leader.begin_join(version)
    leader.await_state("PreparingRebalance")
    follower.heartbeat()
    follower.join(version)
    leader.joined(again)
    leader.assign(leader, follower)
    follower.sync()


@case(JoinGroupRequest)
def test_follower_joins_again(session: Session, version: int) -> None:
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    follower.join(version)
    leader.heartbeat()
    follower.protocols = {"range": subscription("t", "u")}
    again = follower.begin_join(version)
    leader.await_state("PreparingRebalance")
    leader.join(version)
    follower.joined(again)
    leader.assign(leader, follower)
    follower.sync()
    describe(session, leader.group_id)


@case(JoinGroupRequest)
def test_join_again_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    # The same as before: the answer was lost, and is given again.
    follower.join(version)
    leader.join(version)
    leader.heartbeat()
    follower.protocols = {"range": subscription("u")}
    changed = follower.begin_join(version)
    leader.await_state("PreparingRebalance")
    leader.join(version)
    follower.joined(changed)
    leader.assign(leader, follower)
    follower.sync()


@case(JoinGroupRequest)
def test_protocol_that_all_have(session: Session, version: int) -> None:
    """One that most would rather have does not count if it is not everybody's."""
    members = stable_group(session, session.name("group"), ("a", "b"), protocols=STICKY | RANGE)
    add_member(members, "c", protocols=RANGE)
    describe(session, members[0].group_id)
    outsider = Member(session, members[0].group_id, "d", protocols=STICKY)
    outsider.join(version)
    members[2].leave()
    again = members[0].begin_join(version)
    members[1].join(version)
    members[0].joined(again)


@case(JoinGroupRequest)
def test_vote_of_the_majority(session: Session, version: int) -> None:
    members = stable_group(session, session.name("group"), ("a", "b"), protocols=STICKY | RANGE)
    third = Member(session, members[0].group_id, "c", protocols=RANGE | STICKY)
    entering = third.begin_enter(version)
    again = [member.begin_join(version) for member in members]
    for member, pending in zip(members, again, strict=True):
        member.joined(pending)
    third.joined(entering)


@case(JoinGroupRequest, versions=(0, 5, 9))
def test_equal_votes(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"), protocols=RANGE | STICKY)
    follower = Member(session, leader.group_id, "b", protocols=STICKY | RANGE)
    let_in(follower, leader, version)


@case(JoinGroupRequest, versions=(0, 5, 9))
def test_protocol_named_twice(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.get_id(version)
    names = ("range", "range", "sticky")
    protocols = [JoinGroupRequestProtocol(name, subscription(name)) for name in names]
    member.join(version, protocols=protocols)


@case(JoinGroupRequest, versions=(0, 5, 9))
def test_subscription_that_is_no_subscription(session: Session, version: int) -> None:
    for number, metadata in enumerate((b"", b"\x00", b"xx", b"\x00\x01\x00\x00\x00\x00")):
        member = Member(session, session.name(f"group-{number}"), protocols={"range": metadata})
        member.enter(version)
        member.assign(member)
        describe(session, member.group_id)


@case(JoinGroupRequest, versions=(0, 9))
def test_subscription_that_is_cut_short(session: Session, version: int) -> None:
    member = Member(session, session.name("group"), protocols={"range": subscription("topic")[:-9]})
    member.get_id(version)
    member.begin_join(version).is_silent()


@case(JoinGroupRequest, versions=(0, 5, 9))
def test_subscription_larger_than_a_record_may_be(session: Session, version: int) -> None:
    """Only the size of a request limits it; the group cannot be written down with it."""
    group = session.name("group")
    member = Member(session, group, protocols={"range": subscription("t") + bytes(2_000_000)})
    member.enter(version)
    member.assign(member)
    member.heartbeat()
    describe(session, group)


@case(JoinGroupRequest)
def test_timeouts_change(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.join(version, session_timeout_ms=LONG_MS // 2, rebalance_timeout_ms=LONG_MS // 3)
    member.join(version, session_timeout_ms=1)
    member.heartbeat()


@case(JoinGroupRequest)
def test_after_the_last_one_left(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    member.leave()
    member.join(version)
    member.member_id = ""
    # Another type of group may form where nobody is left.
    member.protocol_type = "connect"
    member.enter(version)
    describe(session, member.group_id)


@case(JoinGroupRequest)
def test_group_of_another_protocol_type(session: Session, version: int) -> None:
    worker = Member(
        session,
        session.name("workers"),
        protocol_type="connect",
        protocols={"sessioned": b"\x00\x02opaque", "compatible": b"", "eager": b"\xff"},
    )
    worker.enter(version)
    describe(session, worker.group_id)
    worker.assign(worker)
    describe(session, worker.group_id)
    Member(session, worker.group_id, "b", protocol_type=CONSUMER).join(version)


@case(JoinGroupRequest, versions=range(FIRST_JOIN_WITH_MEMBER_ID_REQUIRED, 10))
def test_promised_member_id(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.get_id(version)
    member.await_state("Empty")
    describe(session, member.group_id)
    member.heartbeat()
    member.sync()
    # Each who asks without an id gets one of its own.
    member.join(version, member_id="")
    member.join(version)


@case(JoinGroupRequest, versions=range(FIRST_JOIN_WITH_MEMBER_ID_REQUIRED, 10))
def test_promise_holds_up_the_next_rebalance(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    promised = Member(session, member.group_id, "b")
    promised.get_id(version)
    member.heartbeat()
    again = member.begin_join(version)
    again.is_silent()
    describe(session, member.group_id)
    promised.leave()
    member.joined(again)
    promised.join(version)


@case(JoinGroupRequest, versions=range(FIRST_JOIN_WITH_INSTANCE_ID, 10))
def test_promised_member_id_with_an_instance_id(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.get_id(version)
    member.join(version, group_instance_id="instance")
    member.await_state("Empty")
    describe(session, member.group_id)


@case(JoinGroupRequest, versions=range(REASONS_FROM, 10))
def test_reasons(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.get_id(version)
    for reason in ("", "a reason", "é" * 1_000, None):
        member.join(version, reason=reason)


@case(JoinGroupRequest)
def test_client_ids(session: Session, version: int) -> None:
    """The client id is what a member id begins with."""
    for number, client_id in enumerate((None, "", "a client", "é")):
        member = Member(session, session.name(f"group-{number}"))
        member.connection = session.connect(client_id)
        member.enter(version)
        session.note("what goes before the uuid", member.member_id[:-36])
        describe(session, member.group_id)
