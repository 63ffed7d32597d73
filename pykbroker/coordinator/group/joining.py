"""A JoinGroup request on its way through the group, and the answers it can get."""

from dataclasses import dataclass

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.step import Caller, Step
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse


@dataclass(slots=True, frozen=True)
class Join:
    """One JoinGroup request with all that comes with it.

    `protocols` is the request's list by name; of a name given twice the first counts.
    """

    request: JoinGroupRequest
    caller: Caller
    token: int
    protocols: dict[str, bytes]

    @classmethod
    def of(cls, request: JoinGroupRequest, caller: Caller, token: int) -> "Join":
        """Begin to handle a request."""
        return cls(request, caller, token, protocols_of(request))

    @property
    def reason(self) -> str:
        """Why the client joins, in its own words (KIP-800)."""
        return self.request.reason or "not provided"


def protocols_of(request: JoinGroupRequest) -> dict[str, bytes]:
    """Return the protocols of a request by name, in order of preference."""
    protocols: dict[str, bytes] = {}
    for protocol in request.protocols:
        protocols.setdefault(protocol.name, protocol.metadata)
    return protocols


def park(group: ClassicGroup, step: Step, joining: Join, member: Member) -> None:
    """Let the request wait for the end of the join phase."""
    replaced = group.park_join(member, joining.token)
    if replaced is not None:
        # The same member asks twice, most likely after a lost connection. Kafka forgets the
        # older request without an answer; here nothing stays parked for ever.
        step.answer(replaced, join_error(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))


def joined_response(group: ClassicGroup, member: Member) -> JoinGroupResponse:
    """Tell a member the current generation; only the leader learns who the others are."""
    is_leader = member.member_id == group.leader_id
    return JoinGroupResponse(
        generation_id=group.generation_id,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        leader=group.leader_id or "",
        member_id=member.member_id,
        members=group.listed_members() if is_leader else [],
    )


def join_error(error_code: ErrorCode, member_id: str = "") -> JoinGroupResponse:
    """Answer a JoinGroup that did not get anywhere."""
    return JoinGroupResponse(error_code=error_code, member_id=member_id)
