"""`pykbroker container`: the broker as a container image starts it, set by `KAFKA_...` variables.

It stands in for the scripts of Apache Kafka's own image; `config/environment.py` has the rules.
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pykbroker.commands.logging_setup import FORMATS, configure_logging
from pykbroker.commands.options import parse_pairs
from pykbroker.config.environment import MOUNTED_FILE, ContainerSettings, read_environment
from pykbroker.config.keys import ConfigError

if TYPE_CHECKING:
    from pykbroker.config.broker import BrokerConfig

log = logging.getLogger(__name__)

EXIT_CONFIG: Final = 3
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.argument("variables", metavar="[NAME=VALUE]...", nargs=-1)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    envvar="PYKBROKER_LOG_FORMAT",
)
def container(variables: tuple[str, ...], log_format: str) -> None:
    """Run the broker as a container does: settings from KAFKA_ variables.

    NAME=VALUE sets a variable. Exit codes are those of 'pykbroker serve'.
    """
    environment = {**os.environ, **parse_pairs(variables, "variable")}
    try:
        asked = container_settings(environment)
    except ConfigError as error:
        click.echo(f"pykbroker: {error}", err=True)
        sys.exit(EXIT_CONFIG)
    configure_logging(asked.log_level, log_format)
    for name, reason in asked.ignored:
        log.warning("setting ignored name=%s reason=%s", name, reason)
    if asked.is_controller:
        sys.exit(_wait_for_stop())
    # Not at the top: a health check, which shares this module, needs no broker.
    from pykbroker.commands.serve import run_broker

    sys.exit(run_broker(asked.settings, on_ready=_announce))


def container_settings(environment: Mapping[str, str]) -> ContainerSettings:
    """Read the settings of a container, with the properties file that was mounted into it.

    Raises:
        ConfigError: The file cannot be read, or it or a variable is no properties text.
    """
    path = Path(MOUNTED_FILE)
    try:
        mounted = path.read_text() if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot read {path}: {reason}") from error
    return read_environment(environment, mounted)


def _wait_for_stop() -> int:
    """Stay, as a controller would: other containers of a compose file may depend on this one."""
    # Before the line that tells of it, after which a signal may come.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    log.warning("no broker here process.roles=controller reason=brokers need no controllers here")
    received = signal.sigwait(STOP_SIGNALS)
    log.info("stopped signal=%s", signal.Signals(received).name)
    return 0


def _announce(config: "BrokerConfig") -> None:
    """Say that it is ready in the words for which programs search the logs of a container.

    They are testcontainers' for Confluent's image with and without ZooKeeper, and for Apache's.
    """
    click.echo(
        f"ready: [KafkaServer id={config.node_id}] started, Kafka Server started, "
        "Transitioning from RECOVERY to RUNNING"
    )
    sys.stdout.flush()
