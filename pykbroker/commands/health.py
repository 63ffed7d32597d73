"""`pykbroker health`: does a broker answer? Exit code 0 if so; for health checks."""

import os
import time
from collections.abc import Sequence
from typing import Final

import click

from pykbroker.client import ClientError, Connection
from pykbroker.commands.container import container_settings
from pykbroker.commands.options import bootstrap_option
from pykbroker.config.keys import ConfigError
from pykbroker.config.listeners import Listener, parse_address
from pykbroker.protocol.errors import KafkaError

LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound


@click.command()
@bootstrap_option
@click.option(
    "--container",
    "in_container",
    is_flag=True,
    help="Check each listener that this container's KAFKA_ variables name.",
)
@click.option(
    "--timeout", default=3.0, show_default=True, metavar="SECONDS", help="How long to wait."
)
def health(bootstrap: str, in_container: bool, timeout: float) -> None:
    """Check that a broker answers ApiVersions; exit code 0 if it does, 1 if not."""
    try:
        addresses = _addresses_here() if in_container else [parse_address(bootstrap)]
    except (ConfigError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not addresses:
        click.echo("healthy: a controller is not needed, and does nothing here")
    for host, port in addresses:
        started = time.monotonic()
        try:
            # Both sides compare their versions before anything else.
            Connection(host, port, timeout).close()
        except ClientError as error:
            raise click.ClickException(str(error)) from error
        except KafkaError as error:
            raise click.ClickException(f"{error.code.name}: {error.message}") from error
        elapsed_ms = (time.monotonic() - started) * 1000
        click.echo(f"healthy: {host}:{port} answered ApiVersions in {elapsed_ms:.0f} ms")


def _addresses_here() -> list[tuple[str, int]]:
    asked = container_settings(os.environ)
    if asked.is_controller:
        return []
    # Not at the top: a check of another machine's broker needs none of the settings.
    from pykbroker.config.broker import BrokerConfig

    return reachable(BrokerConfig.from_settings(asked.settings).listeners)


def reachable(listeners: Sequence[Listener]) -> list[tuple[str, int]]:
    """Return where each listener is reached from the machine that it is on."""
    return [(LOOPBACK.get(listener.host, listener.host), listener.port) for listener in listeners]
