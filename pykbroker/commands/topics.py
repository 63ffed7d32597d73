"""`pykbroker topics`: list, create, describe, alter, delete."""

from collections.abc import Mapping, Sequence
from typing import Final

import click

from pykbroker.client import EARLIEST, LATEST, Client, check, leaders_of
from pykbroker.commands.options import (
    BATCH_TIMEOUT_MS,
    bootstrap_option,
    connected,
    parse_pairs,
    print_table,
)
from pykbroker.protocol.errors import KafkaError
from pykbroker.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.protocol.messages.delete_topics import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from pykbroker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pykbroker.protocol.messages.metadata import MetadataResponseTopic
from pykbroker.protocol.uuids import uuid_to_text

TOPIC_RESOURCE: Final = 2
TOPIC_CONFIG_SOURCE: Final = 1
SET, DELETE = 0, 1

config_option = click.option(
    "-c", "--config", "configs", metavar="KEY=VALUE", multiple=True, help="A topic setting."
)


@click.group()
def topics() -> None:
    """List, create, describe, alter and delete topics."""


@topics.command("list")
@click.option("--internal", is_flag=True, help="Show internal topics too.")
@bootstrap_option
def list_topics(bootstrap: str, internal: bool) -> None:
    """Print the names of all topics."""
    with connected(bootstrap) as client:
        found = [topic for topic in client.metadata().topics if internal or not topic.is_internal]
        for name in sorted(topic.name or "" for topic in found):
            click.echo(name)


@topics.command()
@click.argument("names", metavar="TOPIC...", nargs=-1, required=True)
@click.option("-p", "--partitions", default=-1, help="Number of partitions.  [default: broker's]")
@click.option("-r", "--replication-factor", default=-1, help="Copies.  [default: broker's]")
@config_option
@bootstrap_option
def create(
    names: Sequence[str],
    partitions: int,
    replication_factor: int,
    configs: Sequence[str],
    bootstrap: str,
) -> None:
    """Create topics."""
    settings = parse_pairs(configs, "--config")
    wanted = [
        CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=replication_factor,
            configs=[CreatableTopicConfig(name=key, value=text) for key, text in settings.items()],
        )
        for name in names
    ]
    with connected(bootstrap) as client:
        controller = client.metadata([]).controller_id
        request = CreateTopicsRequest(topics=wanted, timeout_ms=BATCH_TIMEOUT_MS)
        for topic in client.call(request, CreateTopicsResponse, controller).topics:
            check(topic.error_code, topic.error_message)
            click.echo(f"created {topic.name}")


@topics.command()
@click.argument("names", metavar="[TOPIC]...", nargs=-1)
@bootstrap_option
def describe(names: Sequence[str], bootstrap: str) -> None:
    """Print the partitions, offsets and settings of topics (default: all)."""
    with connected(bootstrap) as client:
        chosen = names or sorted(
            topic.name or "" for topic in client.metadata().topics if not topic.is_internal
        )
        for name in chosen:
            _describe(client, name)


def _describe(client: Client, name: str) -> None:
    topic = client.topic(name)
    partitions = sorted(topic.partitions, key=lambda partition: partition.partition_index)
    indexes = list(leaders_of(topic))
    earliest = _offsets(client, topic, indexes, EARLIEST)
    latest = _offsets(client, topic, indexes, LATEST)
    click.echo(f"topic {name}  id {uuid_to_text(topic.topic_id)}  partitions {len(partitions)}")
    for key, value in own_settings(client, name).items():
        click.echo(f"  {key}={value}")
    rows = [
        (
            partition.partition_index,
            partition.leader_id,
            _numbers(partition.replica_nodes),
            _numbers(partition.isr_nodes),
            earliest[partition.partition_index],
            latest[partition.partition_index],
        )
        for partition in partitions
    ]
    print_table(["PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END"], rows)


def _offsets(
    client: Client, topic: MetadataResponseTopic, partitions: Sequence[int], timestamp: int
) -> Mapping[int, int | str]:
    """The offsets by partition, with the name of the error where one cannot be had.

    A partition whose log is damaged must not hide the others.
    """
    try:
        return client.offsets(topic, partitions, timestamp)
    except KafkaError as error:
        if len(partitions) == 1:
            return {partitions[0]: error.code.name}
    found: dict[int, int | str] = {}
    for partition in partitions:
        found |= _offsets(client, topic, [partition], timestamp)
    return found


def own_settings(client: Client, name: str) -> Mapping[str, str | None]:
    """The settings that the topic itself has, without those of the broker."""
    resource = DescribeConfigsResource(
        resource_type=TOPIC_RESOURCE, resource_name=name, configuration_keys=None
    )
    request = DescribeConfigsRequest(resources=[resource])
    (result,) = client.call(request, DescribeConfigsResponse).results
    check(result.error_code, result.error_message)
    return {
        config.name: config.value
        for config in result.configs
        if config.config_source == TOPIC_CONFIG_SOURCE
    }


@topics.command()
@click.argument("name", metavar="TOPIC")
@click.option("-p", "--partitions", type=int, help="New number of partitions; only upwards.")
@config_option
@click.option(
    "--delete-config", "deleted", metavar="KEY", multiple=True, help="Back to the default."
)
@bootstrap_option
def alter(
    name: str,
    partitions: int | None,
    configs: Sequence[str],
    deleted: Sequence[str],
    bootstrap: str,
) -> None:
    """Add partitions to a topic, or change its settings."""
    changes = [
        AlterableConfig(name=key, config_operation=SET, value=value)
        for key, value in parse_pairs(configs, "--config").items()
    ]
    changes += [AlterableConfig(name=key, config_operation=DELETE, value=None) for key in deleted]
    if partitions is None and not changes:
        raise click.UsageError("nothing to alter: give --partitions, --config or --delete-config")
    with connected(bootstrap) as client:
        controller = client.metadata([]).controller_id
        if changes:
            resource = AlterConfigsResource(
                resource_type=TOPIC_RESOURCE, resource_name=name, configs=changes
            )
            alteration = IncrementalAlterConfigsRequest(resources=[resource])
            answer = client.call(alteration, IncrementalAlterConfigsResponse, controller)
            check(answer.responses[0].error_code, answer.responses[0].error_message)
        if partitions is not None:
            wanted = CreatePartitionsTopic(name=name, count=partitions, assignments=None)
            addition = CreatePartitionsRequest(topics=[wanted], timeout_ms=BATCH_TIMEOUT_MS)
            (result,) = client.call(addition, CreatePartitionsResponse, controller).results
            check(result.error_code, result.error_message)
        click.echo(f"altered {name}")


@topics.command()
@click.argument("names", metavar="TOPIC...", nargs=-1, required=True)
@bootstrap_option
def delete(names: Sequence[str], bootstrap: str) -> None:
    """Delete topics and all their records."""
    with connected(bootstrap) as client:
        controller = client.metadata([]).controller_id
        request = DeleteTopicsRequest(
            topics=[DeleteTopicState(name=name) for name in names], timeout_ms=BATCH_TIMEOUT_MS
        )
        for topic in client.call(request, DeleteTopicsResponse, controller).responses:
            check(topic.error_code, topic.error_message)
            click.echo(f"deleted {topic.name}")


def _numbers(nodes: Sequence[int]) -> str:
    return ",".join(str(node) for node in nodes)
