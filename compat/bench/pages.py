"""The parts of README.md and compat/bench/README.md that are made from measured figures.

    python -m compat.bench --json compat/bench/results.json && python -m compat.bench.pages

writes both anew, and the picture; the tests compare the pages with the figures.
"""

import re
from collections.abc import Iterator
from typing import Final

from compat.bench.figures import Figure, Report
from compat.bench.picture import draw
from compat.bench.table import bars_table, figures_table, head
from compat.targets import COMPAT_DIR

BENCH_DIR: Final = COMPAT_DIR / "bench"
RESULTS: Final = BENCH_DIR / "results.json"
PICTURE: Final = BENCH_DIR / "results.png"
MADE_BY: Final = "made by python -m compat.bench.pages"

# What README.md shows of all figures: (row, figure).
SHOWN: Final = (
    ("start", "to ready, s"),
    ("start", "RSS idle, MB"),
    ("loaded", "RSS loaded, MB"),
    ("sync produce 100 B, acks=1", "p50 us"),
    ("sync produce 100 B, acks=1", "p99 us"),
    ("sync produce 100 B, acks=all", "p50 us"),
    ("sync produce 100 B, acks=all", "p99 us"),
    ("sync produce 100 B, acks=all, both fsynced", "p50 us"),
    ("sync produce 100 B, acks=all, both fsynced", "p99 us"),
    ("end to end 100 B, acks=1", "p50 us"),
    ("end to end 100 B, acks=1", "p99 us"),
    ("produce 100 B in batches of 1 KB, acks=1", "requests/s"),
    ("produce 100 B in batches of 16 KB, acks=1", "MB/s"),
    ("produce 100 B in batches of 16 KB, acks=1", "broker CPU s/GB"),
    ("produce 100 B in batches of 1 MB, acks=1", "MB/s"),
    ("fetch 16 KB, hot", "MB/s"),
    ("fetch 1 MB, hot", "MB/s"),
    ("fetch 1 MB, hot", "broker CPU s/GB"),
    ("fetch 1 MB, cold", "MB/s"),
    ("rebalance of a classic group of 10", "p50 ms"),
    ("librdkafka: produce 100 B, acks=1", "records/s"),
    ("kcat, librdkafka: consume 100 B", "records/s"),
    ("Java perf tools: produce 100 B, acks=1", "records/s"),
    ("kafka-python: produce 100 B, acks=1", "records/s"),
)


def short_section(report: Report) -> Iterator[str]:
    """For README.md: the bars, and some of the figures."""
    yield from head(report)
    yield ""
    yield f"![How pykbroker stands to Apache Kafka]({PICTURE.relative_to(COMPAT_DIR.parent)})"
    yield ""
    yield from figures_table(report, list(_shown(report)))
    yield ""
    yield from bars_table(report)


def full_section(report: Report) -> Iterator[str]:
    """For compat/bench/README.md: every figure."""
    yield from head(report)
    yield ""
    yield from figures_table(report)


def _shown(report: Report) -> Iterator[Figure]:
    found = {(figure.row, figure.name): figure for figure in report.figures}
    for key in SHOWN:
        if key in found:
            yield found[key]


SECTIONS: Final = {
    COMPAT_DIR.parent / "README.md": short_section,
    BENCH_DIR / "README.md": full_section,
}


def with_section(text: str, section: str) -> str:
    """A page with its generated part replaced.

    Raises:
        ValueError: It has no such part.
    """
    pattern = re.compile(rf"(<!-- bench: {MADE_BY} -->\n).*?(\n<!-- end -->)", re.S)
    if pattern.search(text) is None:
        raise ValueError(f"no section '<!-- bench: {MADE_BY} -->'")
    return pattern.sub(lambda found: found[1] + section + found[2], text)


def main() -> None:
    report = Report.read(RESULTS)
    draw(report, PICTURE)
    for page, section in SECTIONS.items():
        page.write_text(with_section(page.read_text(), "\n".join(section(report))))


if __name__ == "__main__":
    main()
