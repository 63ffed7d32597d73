"""The report as Markdown: all figures, and how each bar of the comparison stands."""

from collections.abc import Iterator, Sequence

from compat.bench.figures import BARS, Figure, Report, number_text, ratio_text

NAMES = {"kafka": "Apache Kafka"}


def head(report: Report) -> Iterator[str]:
    """What was measured, where, and what each broker promises for its answers."""
    yield f"`{report.command}`, {report.date}. {report.machine}."
    yield f"Median of {report.runs} runs (lowest-highest); the runs alternate between the brokers."
    yield ""
    for broker in report.brokers:
        name = NAMES.get(broker.name, broker.name)
        yield f"- {name} {broker.version}".rstrip() + f": {broker.durability}"


def figures_table(report: Report, figures: Sequence[Figure] | None = None) -> Iterator[str]:
    """One line for each figure, a column for each broker, the ratio and its bar."""
    brokers = [broker.name for broker in report.brokers]
    columns = ["", "", *(NAMES.get(name, name) for name in brokers)]
    if report.yardstick is not None:
        columns.append("ratio")
    if report.has_bars:
        columns += ["bar", "met"]
    yield _line(columns)
    yield "| --- " * len(columns) + "|"
    previous = ""
    for figure in report.figures if figures is None else figures:
        cells = ["" if figure.row == previous else figure.row, figure.name]
        previous = figure.row
        cells += [_spread_text(figure, name) for name in brokers]
        if report.yardstick is not None:
            ratio = figure.ratio(*report.yardstick)
            cells.append("" if ratio is None else ratio_text(ratio, figure.better))
        if report.has_bars and report.yardstick is not None:
            met = figure.is_met(*report.yardstick)
            cells.append(str(BARS[figure.bar]) if figure.bar is not None else "")
            cells.append({True: "yes", False: "NO", None: ""}[met])
        yield _line(cells)


def bars_table(report: Report) -> Iterator[str]:
    """One line for each bar: the worst ratio of its figures, and how many of them meet it."""
    assert report.yardstick is not None
    yield _line(["measure", "bar", "worst ratio", "met"])
    yield "| --- " * 4 + "|"
    for name, bar in BARS.items():
        figures = [figure for figure in report.figures if figure.bar == name]
        ratios = [
            ratio for figure in figures if (ratio := figure.ratio(*report.yardstick)) is not None
        ]
        if not ratios:
            yield _line([bar.measure, str(bar), "not measured", ""])
            continue
        worst = min(ratios) if bar.better == "higher" else max(ratios)
        met = sum(bar.is_met(ratio) for ratio in ratios)
        verdict = f"{met} of {len(ratios)}" if len(ratios) > 1 else "yes" if met else "NO"
        yield _line([bar.measure, str(bar), ratio_text(worst, bar.better), verdict])


def _spread_text(figure: Figure, broker: str) -> str:
    spread = figure.spread(broker)
    if spread is None:
        return "-"
    low, high = number_text(spread.low), number_text(spread.high)
    return f"{number_text(spread.median)} ({low}-{high})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
