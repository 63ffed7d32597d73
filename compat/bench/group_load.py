"""Members of a classic group on bare sockets, and how long their rebalance takes.

The protocol is that of real members, driven by one thread: the leader joins again, the others
learn it from a heartbeat, join, and wait in SyncGroup for what the leader has assigned. What
clients add is left out: the pause between two heartbeats (3 s by default) and their own work.
"""

import select
import time
from typing import Final

from compat.bench.frames import frame
from compat.bench.meter import Reading, percentiles
from compat.bench.pipes import connect, read_answer
from pykbroker.client import COORDINATOR_ERRORS, Client, Request
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)

JOIN_VERSION: Final = 6
SYNC_VERSION: Final = 4
HEARTBEAT_VERSION: Final = 4
LEAVE_VERSION: Final = 4
SESSION_MS: Final = 60_000
ASSIGNMENT: Final = bytes(64)
SUBSCRIPTION: Final = bytes(64)
NUDGE_S: Final = 0.02
DEADLINE_S: Final = 60.0
RESPONSE_BODY: Final = 9


class Member:
    """One member with a connection of its own and at most one request open."""

    def __init__(self, address: str, group: str) -> None:
        """Connect; nothing is sent."""
        self.group = group
        self.member_id = ""
        self.generation = -1
        self.synced = -1
        self.leads = 0
        """How many members the group has, if this one leads it."""
        self.open: str | None = None
        self.watches_from = -1
        """The generation whose end it waits for by one heartbeat after the other."""
        self.connection = connect(address)

    def join(self) -> None:
        protocol = JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION)
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            member_id=self.member_id,
            protocol_type="consumer",
            protocols=[protocol],
        )
        self._send("join", request, JOIN_VERSION)

    def heartbeat(self) -> None:
        request = HeartbeatRequest(
            group_id=self.group, generation_id=self.generation, member_id=self.member_id
        )
        self._send("heartbeat", request, HEARTBEAT_VERSION)

    def leave(self) -> None:
        """Leave the group and close the connection."""
        identity = MemberIdentity(member_id=self.member_id)
        request = LeaveGroupRequest(group_id=self.group, members=[identity])
        self._send("leave", request, LEAVE_VERSION)
        read_answer(self.connection)
        self.connection.close()

    def take_answer(self) -> None:
        """Read the answer to the open request and send what follows from it."""
        answer = memoryview(read_answer(self.connection))
        kind, self.open = self.open, None
        if kind == "join":
            self._joined(JoinGroupResponse.decode(answer, JOIN_VERSION, RESPONSE_BODY))
        elif kind == "sync":
            sync = SyncGroupResponse.decode(answer, SYNC_VERSION, RESPONSE_BODY)
            if sync.error_code == ErrorCode.REBALANCE_IN_PROGRESS:
                self.join()
            else:
                assert sync.error_code == 0, f"SyncGroup: error {sync.error_code}"
                assert sync.assignment == ASSIGNMENT
                self.synced = self.generation
        elif kind == "heartbeat":
            beat = HeartbeatResponse.decode(answer, HEARTBEAT_VERSION, RESPONSE_BODY)
            if beat.error_code == 0:
                if self.generation == self.watches_from:
                    self.heartbeat()
            else:
                self.join()

    def _joined(self, response: JoinGroupResponse) -> None:
        if response.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = response.member_id
            self.join()
            return
        if response.error_code in COORDINATOR_ERRORS:
            # A broker's first group: its coordinator is still loading.
            self.join()
            return
        assert response.error_code == 0, f"JoinGroup: error {response.error_code}"
        self.generation = response.generation_id
        self.leads = len(response.members)
        assignments = [
            SyncGroupRequestAssignment(member_id=member.member_id, assignment=ASSIGNMENT)
            for member in response.members
        ]
        request = SyncGroupRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            assignments=assignments,
        )
        self._send("sync", request, SYNC_VERSION)

    def _send(self, kind: str, request: Request, version: int) -> None:
        assert self.open is None
        self.open = kind
        self.connection.sendall(frame(request, version))


class Group:
    """Members that one thread drives."""

    def __init__(self, address: str, name: str, size: int) -> None:
        """Form the group."""
        find_coordinator(address, name)
        self.members = [Member(address, name) for _ in range(size)]
        self._poll = select.epoll()
        self._by_descriptor = {member.connection.fileno(): member for member in self.members}
        for descriptor, member in self._by_descriptor.items():
            self._poll.register(descriptor, select.EPOLLIN)
            member.join()
        self._settle()

    def rebalance(self) -> float:
        """Let the leader join again; gives the seconds until every member has its assignment."""
        (leader,) = (member for member in self.members if member.leads)
        generation = leader.generation
        started = time.perf_counter()
        leader.join()
        for member in self.members:
            member.watches_from = generation
            if member is not leader:
                member.heartbeat()
        self._settle()
        taken = time.perf_counter() - started
        assert leader.generation == generation + 1, "there was more than one rebalance"
        return taken

    def close(self) -> None:
        for member in self.members:
            member.leave()
        self._poll.close()

    def _settle(self) -> None:
        """Go on until all members have an assignment of the same generation."""
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_stable:
            events = self._poll.poll(NUDGE_S)
            for descriptor, _ in events:
                self._by_descriptor[descriptor].take_answer()
            if not events:
                # The group is being formed: who has an old generation must hear of the new one.
                for member in self.members:
                    if member.open is None:
                        member.heartbeat()
            assert time.monotonic() < deadline, "the group does not become stable"

    @property
    def _is_stable(self) -> bool:
        generations = {member.synced for member in self.members}
        return (
            len(generations) == 1
            and all(member.open is None for member in self.members)
            and sum(member.leads for member in self.members) == len(self.members)
        )


def rebalance(address: str, pid: int, *, members: int, seconds: float) -> dict[str, float]:
    """One rebalance after the other of a group with so many members."""
    group = Group(address, f"bench-{members}-{time.time_ns()}", members)
    group.rebalance()
    times: list[float] = []
    first = Reading.now(pid)
    while time.perf_counter() < first.time_s + seconds:
        times.append(group.rebalance())
    last = Reading.now(pid)
    group.close()
    return {**first.until(last), "requests": len(times), **percentiles(times)}


def find_coordinator(address: str, group: str) -> None:
    """Return when the group's coordinator is ready."""
    with Client(address) as client:
        client.at_coordinator(group, lambda node_id: node_id)
