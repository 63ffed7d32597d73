"""What the client commands share: `--bootstrap`, KEY=VALUE, and failures as one line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pykbroker.protocol.errors import KafkaError

if TYPE_CHECKING:
    from pykbroker.client import Client

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_BOOTSTRAP: Final = "127.0.0.1:9092"
BATCH_TIMEOUT_MS: Final = 30_000


def bootstrap_option(command: F) -> F:
    """Add `--bootstrap HOST:PORT`."""
    option = click.option(
        "-b",
        "--bootstrap",
        metavar="HOST:PORT",
        default=DEFAULT_BOOTSTRAP,
        show_default=True,
        envvar="PYKBROKER_BOOTSTRAP",
        help="A broker of the cluster.",
    )
    return option(command)


@contextmanager
def connected(bootstrap: str) -> "Iterator[Client]":
    """Give a client; what goes wrong with it becomes one line and exit code 1."""
    # Not at the top: `serve` shares this module, and its start should not pay for the client.
    from pykbroker.client import Client, ClientError

    try:
        with Client(bootstrap) as client:
            yield client
    except KafkaError as error:
        raise click.ClickException(f"{error.code.name}: {error.message}") from error
    except (ClientError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def parse_pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read KEY=VALUE texts. Raises UsageError for a text without `=` or key."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"{option} {text}: expected KEY=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs


def print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in aligned columns below their titles."""
    cells = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
