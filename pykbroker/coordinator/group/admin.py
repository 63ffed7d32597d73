"""What administrators ask about groups: DescribeGroups, ListGroups, DeleteGroups.

Source: KIP-88, KIP-229, KIP-518, KIP-848, KIP-1043; Kafka's GroupMetadataManager.
"""

from collections.abc import Iterable

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.kinds import AnyGroup, kind_of
from pykbroker.coordinator.group.offsets import OffsetStore
from pykbroker.coordinator.group.records import offset_tombstone
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_groups import DescribedGroup, DescribedGroupMember
from pykbroker.protocol.messages.list_groups import ListedGroup


def describe(group_id: str, group: AnyGroup | None) -> DescribedGroup:
    """Tell all about one classic group; one that does not exist, or is of another kind, is Dead.

    Metadata is known, and an assignment final, in a Stable group only. A missing group has the
    error GROUP_ID_NOT_FOUND, which the handler takes away for clients before v6.
    """
    if not isinstance(group, ClassicGroup):
        missing = "not found" if group is None else "is not a classic group"
        return DescribedGroup(
            error_code=ErrorCode.GROUP_ID_NOT_FOUND,
            error_message=f"Group {group_id} {missing}.",
            group_id=group_id,
            group_state=GroupState.DEAD.value,
        )
    is_stable = group.state is GroupState.STABLE
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=(group.protocol_name or "") if is_stable else "",
        members=[
            _describe_member(member, group.protocol_name if is_stable else None)
            for member in group.members.values()
        ],
    )


def _describe_member(member: Member, protocol_name: str | None) -> DescribedGroupMember:
    return DescribedGroupMember(
        member_id=member.member_id,
        group_instance_id=member.group_instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        member_metadata=b"" if protocol_name is None else member.protocols[protocol_name],
        member_assignment=member.assignment,
    )


def list_groups(
    groups: Iterable[AnyGroup], states: Iterable[str], types: Iterable[str]
) -> list[ListedGroup]:
    """Name the groups in any of these states and of any of these types; none named means any.

    Names are compared without regard to case, those of states without the blanks around them as
    well; an unknown one matches nothing.
    """
    wanted_states = {state.strip().lower() for state in states}
    wanted_types = {kind.lower() for kind in types}
    listed = [
        ListedGroup(
            group_id=group.group_id,
            protocol_type=kind_of(group).protocol_type(group),
            group_state=kind_of(group).state_name(group),
            group_type=kind_of(group).type_name,
        )
        for group in groups
    ]
    return [
        group
        for group in listed
        if (not wanted_types or group.group_type in wanted_types)
        and (not wanted_states or group.group_state.lower() in wanted_states)
    ]


def delete_group(
    group_id: str, group: AnyGroup | None, offsets: OffsetStore, step: Step
) -> ErrorCode:
    """Write tombstones for an empty group and all of its offsets.

    Returns:
        NONE, GROUP_ID_NOT_FOUND, or NON_EMPTY_GROUP for one that has members.
    """
    if group is None:
        return ErrorCode.GROUP_ID_NOT_FOUND
    kind = kind_of(group)
    if not kind.is_empty(group):
        return ErrorCode.NON_EMPTY_GROUP
    partitions = list(offsets.partitions(group_id))
    step.records.extend(offset_tombstone(group_id, *partition) for partition in partitions)
    step.records.extend(kind.tombstones(group))
    step.log(f"group_deleted group={group_id} offsets={len(partitions)}")
    return ErrorCode.NONE
