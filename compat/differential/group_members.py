"""Members of groups as the cases play them, and how to see what becomes of a group.

Every member has a connection and a client id of its own, since its requests may have to wait for
those of others. Its member id begins with the client id or the instance id, which gives lists of
members an order that is the same at both brokers.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compat.differential.plain import Sort
from compat.differential.session import POLL_SECONDS, READY_SECONDS, Pending, Session
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

# Long enough that no time runs out unless a case wants it.
LONG_MS = 60_000

CONSUMER = "consumer"
FIRST_JOIN_WITH_MEMBER_ID_REQUIRED = 4
FIRST_JOIN_WITH_INSTANCE_ID = 5
FIRST_LEAVE_WITH_MEMBERS = 3
FIRST_SYNC_WITH_PROTOCOL = 5

BY_MEMBER: Sort = {"members": "member_id"}
BY_GROUP_AND_CLIENT: Sort = {"groups": "group_id", "members": "client_id"}


def subscription(*topics: str) -> bytes:
    """A consumer's metadata: version 1, the topics, no user data, no owned partitions."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 1, len(topics)) + names + struct.pack(">ii", -1, 0)


class Member:
    """A member of a group, or one who wants to be."""

    def __init__(
        self,
        session: Session,
        group_id: str,
        client_id: str = "a",
        *,
        instance_id: str | None = None,
        protocol_type: str = CONSUMER,
        protocols: Mapping[str, bytes] | None = None,
        session_timeout_ms: int = LONG_MS,
        rebalance_timeout_ms: int = LONG_MS,
    ) -> None:
        self.session = session
        self.group_id = group_id
        self.connection = session.connect(client_id)
        self.instance_id = instance_id
        self.protocol_type = protocol_type
        self.protocols = {"range": subscription("t")} if protocols is None else protocols
        self.session_timeout_ms = session_timeout_ms
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.member_id = ""
        self.generation_id = -1
        self.protocol_name: str | None = None

    def reconnect(self) -> None:
        """Come back on a new connection as the same member."""
        self.connection = self.session.connect(self.connection.client_id)

    # --- JoinGroup -----------------------------------------------------------------------------

    def join_request(self, **changes: Any) -> JoinGroupRequest:
        protocols = [JoinGroupRequestProtocol(*each) for each in self.protocols.items()]
        request = JoinGroupRequest(
            group_id=self.group_id,
            session_timeout_ms=self.session_timeout_ms,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            protocol_type=self.protocol_type,
            protocols=protocols,
        )
        return replace(request, **changes)

    def begin_join(self, version: int = JoinGroupRequest.MAX_VERSION, **changes: Any) -> Pending:
        """Send JoinGroup; `joined` awaits the answer."""
        request = self.join_request(**changes)
        return self.session.begin(request, version, sort=BY_MEMBER, on=self.connection)

    def joined(self, pending: Pending) -> Any:
        """The answer to JoinGroup; what it says of member and generation holds from now on."""
        answer = pending.finish()
        if answer.error_code in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
            self.member_id = answer.member_id
            self.generation_id = answer.generation_id
            self.protocol_name = answer.protocol_name
        return answer

    def join(self, version: int = JoinGroupRequest.MAX_VERSION, **changes: Any) -> Any:
        """Send JoinGroup once and wait for the answer."""
        return self.joined(self.begin_join(version, **changes))

    def get_id(self, version: int = JoinGroupRequest.MAX_VERSION) -> None:
        """Have a member id promised, where that is how one joins."""
        is_asked_back = version >= FIRST_JOIN_WITH_MEMBER_ID_REQUIRED and self.instance_id is None
        if not self.member_id and is_asked_back:
            answer = self.join(version)
            assert answer.error_code == ErrorCode.MEMBER_ID_REQUIRED, answer

    def begin_enter(self, version: int = JoinGroupRequest.MAX_VERSION) -> Pending:
        """Join as a newcomer, and return when the broker has started to let it in."""
        self.get_id(version)
        pending = self.begin_join(version)
        self.await_state("PreparingRebalance")
        return pending

    def enter(self, version: int = JoinGroupRequest.MAX_VERSION) -> Any:
        """Join as a newcomer and wait for the answer."""
        self.get_id(version)
        return self.join(version)

    # --- SyncGroup, Heartbeat, LeaveGroup ------------------------------------------------------

    def sync_request(
        self,
        version: int = SyncGroupRequest.MAX_VERSION,
        assignments: Mapping[str, bytes] | None = None,
        **changes: Any,
    ) -> SyncGroupRequest:
        has_protocol = version >= FIRST_SYNC_WITH_PROTOCOL
        given = [SyncGroupRequestAssignment(*each) for each in (assignments or {}).items()]
        request = SyncGroupRequest(
            group_id=self.group_id,
            generation_id=self.generation_id,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            protocol_type=self.protocol_type if has_protocol else None,
            protocol_name=self.protocol_name if has_protocol else None,
            assignments=given,
        )
        return replace(request, **changes)

    def begin_sync(
        self,
        version: int = SyncGroupRequest.MAX_VERSION,
        assignments: Mapping[str, bytes] | None = None,
        **changes: Any,
    ) -> Pending:
        """Send SyncGroup without waiting for the answer."""
        request = self.sync_request(version, assignments, **changes)
        return self.session.begin(request, version, on=self.connection)

    def sync(
        self,
        version: int = SyncGroupRequest.MAX_VERSION,
        assignments: Mapping[str, bytes] | None = None,
        **changes: Any,
    ) -> Any:
        """Send SyncGroup and wait for the answer."""
        return self.begin_sync(version, assignments, **changes).finish()

    def assign(self, *members: "Member", version: int = SyncGroupRequest.MAX_VERSION) -> None:
        """As leader give each member an assignment that tells its client id."""
        given = {each.member_id: f"for {each.connection.client_id}".encode() for each in members}
        self.sync(version, given)

    def heartbeat_request(self, **changes: Any) -> HeartbeatRequest:
        request = HeartbeatRequest(
            group_id=self.group_id,
            generation_id=self.generation_id,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
        )
        return replace(request, **changes)

    def heartbeat(self, version: int = HeartbeatRequest.MAX_VERSION, **changes: Any) -> Any:
        """Send Heartbeat and wait for the answer."""
        return self.session.send(self.heartbeat_request(**changes), version, on=self.connection)

    def leave(self, version: int = LeaveGroupRequest.MAX_VERSION) -> None:
        """Leave, over the session's connection: the own one may wait for something."""
        if version < FIRST_LEAVE_WITH_MEMBERS:
            request = LeaveGroupRequest(group_id=self.group_id, member_id=self.member_id)
        else:
            identity = MemberIdentity(self.member_id, self.instance_id)
            request = LeaveGroupRequest(group_id=self.group_id, members=[identity])
        self.session.send(request, version)

    # --- waiting -------------------------------------------------------------------------------

    def await_state(self, state: str, members: int | None = None) -> None:
        """Return when the group is in a state; see `await_state` below."""
        await_state(self.session, self.group_id, state, members)

    def await_error(self, error_code: ErrorCode) -> None:
        """Send heartbeats, which keep the member alive, until one is answered so."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            answer = self.session.ask(self.heartbeat_request(), 4, on=self.connection)
            if answer.error_code == error_code:
                return
            assert time.monotonic() < deadline, f"heartbeats are answered with {answer.error_code}"
            time.sleep(POLL_SECONDS)


def await_state(session: Session, group_id: str, state: str, members: int | None = None) -> None:
    """Return when a group is in a state, and has as many members if a number is given."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_in_state(session, group_id, state, members):
        assert time.monotonic() < deadline, f"{group_id} is not {state} with {members} members"
        time.sleep(POLL_SECONDS)


def is_in_state(session: Session, group_id: str, state: str, members: int | None = None) -> bool:
    """Whether a group is in a state, and has as many members if a number is given."""
    (group,) = session.ask(DescribeGroupsRequest(groups=[group_id]), 5).groups
    return group.group_state == state and members in (None, len(group.members))


def describe(
    session: Session, *group_ids: str, version: int = DescribeGroupsRequest.MAX_VERSION
) -> None:
    """Compare what the brokers say of groups."""
    request = DescribeGroupsRequest(groups=list(group_ids))
    session.send(request, version, sort=BY_GROUP_AND_CLIENT)


def stable_group(
    session: Session,
    group_id: str,
    clients: Sequence[str] = ("a",),
    *,
    version: int = JoinGroupRequest.MAX_VERSION,
    **settings: Any,
) -> list[Member]:
    """Make a group of these members, of which the first leads, each with an assignment."""
    members = [Member(session, group_id, clients[0], **settings)]
    members[0].enter(version)
    members[0].assign(*members)
    for client_id in clients[1:]:
        add_member(members, client_id, version=version, **settings)
    return members


def add_member(
    members: list[Member],
    client_id: str,
    *,
    version: int = JoinGroupRequest.MAX_VERSION,
    **settings: Any,
) -> Member:
    """Let one more into a stable group, and everybody have the new assignment."""
    newcomer = Member(members[0].session, members[0].group_id, client_id, **settings)
    entering = newcomer.begin_enter(version)
    members.append(newcomer)
    rejoin(members[:-1])
    newcomer.joined(entering)
    members[0].assign(*members)
    for member in members[1:]:
        member.sync()
    return newcomer


def let_in(newcomer: Member, leader: Member, version: int = JoinGroupRequest.MAX_VERSION) -> None:
    """Let a second member into a group; its leader has not assigned anything yet."""
    entering = newcomer.begin_enter(version)
    leader.join(version)
    newcomer.joined(entering)


def rejoin(members: Sequence[Member]) -> None:
    """Have members join again that were told to; each answer comes when all have."""
    waiting = [(member, member.begin_join()) for member in members]
    for member, pending in waiting:
        member.joined(pending)
