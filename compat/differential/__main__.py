"""Prints how many cases there are for each API; `--write` makes the README's tables anew."""

import sys

from compat.differential.readme import README, counts_table, written


def main() -> None:
    print(counts_table())
    if "--write" in sys.argv[1:]:
        README.write_text(written(README.read_text()))


main()
