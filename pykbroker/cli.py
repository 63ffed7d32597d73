"""The command line: one module of `commands/` for each command, imported when it is called.

Exit codes of all commands: 0 done, 1 failed, 2 a command line that cannot be understood; `serve`
has more of them (`commands/serve.py`).
"""

from importlib import import_module
from typing import Final

import click

from pykbroker import __version__

# Name -> module and object, and the line in the list of commands.
COMMANDS: Final = {
    "serve": ("pykbroker.commands.serve", "Run the broker."),
    "container": ("pykbroker.commands.container", "Run the broker as a container does."),
    "health": ("pykbroker.commands.health", "Check that a broker answers."),
    "topics": ("pykbroker.commands.topics", "List, create, describe, alter and delete topics."),
    "produce": ("pykbroker.commands.produce", "Write lines from standard input to a topic."),
    "consume": ("pykbroker.commands.consume", "Print the records of a topic."),
    "export": ("pykbroker.commands.export", "Write topics to a file that serve --seed reads."),
    "groups": ("pykbroker.commands.groups", "List, describe, reset and delete groups."),
    "tap": ("pykbroker.commands.tap", "Print what clients and any Kafka say to each other."),
    "log": ("pykbroker.commands.log", "Print and check the files of logs."),
    "kafka-script": (
        "pykbroker.commands.kafka_script",
        "Do what Kafka's scripts do, by their options.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is needed: `serve` starts faster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pykbroker", message="%(prog)s %(version)s")
def main() -> None:
    """A broker that speaks Apache Kafka's wire protocol, and small tools to talk to one."""
