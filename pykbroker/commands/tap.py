"""`pykbroker tap`: what clients and brokers say to each other, an exchange a line, as JSON.

Clients connect to the tap in place of the cluster; the addresses that the cluster tells are
replaced by those of the tap. It prints where it listens to standard error.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from pykbroker.config.listeners import parse_address
from pykbroker.faults.matching import Match
from pykbroker.faults.rules import RuleError, apis_named
from pykbroker.tap.proxy import Address, Proxy


@click.command()
@click.option("--upstream", metavar="HOST:PORT", required=True, help="A broker of any Kafka.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where clients connect; port 0 takes a free one.",
)
@click.option("--api", "apis", metavar="NAME", multiple=True, help="Only this API; many times.")
@click.option("--client-id", metavar="PATTERN", help="Only this client; with wildcards, as below.")
@click.option("--topic", metavar="PATTERN", help="Only what is about this topic.")
@click.option("--partition", type=click.IntRange(min=0), help="Only what is about this partition.")
@click.option("--group", metavar="PATTERN", help="Only what is about this group.")
@click.option("--transactional-id", metavar="PATTERN", help="Only what is about this id.")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    help="Only the last so many of each connection, when it ends.  [default: all, as they come]",
)
def tap(
    upstream: str,
    listen: str,
    apis: Sequence[str],
    client_id: str | None,
    topic: str | None,
    partition: int | None,
    group: str | None,
    transactional_id: str | None,
    last: int | None,
) -> None:
    """Print requests and responses between clients and any Kafka, until Ctrl-C."""
    try:
        chosen = apis_named(apis or None)
    except RuleError as error:
        raise click.UsageError(f"--api: {error}") from error
    match = Match(chosen, client_id, topic, partition, group, transactional_id)
    proxy = Proxy(_address(upstream, "--upstream"), match, _print, last)
    try:
        asyncio.run(_run(proxy, _address(listen, "--listen")))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise click.ClickException(f"cannot listen on {listen}: {error.strerror}") from error


async def _run(proxy: Proxy, address: Address) -> None:
    host, port = await proxy.start(*address)
    click.echo(f"listening on {host}:{port}", err=True)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await proxy.stop()


def _address(text: str, option: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def _print(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=True) + "\n")
    sys.stdout.flush()
