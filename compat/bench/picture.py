"""A picture of a report: `python -m compat.bench.picture REPORT.json PICTURE.png`.

One bar for each figure that has a bar to reach: how many times better than Apache Kafka ours is,
on a logarithmic scale, so that twice as good and half as good are as long. The mark beside it is
the bar of the comparison.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compat.bench.figures import BARS, HIGHER, Figure, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES = 13.0
ROW_INCHES = 0.21
DOTS_AN_INCH = 110
BETTER, WORSE, MARK = "#2a78b5", "#d0762b", "#222222"


def advantage(ratio: float, better: str) -> float:
    """How many times better: 2 is twice as fast, or half the time."""
    return ratio if better == HIGHER else 1 / ratio


def drawn(report: Report) -> list[tuple[Figure, float, float]]:
    """The figures that have a bar, with what was reached and what was to be reached."""
    assert report.yardstick is not None
    found = []
    for name, bar in BARS.items():
        for figure in report.figures:
            ratio = figure.ratio(*report.yardstick)
            if figure.bar == name and ratio:
                found.append(
                    (figure, advantage(ratio, bar.better), advantage(bar.limit, bar.better))
                )
    return found


def draw(report: Report, path: Path) -> None:
    """Write the picture in the format that the path's suffix names."""
    from matplotlib.figure import Figure as Drawing

    rows = drawn(report)
    middle = (len(rows) + 1) // 2
    size = (WIDTH_INCHES, 1.2 + ROW_INCHES * middle)
    drawing = Drawing(figsize=size, layout="constrained")
    panels = drawing.subplots(1, 2, sharex=True)
    for axes, part in zip(panels, (rows[:middle], rows[middle:]), strict=True):
        _draw_panel(axes, part)
    kafka = next(broker for broker in report.brokers if broker.name == "kafka")
    drawing.suptitle(
        f"How many times better than Apache Kafka {kafka.version} pykbroker is "
        f"(| is the bar to reach; {report.date}, median of {report.runs} runs)",
        fontsize=10,
    )
    drawing.savefig(path, dpi=DOTS_AN_INCH)


def _draw_panel(axes: "Axes", rows: Sequence[tuple[Figure, float, float]]) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    places = range(len(rows))
    axes.barh(
        places,
        [math.log2(reached) for _, reached, _ in rows],
        color=[BETTER if reached >= wanted else WORSE for _, reached, wanted in rows],
        height=0.7,
    )
    wanted_at = [math.log2(wanted) for _, _, wanted in rows]
    axes.plot(wanted_at, places, "|", color=MARK, markersize=9)
    labels = [f"{figure.row}: {figure.name}" for figure, _, _ in rows]
    axes.set_yticks(places, labels, fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _times(value)))
    axes.tick_params(axis="x", labelsize=7)
    axes.axvline(0, color=MARK, linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)


def _times(power: float) -> str:
    return f"{2**power:g}x" if power >= 0 else f"1/{2**-power:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    draw(Report.read(options.report), options.picture)


if __name__ == "__main__":
    main()
