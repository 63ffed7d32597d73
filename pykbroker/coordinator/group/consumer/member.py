"""A member of a consumer group, as one immutable value.

What a member may consume (`assigned`) is not what it is meant to have (the group's target): it
moves there step by step, see `reconcile`. Each partition carries the member epoch at which the
member got it, so that a commit with an older epoch can be told from a stale one (KIP-1251).

Source: KIP-848; Kafka's ConsumerGroupMember and MemberState.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
)

JOIN_EPOCH: Final = 0
LEAVE_EPOCH: Final = -1
STATIC_LEAVE_EPOCH: Final = -2
"""A static member that went but means to come back within its session."""

PartitionEpochs: TypeAlias = Mapping[bytes, Mapping[int, int]]
"""Topic id, partition -> the member epoch at which the member got it."""

NO_PARTITIONS: Final[PartitionEpochs] = {}


class MemberState(IntEnum):
    """How far a member is on its way to the target; the value stands in records."""

    STABLE = 0
    UNREVOKED_PARTITIONS = 1
    UNRELEASED_PARTITIONS = 2
    UNKNOWN = 127

    @classmethod
    def of(cls, value: int) -> "MemberState":
        """Read a record's value; a newer broker's states are unknown here."""
        return _STATES.get(value, cls.UNKNOWN)


# A look-up takes a tenth of the time of `MemberState(value)`.
_STATES: Final = {state.value: state for state in MemberState}


class ConsumerMember(NamedTuple):
    """What is known of one member; all of it is in records.

    A member with `classic` metadata speaks the classic protocol and is served as if it were in a
    classic group. In UNREVOKED_PARTITIONS the member must let go what is in `pending_revocation`;
    in UNRELEASED_PARTITIONS others still have what it is to get.
    """

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    subscribed_topic_names: frozenset[str] = frozenset()
    subscribed_topic_regex: str = ""
    server_assignor: str | None = None
    rebalance_timeout_ms: int = -1
    classic: ClassicMemberMetadata | None = None
    state: MemberState = MemberState.STABLE
    member_epoch: int = JOIN_EPOCH
    previous_member_epoch: int = -1
    assigned: PartitionEpochs = NO_PARTITIONS
    pending_revocation: PartitionEpochs = NO_PARTITIONS

    @property
    def uses_classic_protocol(self) -> bool:
        """Whether the member sends JoinGroup and SyncGroup."""
        return self.classic is not None

    def is_reconciled_to(self, target_epoch: int) -> bool:
        """Whether the member has all and only what the target of this epoch gives it."""
        return self.state is MemberState.STABLE and self.member_epoch == target_epoch

    def at_epoch(
        self,
        member_epoch: int,
        state: MemberState,
        assigned: PartitionEpochs,
        pending_revocation: PartitionEpochs,
    ) -> "ConsumerMember":
        """Return the member one step further on its way."""
        return self._replace(
            state=state,
            member_epoch=member_epoch,
            previous_member_epoch=self.member_epoch,
            assigned=assigned,
            pending_revocation=pending_revocation,
        )
