"""`pykbroker kafka-script`: what people call of Kafka's own scripts inside a container.

A health check or a service of a compose file may say `/opt/kafka/bin/kafka-topics.sh --list ...`;
in our image that script is this command. Options have the names of Kafka's scripts, as far as such
files use them: topics, records at a console, groups, and whether a broker answers. What is done,
printed and returned is what our own commands do. A file of a client's settings is accepted and not
read: there is no security yet that one would be needed for.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from pykbroker.commands.options import connected, parse_pairs

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SEPARATOR: Final = "\t"


def _first_of_list(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Take the first address: there is one broker."""
    return value.split(",")[0].strip()


def script_options(command: F) -> F:
    """Add `--bootstrap-server`, and the options that have nothing to say here."""
    for names in (("--command-config",), ("--producer.config",), ("--consumer.config",)):
        command = click.option(*names, expose_value=False, hidden=True)(command)
    return click.option(
        "--bootstrap-server",
        "--broker-list",
        "bootstrap",
        metavar="HOST:PORT,...",
        required=True,
        callback=_first_of_list,
        help="A broker of the cluster; of several, the first.",
    )(command)


def properties_option(command: F) -> F:
    """Add `--property KEY=VALUE`."""
    return click.option("--property", "properties", metavar="KEY=VALUE", multiple=True)(command)


@click.group("kafka-script")
def kafka_script() -> None:
    """Do what Kafka's scripts do, by their options."""


@kafka_script.command("kafka-broker-api-versions")
@script_options
@click.pass_context
def api_versions(context: click.Context, bootstrap: str) -> None:
    """Check that a broker answers ApiVersions."""
    from pykbroker.commands.health import health

    context.invoke(health, bootstrap=bootstrap)


@kafka_script.command("kafka-topics")
@click.option("--list", "action", flag_value="list")
@click.option("--create", "action", flag_value="create")
@click.option("--describe", "action", flag_value="describe")
@click.option("--delete", "action", flag_value="delete")
@click.option("--topic", metavar="TOPIC")
@click.option("--partitions", default=-1, help="Number of partitions.  [default: broker's]")
@click.option("--replication-factor", default=-1, help="Copies.  [default: broker's]")
@click.option("--config", "configs", metavar="KEY=VALUE", multiple=True)
@click.option("--if-not-exists", is_flag=True, help="Create only what is not there.")
@click.option("--if-exists", is_flag=True, help="Delete or describe only what is there.")
@click.option("--exclude-internal", is_flag=True, help="List no internal topics.")
@script_options
@click.pass_context
def topics(
    context: click.Context,
    action: str | None,
    topic: str | None,
    partitions: int,
    replication_factor: int,
    configs: Sequence[str],
    if_not_exists: bool,
    if_exists: bool,
    exclude_internal: bool,
    bootstrap: str,
) -> None:
    """List, create, describe and delete topics."""
    from pykbroker.commands import topics as ours

    if action == "list":
        context.invoke(ours.list_topics, bootstrap=bootstrap, internal=not exclude_internal)
        return
    if action == "describe" and topic is None:
        context.invoke(ours.describe, names=(), bootstrap=bootstrap)
        return
    if action is None or topic is None:
        raise click.UsageError("give --list, or --create, --describe or --delete and --topic")
    if (if_not_exists or if_exists) and _exists(bootstrap, topic) == (action == "create"):
        return
    if action == "create":
        context.invoke(
            ours.create,
            names=(topic,),
            partitions=partitions,
            replication_factor=replication_factor,
            configs=configs,
            bootstrap=bootstrap,
        )
    else:
        command = ours.delete if action == "delete" else ours.describe
        context.invoke(command, names=(topic,), bootstrap=bootstrap)


def _exists(bootstrap: str, topic: str) -> bool:
    with connected(bootstrap) as client:
        return topic in {found.name for found in client.metadata().topics}


@kafka_script.command("kafka-console-producer")
@click.option("--topic", metavar="TOPIC", required=True)
@properties_option
@script_options
@click.pass_context
def console_producer(
    context: click.Context, topic: str, properties: Sequence[str], bootstrap: str
) -> None:
    """Write each line of standard input as a record."""
    from pykbroker.commands.produce import produce

    known = parse_pairs(properties, "--property")
    separator = None
    if known.get("parse.key") == "true":
        separator = known.get("key.separator", DEFAULT_SEPARATOR)
    context.invoke(produce, topic=topic, key_separator=separator, bootstrap=bootstrap)


@kafka_script.command("kafka-console-consumer")
@click.option("--topic", metavar="TOPIC", required=True)
@click.option("--from-beginning", is_flag=True, help="Start at the first record there is.")
@click.option("--max-messages", type=click.IntRange(min=1), help="Stop after so many.")
@click.option("--timeout-ms", type=int, help="Stop when all records were printed.")
@click.option("--group", metavar="GROUP", help="Go on where this group has committed.")
@properties_option
@script_options
@click.pass_context
def console_consumer(
    context: click.Context,
    topic: str,
    from_beginning: bool,
    max_messages: int | None,
    timeout_ms: int | None,
    group: str | None,
    properties: Sequence[str],
    bootstrap: str,
) -> None:
    """Print the values of records, and their keys with --property print.key=true."""
    from pykbroker.commands.consume import consume

    known = parse_pairs(properties, "--property")
    template = r"%s\n"
    if known.get("print.key") == "true":
        template = rf"%k{known.get('key.separator', DEFAULT_SEPARATOR)}%s\n"
    context.invoke(
        consume,
        topic=topic,
        from_beginning=from_beginning,
        max_messages=max_messages,
        exit_at_end=timeout_ms is not None,
        group=group,
        template=template,
        bootstrap=bootstrap,
    )


@kafka_script.command("kafka-consumer-groups")
@click.option("--list", "action", flag_value="list")
@click.option("--describe", "action", flag_value="describe")
@click.option("--group", "names", metavar="GROUP", multiple=True)
@click.option("--all-groups", is_flag=True)
@script_options
@click.pass_context
def consumer_groups(
    context: click.Context,
    action: str | None,
    names: Sequence[str],
    all_groups: bool,
    bootstrap: str,
) -> None:
    """List and describe groups."""
    from pykbroker.commands import groups as ours

    if action == "list":
        context.invoke(ours.list_groups, bootstrap=bootstrap)
    elif action == "describe" and (names or all_groups):
        context.invoke(ours.describe, names=names, describes_all=all_groups, bootstrap=bootstrap)
    else:
        raise click.UsageError("give --list, or --describe and --group or --all-groups")
