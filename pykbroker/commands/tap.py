"""`pykbroker tap`: what clients and brokers say to each other, an exchange a line, as JSON.

With `--upstream` clients connect to the tap in place of the cluster; the addresses that the cluster
tells are replaced by those of the tap. With `--control` a broker of ours tells it itself. Where it
listens is printed to standard error.
"""

import asyncio
import json
import sys
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlencode

import click

from pykbroker.config.listeners import parse_address
from pykbroker.control.as_json import match_as_json
from pykbroker.control.client import ControlClient, ControlError
from pykbroker.faults.matching import Match
from pykbroker.faults.rules import RuleError, apis_named
from pykbroker.tap.proxy import Address, Proxy

LISTEN = "127.0.0.1:0"


@click.command()
@click.option("--upstream", metavar="HOST:PORT", help="A broker of any Kafka, to stand before.")
@click.option(
    "--control", metavar="HOST:PORT", help="Or the address of `pykbroker serve --control`."
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help=f"Where clients connect; port 0 takes a free one.  [default: {LISTEN}]",
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
    upstream: str | None,
    control: str | None,
    listen: str | None,
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
    if (upstream is None) == (control is None):
        raise click.UsageError("either --upstream or --control says what to listen to")
    if control is not None and listen is not None:
        raise click.UsageError("--listen is for --upstream: with --control nobody connects here")
    if control is not None:
        run = partial(_follow, _address(control, "--control"), match, last)
    else:
        address = _address(listen or LISTEN, "--listen")
        proxy = Proxy(_address(upstream or "", "--upstream"), match, _print, last)
        run = partial(_stand_before, proxy, address)
    with suppress(KeyboardInterrupt):
        run()


def _stand_before(proxy: Proxy, address: Address) -> None:
    try:
        asyncio.run(_run(proxy, address))
    except OSError as error:
        host, port = address
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _follow(address: Address, match: Match, last: int | None) -> None:
    """Print what a broker tells, until it stops."""
    kept: defaultdict[str, deque[str]] = defaultdict(partial(deque, maxlen=last))
    query = urlencode(match_as_json(match), doseq=True)
    try:
        with ControlClient(address).lines(f"/exchanges?{query}") as lines:
            click.echo(f"listening to {address[0]}:{address[1]}", err=True)
            for line in map(bytes.decode, lines):
                if last is None:
                    _write(line)
                else:
                    kept[json.loads(line).get("connection", "")].append(line)
    except ControlError as error:
        raise click.ClickException(str(error)) from error
    finally:
        for of_connection in kept.values():
            for line in of_connection:
                _write(line)


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
    _write(json.dumps(told, ensure_ascii=True) + "\n")


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
