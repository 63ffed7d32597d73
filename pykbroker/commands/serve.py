"""`pykbroker serve`: settings -> broker -> listeners; banner, logs and exit codes.

Settings count in this order, the later ones more: defaults, `--config FILE` (a Kafka
server.properties), `--set KEY=VALUE`, `--data-dir` and `--listen`.
"""

import logging
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pykbroker import __version__
from pykbroker.commands.logging_setup import FORMATS, LEVELS, configure_logging
from pykbroker.commands.options import parse_pairs
from pykbroker.config.broker import BrokerConfig
from pykbroker.config.keys import ConfigError
from pykbroker.config.listeners import parse_address
from pykbroker.config.properties import PropertiesError, parse_properties
from pykbroker.metadata.store import MetadataStoreError
from pykbroker.protocol.compiled import RECORDS_CHECKED_BY
from pykbroker.server import ListenError, Server, run
from pykbroker.storage.data_directory import DataDirectoryError, DataDirectoryInUseError
from pykbroker.storage.file_layer import raise_descriptor_limit

if TYPE_CHECKING:
    from pykbroker.control.server import ControlledServer

log = logging.getLogger(__name__)

EXIT_CONFIG: Final = 3
EXIT_LISTEN: Final = 4
EXIT_DATA_IN_USE: Final = 5
EXIT_DATA: Final = 6
EXIT_INCOMPLETE: Final = 7

EPILOG = f"""\b
Exit codes:
  0  stopped by SIGTERM or SIGINT, all data on disk
  1  a failure of the broker itself, with a traceback
  2  the command line cannot be understood
  {EXIT_CONFIG}  a setting is unknown, malformed, or contradicts another one
  {EXIT_LISTEN}  an address is taken, or not one of this machine
  {EXIT_DATA_IN_USE}  the data directory is in use by another process
  {EXIT_DATA}  the data directory cannot be used: not writable, damaged, another cluster's
  {EXIT_INCOMPLETE}  stopped, but a disk refused: what acks=all did not confirm may be lost
"""


@click.command(epilog=EPILOG)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings in the form of Kafka's server.properties.",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    help="Where the data is kept (log.dirs).  [default: ./pykbroker-data]",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where clients connect (listeners); port 0 takes a free one.  [default: 127.0.0.1:9092]",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A broker setting by Kafka's name; may be given many times.",
)
@click.option(
    "--ephemeral",
    is_flag=True,
    help="Keep the data in a temporary directory that is removed at exit, without fsync.",
)
@click.option(
    "--seed",
    "seed_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Topics and records to start with, as JSON Lines or YAML; topics that exist stay.",
)
@click.option(
    "--control",
    metavar="HOST:PORT",
    help="Let programs of this machine do faults and time over HTTP, for tests.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True)
def serve(
    config_file: Path | None,
    data_dir: str | None,
    listen: str | None,
    settings: tuple[str, ...],
    ephemeral: bool,
    seed_files: tuple[Path, ...],
    control: str | None,
    log_level: str,
    log_format: str,
) -> None:
    """Run the broker until SIGTERM or SIGINT; a second signal ends it at once."""
    if ephemeral and data_dir is not None:
        raise click.UsageError("--ephemeral keeps no data: leave out --data-dir")
    configure_logging(log_level, log_format)
    with _data_home(ephemeral) as temporary:
        chosen = parse_pairs(settings, "--set")
        if listen is not None:
            chosen["listeners"] = _listener(listen)
        if temporary is not None:
            chosen["log.dirs"] = str(temporary)
            chosen.setdefault("pykbroker.fsync", "never")
        elif data_dir is not None:
            chosen["log.dirs"] = data_dir
        try:
            every = {**_read_file(config_file), **chosen}
        except ConfigError as error:
            status = _fail(str(error), EXIT_CONFIG)
        else:
            address = _control_address(control)
            status = run_broker(every, ephemeral=ephemeral, seed_files=seed_files, control=address)
    sys.exit(status)


@contextmanager
def _data_home(ephemeral: bool) -> Iterator[Path | None]:
    if not ephemeral:
        yield None
        return
    directory = Path(tempfile.mkdtemp(prefix="pykbroker-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run_broker(
    settings: Mapping[str, str],
    *,
    ephemeral: bool = False,
    seed_files: Sequence[Path] = (),
    control: tuple[str, int] | None = None,
    on_ready: Callable[[BrokerConfig], None] | None = None,
) -> int:
    """Run a broker with these settings until SIGTERM or SIGINT, and give the exit code.

    Args:
        settings: By Kafka's names.
        ephemeral: Whether the banner is to say that the data is removed at exit.
        seed_files: Topics and records to start with.
        control: Where the control interface listens; None for none.
        on_ready: Called after the banner, when connections are accepted.
    """
    try:
        config = BrokerConfig.from_settings(settings)
        prepare = _sowing(seed_files)
    except ConfigError as error:
        return _fail(str(error), EXIT_CONFIG)
    if config.settings_without_effect:
        log.warning(
            "settings without effect yet names=%s", ",".join(config.settings_without_effect)
        )
    log.info("records checked_by=%s", RECORDS_CHECKED_BY)
    raise_descriptor_limit()
    try:
        controlled = None if control is None else _controlled_server(config, *control)
        server = controlled or Server(config)

        def announce(server: Server) -> None:
            _announce(server, controlled, config, ephemeral)
            if on_ready is not None:
                on_ready(config)

        run(server, announce, prepare)
    except ConfigError as error:
        return _fail(str(error), EXIT_CONFIG)
    except ListenError as error:
        return _fail(str(error), EXIT_LISTEN)
    except DataDirectoryInUseError as error:
        advice = "stop it, or choose another directory with --data-dir"
        return _fail(f"{error}; {advice}", EXIT_DATA_IN_USE)
    except (DataDirectoryError, MetadataStoreError) as error:
        return _fail(f"{error}; make it usable, or choose another with --data-dir", EXIT_DATA)
    if server.broker.logs.is_stop_incomplete:
        return _fail("a disk refused; the next start checks what is there", EXIT_INCOMPLETE)
    return 0


def _read_file(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return parse_properties(path.read_text())
    except (OSError, PropertiesError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot read --config {path}: {reason}") from error


def _sowing(files: Sequence[Path]) -> Callable[[Server], Awaitable[None]] | None:
    """Read seeds, and return what gives them to a server.

    Raises:
        ConfigError: A file cannot be read; also when it is given to the server, and does not fit.
    """
    if not files:
        return None
    from pykbroker.seeding.files import read_seed  # takes a while
    from pykbroker.seeding.lines import SeedError
    from pykbroker.seeding.sowing import sow

    seeds = {}
    for path in files:
        try:
            seeds[path] = read_seed(path)
        except SeedError as error:
            raise ConfigError(f"cannot read --seed {path}: {error}") from error

    async def prepare(server: Server) -> None:
        for path, seed in seeds.items():
            try:
                await sow(server.broker, seed)
            except SeedError as error:
                raise ConfigError(f"--seed {path}: {error}") from error

    return prepare


def _control_address(address: str | None) -> tuple[str, int] | None:
    try:
        return None if address is None else parse_address(address)
    except ValueError as error:
        raise click.UsageError(f"--control: {error}") from error


def _controlled_server(config: BrokerConfig, host: str, port: int) -> "ControlledServer":
    try:
        from pykbroker.control.server import ControlledServer

        return ControlledServer(config, host, port)
    except ImportError as error:
        raise click.UsageError(
            f"--control needs a library ({error}): pip install 'pykbroker[control]'"
        ) from error


def _listener(address: str) -> str:
    try:
        host, port = parse_address(address)
    except ValueError as error:
        raise click.UsageError(f"--listen: {error}") from error
    return f"PLAINTEXT://[{host}]:{port}" if ":" in host else f"PLAINTEXT://{host}:{port}"


def _announce(
    server: Server, controlled: "ControlledServer | None", config: BrokerConfig, ephemeral: bool
) -> None:
    """Print the banner, then one line for each listener that programs may wait for."""
    where = ", ".join(str(Path(directory).resolve()) for directory in config.log_dirs)
    kept = " (temporary: removed at exit)" if ephemeral else ""
    durability = "acks=all is answered after an fsync"
    if config.pykbroker_fsync == "never":
        durability = "no fsync: a crash of the machine may lose confirmed records"
    click.echo(f"pykbroker {__version__}")
    click.echo(f"data directory: {where}{kept}")
    click.echo(f"durability: {durability}")
    click.echo(f"connect: kcat -b {server.endpoints[0]} -L")
    if controlled is not None:
        click.echo(f"control: http://{controlled.control} (described by /openapi.json)")
    for endpoint in server.endpoints:
        click.echo(f"listening on {endpoint}")
    sys.stdout.flush()


def _fail(message: str, status: int) -> int:
    click.echo(f"pykbroker: {message}", err=True)
    return status
