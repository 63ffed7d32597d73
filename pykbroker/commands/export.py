"""`pykbroker export`: a topic with its settings and records, as `serve --seed` reads them.

What transactions have not committed is left out, and the offsets are not kept.
"""

from typing import BinaryIO

import click

from pykbroker.client import leaders_of
from pykbroker.commands.options import bootstrap_option, connected
from pykbroker.commands.topics import own_settings
from pykbroker.protocol.records import Record
from pykbroker.seeding.lines import SeedTopic, record_line, topic_line
from pykbroker.testing.records import Reader


@click.command()
@click.argument("topics", metavar="TOPIC...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.File("wb"), default="-", help="The file.  [default: the output]"
)
@bootstrap_option
def export(topics: tuple[str, ...], output: BinaryIO, bootstrap: str) -> None:
    """Write topics as JSON Lines, which `pykbroker serve --seed` reads."""
    with connected(bootstrap) as client:
        for name in topics:
            found = client.topic(name)
            partitions = sorted(leaders_of(found))
            settings = own_settings(client, name)
            configs = {key: value for key, value in settings.items() if value is not None}
            output.write(topic_line(SeedTopic(name, len(partitions), configs)))
            for each in Reader(client, found, partitions, is_committed=True).read():
                record = Record(each.offset, each.timestamp, each.key, each.value, each.headers)
                output.write(record_line(name, each.partition, record))
