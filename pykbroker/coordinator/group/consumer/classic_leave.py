"""LeaveGroup to a consumer group: classic members go, and an administrator removes any member."""

from pykbroker.coordinator.group.consumer.checks import check_instance
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.departure import fence_members
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.step import Step
from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
    MemberResponse,
)


def leave(group: ConsumerGroup, step: Step, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """Remove the members named, all at once; errors are per entry."""
    gone: dict[str, ConsumerMember] = {}
    response = LeaveGroupResponse()
    for leaving in request.members:
        answer = MemberResponse(leaving.member_id, leaving.group_instance_id)
        response.members.append(answer)
        try:
            member = _find(group, leaving)
        except KafkaError as error:
            answer.error_code = error.code
        else:
            answer.member_id = member.member_id
            gone[member.member_id] = member
    fence_members(group, step, list(gone.values()), "left")
    return response


def _find(group: ConsumerGroup, leaving: MemberIdentity) -> ConsumerMember:
    """Return the member; an administrator may name a static one by its instance id alone."""
    member = group.static_member(leaving.group_instance_id)
    if leaving.group_instance_id is None:
        member = group.member(leaving.member_id)
    elif leaving.member_id or member is None:
        check_instance(member, leaving.group_instance_id, leaving.member_id)
    assert member is not None
    return member
