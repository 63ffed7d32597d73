"""What `pykbroker groups` knows of a group: its members, what each of them reads, its offsets.

Groups of the consumer protocol are asked for first (ConsumerGroupDescribe), as clients of Kafka do;
one that is none, or a broker that does not know them, is asked for a classic group.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pykbroker.client import Client, check
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.messages import consumer_group_describe
from pykbroker.protocol.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
)
from pykbroker.protocol.messages.consumer_protocol_assignment import ConsumerProtocolAssignment
from pykbroker.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
)

DEAD: Final = "Dead"
CLASSIC: Final = "classic"
CONSUMER: Final = "consumer"
# Without members nobody minds when offsets change.
STATES_WITHOUT_MEMBERS: Final = ("Empty", DEAD)

Partition = tuple[str, int]


@dataclass(slots=True)
class MemberView:
    """One member; `partitions` is what it reads, as far as that can be read."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    partitions: list[Partition] = field(default_factory=list)


@dataclass(slots=True)
class GroupView:
    """One group. Without an assignor it has not chosen one, or needs none."""

    group_id: str
    state: str
    kind: str
    assignor: str
    members: list[MemberView] = field(default_factory=list)

    @property
    def has_members(self) -> bool:
        """Whether there is, or may be, anybody who reads and commits."""
        return self.state not in STATES_WITHOUT_MEMBERS

    @property
    def owners(self) -> dict[Partition, MemberView]:
        """Which member reads which partition."""
        return {part: member for member in self.members for part in member.partitions}


def read_group(client: Client, group_id: str, coordinator: int) -> GroupView | None:
    """Describe one group; None if there is none of this id.

    Raises:
        KafkaError: The coordinator refused.
    """
    if client.connection(coordinator).knows(ApiKey.CONSUMER_GROUP_DESCRIBE):
        request = ConsumerGroupDescribeRequest(group_ids=[group_id])
        (found,) = client.call(request, ConsumerGroupDescribeResponse, coordinator).groups
        if found.error_code != ErrorCode.GROUP_ID_NOT_FOUND:
            check(found.error_code, found.error_message)
            return _consumer_view(found)
    classic_request = DescribeGroupsRequest(groups=[group_id])
    (group,) = client.call(classic_request, DescribeGroupsResponse, coordinator).groups
    if group.error_code == ErrorCode.GROUP_ID_NOT_FOUND or group.group_state == DEAD:
        return None
    check(group.error_code, group.error_message)
    return _classic_view(group)


def read_offsets(client: Client, group_id: str, coordinator: int) -> dict[Partition, int]:
    """The committed offset of each partition that has one."""
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group_id, topics=None)])
    (answer,) = client.call(request, OffsetFetchResponse, coordinator).groups
    check(answer.error_code)
    return {
        (topic.name, partition.partition_index): partition.committed_offset
        for topic in answer.topics
        for partition in topic.partitions
        if partition.committed_offset >= 0
    }


def unknown_group(group_id: str) -> KafkaError:
    """Say that there is no such group, and where to look."""
    return KafkaError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"group {group_id} does not exist; 'pykbroker groups list' names those that do",
    )


def partitions_text(partitions: list[Partition]) -> str:
    """Partitions by topic: `orders:0,1 payments:2`."""
    by_topic: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        by_topic.setdefault(topic, []).append(index)
    return " ".join(f"{topic}:{','.join(map(str, parts))}" for topic, parts in by_topic.items())


def _classic_view(group: DescribedGroup) -> GroupView:
    view = GroupView(group.group_id, group.group_state, CLASSIC, group.protocol_data)
    for member in group.members:
        # Only consumers' assignments are of a format that is known.
        assigned: Mapping[str, list[int]] = {}
        if group.protocol_type == CONSUMER:
            assigned = _decode_assignment(member.member_assignment)
        view.members.append(
            MemberView(
                member.member_id,
                member.group_instance_id,
                member.client_id,
                member.client_host,
                [(topic, index) for topic, indexes in assigned.items() for index in indexes],
            )
        )
    return view


def _consumer_view(group: consumer_group_describe.DescribedGroup) -> GroupView:
    return GroupView(
        group.group_id,
        group.group_state,
        CONSUMER,
        group.assignor_name,
        [
            MemberView(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                [
                    (topic.topic_name, index)
                    for topic in member.assignment.topic_partitions
                    for index in topic.partitions
                ],
            )
            for member in group.members
        ],
    )


def _decode_assignment(data: bytes) -> dict[str, list[int]]:
    """Read a member's assignment; one that is absent or strange counts as empty."""
    version = int.from_bytes(data[:2], "big", signed=True)
    newest = ConsumerProtocolAssignment.MAX_VERSION
    try:
        assignment = ConsumerProtocolAssignment.decode(
            memoryview(data), min(max(version, 0), newest), 2
        )
    except ProtocolError:
        return {}
    return {topic.topic: topic.partitions for topic in assignment.assigned_partitions}
