"""`pykbroker groups`: list, describe, delete consumer groups."""

from collections.abc import Mapping, Sequence
from functools import partial

import click

from pykbroker.client import LATEST, Client, check
from pykbroker.commands.options import bootstrap_option, connected, print_table
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.messages.consumer_protocol_assignment import ConsumerProtocolAssignment
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from pykbroker.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from pykbroker.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
)

UNKNOWN = "-"


@click.group()
def groups() -> None:
    """List, describe and delete consumer groups."""


@groups.command("list")
@bootstrap_option
def list_groups(bootstrap: str) -> None:
    """Print all groups, their state and protocol."""
    with connected(bootstrap) as client:
        rows = []
        for node in client.metadata([]).brokers:
            answer = client.call(ListGroupsRequest(), ListGroupsResponse, node.node_id)
            check(answer.error_code)
            rows += [
                (group.group_id, group.group_state, group.protocol_type) for group in answer.groups
            ]
        print_table(["GROUP", "STATE", "PROTOCOL"], sorted(rows))


@groups.command()
@click.argument("names", metavar="GROUP...", nargs=-1, required=True)
@bootstrap_option
def describe(names: Sequence[str], bootstrap: str) -> None:
    """Print the members of groups, and how far each partition is read."""
    with connected(bootstrap) as client:
        client.metadata([])
        for name in names:
            client.at_coordinator(name, partial(_describe, client, name))


@groups.command()
@click.argument("names", metavar="GROUP...", nargs=-1, required=True)
@bootstrap_option
def delete(names: Sequence[str], bootstrap: str) -> None:
    """Delete groups that have no members, with their offsets."""
    with connected(bootstrap) as client:
        client.metadata([])
        for name in names:
            client.at_coordinator(name, partial(_delete, client, name))
            click.echo(f"deleted {name}")


def _delete(client: Client, name: str, coordinator: int) -> None:
    request = DeleteGroupsRequest(groups_names=[name])
    (result,) = client.call(request, DeleteGroupsResponse, coordinator).results
    check(result.error_code)


def _describe(client: Client, name: str, coordinator: int) -> None:
    request = DescribeGroupsRequest(groups=[name])
    (group,) = client.call(request, DescribeGroupsResponse, coordinator).groups
    check(group.error_code, group.error_message)
    committed = _committed(client, name, coordinator)
    if group.group_state == "Dead" and not committed:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"group {name} does not exist")
    click.echo(
        f"group {name}  state {group.group_state}  assignor {group.protocol_data or UNKNOWN}"
    )
    owners = _owners(group)
    for topic in sorted({topic for topic, _ in [*committed, *owners]}):
        _print_lag(client, topic, committed, owners)


def _print_lag(
    client: Client,
    topic: str,
    committed: Mapping[tuple[str, int], int],
    owners: Mapping[tuple[str, int], DescribedGroupMember],
) -> None:
    partitions = sorted({index for name, index in [*committed, *owners] if name == topic})
    ends: dict[int, int] = {}
    try:
        ends = client.offsets(client.topic(topic), partitions, LATEST)
    except KafkaError as error:
        # The offsets of a deleted topic are shown as long as the group has them.
        if error.code is not ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            raise
    rows = []
    for index in partitions:
        offset, end = committed.get((topic, index)), ends.get(index)
        lag = end - offset if offset is not None and end is not None else UNKNOWN
        owner = owners.get((topic, index))
        member = f"{owner.client_id} {owner.client_host}" if owner else UNKNOWN
        rows.append(
            (
                topic,
                index,
                UNKNOWN if offset is None else offset,
                UNKNOWN if end is None else end,
                lag,
                member,
            )
        )
    print_table(["TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER"], rows)


def _committed(client: Client, name: str, coordinator: int) -> dict[tuple[str, int], int]:
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=name, topics=None)])
    (answer,) = client.call(request, OffsetFetchResponse, coordinator).groups
    check(answer.error_code)
    return {
        (topic.name, partition.partition_index): partition.committed_offset
        for topic in answer.topics
        for partition in topic.partitions
        if partition.committed_offset >= 0
    }


def _owners(group: DescribedGroup) -> dict[tuple[str, int], DescribedGroupMember]:
    """Which member reads which partition, for groups of the consumer protocol."""
    owners: dict[tuple[str, int], DescribedGroupMember] = {}
    if group.protocol_type != "consumer":
        return owners
    for member in group.members:
        assignment = _decode_assignment(member.member_assignment)
        for topic in assignment.assigned_partitions:
            for index in topic.partitions:
                owners[topic.topic, index] = member
    return owners


def _decode_assignment(data: bytes) -> ConsumerProtocolAssignment:
    """Read a member's assignment; one that is absent or strange counts as empty."""
    version = int.from_bytes(data[:2], "big", signed=True)
    newest = ConsumerProtocolAssignment.MAX_VERSION
    try:
        return ConsumerProtocolAssignment.decode(memoryview(data), min(max(version, 0), newest), 2)
    except ProtocolError:
        return ConsumerProtocolAssignment()
