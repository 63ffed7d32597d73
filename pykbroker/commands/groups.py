"""`pykbroker groups`: list, describe and delete groups, and change where they go on reading."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import click

from pykbroker.client import EARLIEST, LATEST, Client, check, leaders_of
from pykbroker.commands.group_views import (
    GroupView,
    MemberView,
    Partition,
    partitions_text,
    read_group,
    read_offsets,
    unknown_group,
)
from pykbroker.commands.options import bootstrap_option, connected, print_table
from pykbroker.commands.reset_offsets import (
    Move,
    Target,
    TargetError,
    ago_ms,
    carry_out,
    has_members,
    parse_duration,
    parse_time,
    parse_topic,
    plan,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from pykbroker.protocol.messages.list_groups import (
    ListedGroup,
    ListGroupsRequest,
    ListGroupsResponse,
)
from pykbroker.protocol.messages.metadata import MetadataResponseTopic

UNKNOWN: Final = "-"


class LagRow(NamedTuple):
    """How far one partition is read, and by whom; None is what is not known."""

    topic: str
    partition: int
    offset: int | None
    end: int | None
    lag: int | None
    member: str | None


names_argument = click.argument("names", metavar="GROUP...", nargs=-1, required=True)


@click.group()
def groups() -> None:
    """List, describe and delete groups, and change where they go on reading."""


@groups.command("list")
@click.option("--state", "states", multiple=True, help="Only groups in this state.")
@click.option("--type", "types", multiple=True, help="Only groups of this type.")
@bootstrap_option
def list_groups(bootstrap: str, states: Sequence[str], types: Sequence[str]) -> None:
    """Print all groups, their state, type and protocol."""
    with connected(bootstrap) as client:
        rows = [
            (group.group_id, group.group_state, group.group_type or UNKNOWN, group.protocol_type)
            for group in _listed(client)
            if _is_among(group.group_state, states) and _is_among(group.group_type, types)
        ]
        print_table(["GROUP", "STATE", "TYPE", "PROTOCOL"], sorted(rows))


@groups.command()
@click.argument("names", metavar="[GROUP]...", nargs=-1)
@click.option("--all", "describes_all", is_flag=True, help="All groups.")
@bootstrap_option
def describe(names: Sequence[str], describes_all: bool, bootstrap: str) -> None:
    """Print the members of groups, what each reads, and how far each partition is read."""
    if bool(names) == describes_all:
        raise click.UsageError("name groups, or give --all")
    with connected(bootstrap) as client:
        client.metadata([])
        if describes_all:
            names = sorted(group.group_id for group in _listed(client))
        for name in names:
            client.at_coordinator(name, partial(_describe, client, name))


@groups.command()
@names_argument
@bootstrap_option
def delete(names: Sequence[str], bootstrap: str) -> None:
    """Delete groups that have no members, with their offsets."""
    with connected(bootstrap) as client:
        client.metadata([])
        for name in names:
            client.at_coordinator(name, partial(_delete, client, name))
            click.echo(f"deleted {name}")


@groups.command("reset-offsets")
@click.argument("name", metavar="GROUP")
@click.option(
    "-t", "--topic", "topics", multiple=True, metavar="TOPIC[:0,1]", help="Of this topic."
)
@click.option("--all-topics", is_flag=True, help="Of all topics that the group has offsets of.")
@click.option("--to-earliest", is_flag=True, help="To the first record there is.")
@click.option("--to-latest", is_flag=True, help="To the end.")
@click.option("--to-current", is_flag=True, help="To where it is, or the end next to it.")
@click.option("--to-offset", type=int, metavar="OFFSET", help="To this offset.")
@click.option("--shift-by", type=int, metavar="N", help="N records on; negative: back.")
@click.option(
    "--to-datetime",
    metavar="TIME",
    help="To the first record since TIME, 2026-01-31T12:00, in UTC.",
)
@click.option(
    "--by-duration", metavar="DURATION", help="To the first record of the last PT1H30M, 90m or 7d."
)
@click.option("--execute", is_flag=True, help="Do it. Without this, only show what would be done.")
@click.option("--create", is_flag=True, help="The group need not exist: it is made.")
@bootstrap_option
def reset_offsets(
    name: str,
    topics: Sequence[str],
    all_topics: bool,
    execute: bool,
    create: bool,
    bootstrap: str,
    **places: Any,
) -> None:
    """Change where a group without members goes on reading."""
    if bool(topics) == all_topics:
        raise click.UsageError("name topics with --topic, or give --all-topics")
    try:
        target = _target(places)
        wanted = dict(map(parse_topic, topics)) if topics else None
        with connected(bootstrap) as client:
            client.metadata([])
            reset = partial(_reset, client, name, wanted, target, execute, create)
            moves = client.at_coordinator(name, reset)
    except TargetError as error:
        raise click.ClickException(str(error)) from error
    rows = [
        (
            *(move.topic, move.partition),
            *(UNKNOWN if move.current is None else move.current, move.new),
            *(move.end, move.end - move.new),
        )
        for move in moves
    ]
    print_table(["TOPIC", "PARTITION", "OFFSET", "NEW", "END", "LAG"], rows)
    if execute:
        click.echo(f"reset {len(moves)} partitions of {name}")
    else:
        click.echo("nothing was changed; --execute does it")


def _target(places: Mapping[str, Any]) -> Target:
    """The one place that was named."""
    given = {
        key: value for key, value in places.items() if value is not None and value is not False
    }
    if len(given) != 1:
        options = ", ".join("--" + key.replace("_", "-") for key in places)
        raise click.UsageError(f"give exactly one of {options}")
    ((key, value),) = given.items()
    match key:
        case "to_earliest":
            return Target(place=EARLIEST)
        case "to_latest":
            return Target(place=LATEST)
        case "to_offset":
            return Target(offset=value)
        case "shift_by":
            return Target(shift=value)
        case "to_datetime":
            return Target(timestamp_ms=parse_time(value))
        case "by_duration":
            return Target(timestamp_ms=ago_ms(parse_duration(value)))
    return Target()


def _reset(
    client: Client,
    name: str,
    wanted: Mapping[str, Sequence[int] | None] | None,
    target: Target,
    execute: bool,
    create: bool,
    coordinator: int,
) -> list[Move]:
    group = read_group(client, name, coordinator)
    if group is None and not create:
        unknown = unknown_group(name)
        raise KafkaError(unknown.code, f"{unknown.message}; --create makes it")
    if group is not None and group.has_members:
        raise KafkaError(ErrorCode.NON_EMPTY_GROUP, has_members(name))
    committed = read_offsets(client, name, coordinator)
    moves = []
    for topic, partitions in _chosen(client, name, wanted, committed):
        moves += plan(client, topic, partitions, committed, target)
    if execute:
        carry_out(client, name, moves, coordinator)
    return moves


def _chosen(
    client: Client,
    name: str,
    wanted: Mapping[str, Sequence[int] | None] | None,
    committed: Mapping[Partition, int],
) -> Iterator[tuple[MetadataResponseTopic, Sequence[int]]]:
    """The topics and partitions that are meant."""
    if wanted is None:
        if not committed:
            raise TargetError(f"group {name} has no committed offsets; name topics with --topic")
        for topic in sorted({topic for topic, _ in committed}):
            yield client.topic(topic), sorted(index for of, index in committed if of == topic)
        return
    for topic, chosen in wanted.items():
        found = client.topic(topic)
        existing = list(leaders_of(found))
        for index in chosen or ():
            if index not in existing:
                raise TargetError(f"{topic} has no partition {index}")
        yield found, chosen or existing


def _listed(client: Client) -> list[ListedGroup]:
    """All groups of all brokers."""
    found = []
    for node in client.metadata([]).brokers:
        answer = client.call(ListGroupsRequest(), ListGroupsResponse, node.node_id)
        check(answer.error_code)
        found += answer.groups
    return found


def _is_among(name: str, wanted: Sequence[str]) -> bool:
    return not wanted or name.lower() in {each.lower() for each in wanted}


def _delete(client: Client, name: str, coordinator: int) -> None:
    request = DeleteGroupsRequest(groups_names=[name])
    (result,) = client.call(request, DeleteGroupsResponse, coordinator).results
    if result.error_code == ErrorCode.GROUP_ID_NOT_FOUND:
        raise unknown_group(name)
    if result.error_code == ErrorCode.NON_EMPTY_GROUP:
        raise KafkaError(
            ErrorCode.NON_EMPTY_GROUP,
            f"group {name} has members; stop them first ('pykbroker groups describe {name}' "
            "shows them)",
        )
    check(result.error_code)


def _describe(client: Client, name: str, coordinator: int) -> None:
    group = read_group(client, name, coordinator)
    committed = read_offsets(client, name, coordinator)
    if group is None:
        raise unknown_group(name)
    owners = group.owners
    rows: list[LagRow] = []
    for topic in sorted({topic for topic, _ in [*committed, *owners]}):
        rows += _lag_rows(client, topic, committed, owners)
    lags = [row.lag for row in rows if row.lag is not None]
    click.echo(
        f"group {name}  state {group.state}  type {group.kind}  "
        f"assignor {group.assignor or UNKNOWN}  members {len(group.members)}  "
        f"lag {sum(lags) if lags else UNKNOWN}"
    )
    if group.members:
        _print_members(group)
    if rows:
        titles = [title.upper() for title in LagRow._fields]
        print_table(titles, [[UNKNOWN if cell is None else cell for cell in row] for row in rows])


def _print_members(group: GroupView) -> None:
    rows = [
        (
            member.member_id,
            *(member.client_id, member.client_host, member.instance_id or UNKNOWN),
            partitions_text(member.partitions) or UNKNOWN,
        )
        for member in sorted(group.members, key=lambda member: member.member_id)
    ]
    print_table(["MEMBER", "CLIENT", "HOST", "INSTANCE", "PARTITIONS"], rows)


def _lag_rows(
    client: Client,
    topic: str,
    committed: Mapping[Partition, int],
    owners: Mapping[Partition, MemberView],
) -> Iterator[LagRow]:
    partitions = sorted({index for name, index in [*committed, *owners] if name == topic})
    ends: dict[int, int] = {}
    try:
        ends = client.offsets(client.topic(topic), partitions, LATEST)
    except KafkaError as error:
        # The offsets of a deleted topic are shown as long as the group has them.
        if error.code is not ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            raise
    for index in partitions:
        offset, end = committed.get((topic, index)), ends.get(index)
        owner = owners.get((topic, index))
        lag = None if offset is None or end is None else end - offset
        yield LagRow(topic, index, offset, end, lag, owner.member_id if owner else None)
