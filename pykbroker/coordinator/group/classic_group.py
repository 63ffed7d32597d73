"""A classic group: its members, its state, and the rules that keep the two together.

Invariants: a member that waits for its JoinGroup answer is counted in `awaiting_join_count`; the
leader is a member whenever there are members; every static member is in `static_members`; each
name in `supported_protocols` counts the members that offer it.

`persisted` is the hard state: the value of the group's newest record. Everything else is soft and
is rebuilt from it when the coordinator starts.

Source: KIP-62, KIP-345, KIP-394; Kafka's ClassicGroup and ClassicGroupMember.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pykbroker.coordinator.group.state import ENTERED_FROM, GroupState
from pykbroker.coordinator.group.subscription import CONSUMER_PROTOCOL_TYPE, subscribed_topics
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataValue
from pykbroker.protocol.messages.join_group import JoinGroupResponseMember

NO_TIMESTAMP: Final = -1


@dataclass(slots=True)
class Member:
    """One member; `protocols` maps a protocol's name to metadata, in order of preference.

    `awaiting_join` and `awaiting_sync` are the tokens of parked requests. A new member has not
    seen its member id yet and cannot send heartbeats.
    """

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: dict[str, bytes]
    assignment: bytes = b""
    awaiting_join: int | None = None
    awaiting_sync: int | None = None
    is_new: bool = False

    @property
    def is_static(self) -> bool:
        """Whether the member keeps its place across restarts (KIP-345)."""
        return self.group_instance_id is not None

    @property
    def is_excused(self) -> bool:
        """Whether a missing heartbeat is no fault: the member waits for our own answer."""
        if self.is_new:
            return False
        return self.awaiting_join is not None or self.awaiting_sync is not None

    def offers(self, protocols: Mapping[str, bytes]) -> bool:
        """Whether these are the member's protocols, metadata and order of preference included."""
        return list(self.protocols.items()) == list(protocols.items())


@dataclass(slots=True)
class InitialDelay:
    """How long the first rebalance still collects members: this round, and what is left after."""

    delay_ms: int
    remaining_ms: int
    member_was_added: bool = False


@dataclass(slots=True)
class ClassicGroup:
    """The members and the state of one classic group."""

    group_id: str
    state_timestamp_ms: int = NO_TIMESTAMP
    state: GroupState = GroupState.EMPTY
    generation_id: int = 0
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader_id: str | None = None
    members: dict[str, Member] = field(default_factory=dict)
    static_members: dict[str, str] = field(default_factory=dict)
    pending_joins: set[str] = field(default_factory=set)
    pending_syncs: set[str] = field(default_factory=set)
    supported_protocols: Counter[str] = field(default_factory=Counter)
    subscribed_topics: frozenset[str] | None = None
    awaiting_join_count: int = 0
    initial_delay: InitialDelay | None = None
    persisted: GroupMetadataValue | None = None

    # State

    def transition_to(self, state: GroupState, now_ms: int) -> None:
        """Move to another state; a move that `ENTERED_FROM` does not list is our bug."""
        assert self.state in ENTERED_FROM[state], f"{self.state} may not become {state}"
        self.state = state
        self.state_timestamp_ms = now_ms

    def can_rebalance(self) -> bool:
        """Whether a rebalance may begin now."""
        return self.state in ENTERED_FROM[GroupState.PREPARING_REBALANCE]

    def begin_generation(self, now_ms: int) -> None:
        """Close the join phase: next generation id, protocol chosen, then sync or empty."""
        self.generation_id += 1
        self.pending_syncs.clear()
        self.protocol_name = self.select_protocol() if self.members else None
        self.subscribed_topics = self._compute_subscribed_topics()
        next_state = GroupState.COMPLETING_REBALANCE if self.members else GroupState.EMPTY
        self.transition_to(next_state, now_ms)

    # Members

    def add(self, member: Member) -> None:
        """Take a new member in; the first one decides the protocol type and leads."""
        assert member.member_id not in self.members
        if member.group_instance_id is not None:
            assert member.group_instance_id not in self.static_members
            self.static_members[member.group_instance_id] = member.member_id
        self.members[member.member_id] = member
        self.supported_protocols.update(member.protocols.keys())
        if self.leader_id is None:
            self.leader_id = member.member_id
        self.pending_joins.discard(member.member_id)

    def remove(self, member_id: str) -> Member | None:
        """Forget a member or pending member; another member leads if the leader goes."""
        self.pending_joins.discard(member_id)
        self.pending_syncs.discard(member_id)
        member = self.members.pop(member_id, None)
        if member is None:
            return None
        self.supported_protocols.subtract(member.protocols.keys())
        if member.awaiting_join is not None:
            self.awaiting_join_count -= 1
        if member.group_instance_id is not None:
            del self.static_members[member.group_instance_id]
        if self.leader_id == member_id:
            self.leader_id = next(iter(self.members), None)
        return member

    def update(
        self,
        member: Member,
        protocols: dict[str, bytes],
        *,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
    ) -> None:
        """Take over what a member said in its newest JoinGroup."""
        if member.protocols.keys() != protocols.keys():
            self.supported_protocols.subtract(member.protocols.keys())
            self.supported_protocols.update(protocols.keys())
        member.protocols = protocols
        member.rebalance_timeout_ms = rebalance_timeout_ms
        member.session_timeout_ms = session_timeout_ms

    def replace_static(self, member: Member, replacement: Member) -> None:
        """Give a static member's place, and its lead, to a new incarnation with a new id.

        The place among the members changes: it goes to the end, as in Kafka.
        """
        assert replacement.group_instance_id is not None
        was_leader = self.leader_id == member.member_id
        self.remove(member.member_id)
        self.add(replacement)
        if was_leader:
            self.leader_id = replacement.member_id

    def park_join(self, member: Member, token: int) -> int | None:
        """Note that a member waits for its JoinGroup answer; returns the token this replaces."""
        replaced = member.awaiting_join
        member.awaiting_join = token
        if replaced is None:
            self.awaiting_join_count += 1
        return replaced

    def take_join(self, member: Member) -> int | None:
        """Return the token of the member's parked JoinGroup, which is to be answered now."""
        token = member.awaiting_join
        if token is not None:
            member.awaiting_join = None
            self.awaiting_join_count -= 1
        return token

    def has_all_joined(self) -> bool:
        """Whether nobody is left to wait for in the join phase."""
        return len(self.members) == self.awaiting_join_count and not self.pending_joins

    def elect_joined_leader(self) -> bool:
        """Make sure that the leader has joined; False when nobody has."""
        if self.leader_id is None:
            return False
        if self.members[self.leader_id].awaiting_join is not None:
            return True
        for member in self.members.values():
            if member.awaiting_join is not None:
                self.leader_id = member.member_id
                return True
        return False

    def rebalance_timeout_ms(self) -> int:
        """Return the longest time that any member may take to rejoin."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def check_member(self, member_id: str, group_instance_id: str | None) -> ErrorCode:
        """Return NONE for a live member, FENCED_INSTANCE_ID or UNKNOWN_MEMBER_ID otherwise."""
        if group_instance_id is not None:
            current_id = self.static_members.get(group_instance_id)
            if current_id is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if current_id != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    # Protocols

    def supports(self, protocol_type: str, protocols: Mapping[str, bytes]) -> bool:
        """Whether a member with these protocols may join: one of them must be everybody's."""
        if self.state is GroupState.EMPTY:
            return bool(protocol_type) and bool(protocols)
        return protocol_type == self.protocol_type and any(
            self.supported_protocols[name] == len(self.members) for name in protocols
        )

    def select_protocol(self) -> str:
        """Return the protocol with most votes; each member votes for its first common one.

        Of two with equal votes, the one that the longest-standing member prefers wins.
        """
        votes: Counter[str] = Counter()
        for member in self.members.values():
            votes[
                next(
                    name
                    for name in member.protocols
                    if self.supported_protocols[name] == len(self.members)
                )
            ] += 1
        return max(votes, key=votes.__getitem__)

    def uses_consumer_protocol(self) -> bool:
        """Whether the members are consumers, whose subscriptions the broker can read."""
        return self.protocol_type == CONSUMER_PROTOCOL_TYPE

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether a member consumes the topic; an unreadable subscription counts as yes."""
        if self.subscribed_topics is None:
            return self.uses_consumer_protocol()
        return topic in self.subscribed_topics

    def listed_members(self) -> list[JoinGroupResponseMember]:
        """Return what the leader needs to know of everybody for the assignment."""
        assert self.protocol_name is not None
        return [
            JoinGroupResponseMember(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                metadata=member.protocols[self.protocol_name],
            )
            for member in self.members.values()
        ]

    def _compute_subscribed_topics(self) -> frozenset[str] | None:
        if not self.uses_consumer_protocol():
            return None
        if self.protocol_name is None:
            return frozenset()
        return subscribed_topics(
            member.protocols[self.protocol_name] for member in self.members.values()
        )

    # Hard state

    def apply(self, value: GroupMetadataValue, now_ms: int) -> None:
        """Take over a record that is in the log: the group's new hard state.

        The leader's assignment takes effect here and nowhere else.
        """
        self.persisted = value
        if (
            self.state is GroupState.COMPLETING_REBALANCE
            and self.generation_id == value.generation
            and value.members
        ):
            for saved in value.members:
                self.members[saved.member_id].assignment = saved.assignment
            self.transition_to(GroupState.STABLE, now_ms)

    def restore(self) -> None:
        """Rebuild the soft state from the hard state, after the log has been read."""
        value = self.persisted
        if value is None:
            return
        self.state = GroupState.STABLE if value.members else GroupState.EMPTY
        self.generation_id = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol_name = value.protocol
        self.state_timestamp_ms = value.current_state_timestamp
        for saved in value.members:
            timeout_ms = saved.rebalance_timeout
            self.add(
                Member(
                    member_id=saved.member_id,
                    group_instance_id=saved.group_instance_id,
                    client_id=saved.client_id,
                    client_host=saved.client_host,
                    # Records of version 0 know only one timeout.
                    rebalance_timeout_ms=saved.session_timeout if timeout_ms == -1 else timeout_ms,
                    session_timeout_ms=saved.session_timeout,
                    protocols={value.protocol or "": saved.subscription},
                    assignment=saved.assignment,
                )
            )
        if value.leader is not None:
            self.leader_id = value.leader
        self.subscribed_topics = self._compute_subscribed_topics()
