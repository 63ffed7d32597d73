"""Measured figures, their spread, and the bars that pykbroker is to reach beside Apache Kafka.

A ratio is pykbroker's median divided by the other broker's. Whether a bar is met is decided on
the exact ratio; for people it is rounded so that it looks worse, never better.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

HIGHER, LOWER = "higher", "lower"
RATIO_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio to reach: at least the limit where higher is better, at most where lower is."""

    measure: str
    limit: float
    better: str

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.better == HIGHER else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.better == HIGHER else '<='} {self.limit:g}"


BARS: Final[Mapping[str, Bar]] = {
    "start": Bar("start to ready", 0.1, LOWER),
    "idle": Bar("RSS idle", 0.25, LOWER),
    "loaded": Bar("RSS loaded", 0.25, LOWER),
    "produce": Bar("throughput of produce", 1.0, HIGHER),
    "fetch": Bar("throughput of fetch", 1.0, HIGHER),
    "requests": Bar("requests/s at batches of 1 KB", 1.0, HIGHER),
    "fifty": Bar("50 partitions in a request", 1.0, HIGHER),
    "produce CPU": Bar("broker CPU per GB, produce", 0.5, LOWER),
    "fetch CPU": Bar("broker CPU per GB, fetch", 0.5, LOWER),
    "sync p50": Bar("sync produce acks=1, p50", 0.5, LOWER),
    "sync p99": Bar("sync produce acks=1, p99", 0.5, LOWER),
    "end to end p50": Bar("end to end, p50", 0.5, LOWER),
    "end to end p99": Bar("end to end, p99", 0.5, LOWER),
    "small p50": Bar("a small request, p50", 0.5, LOWER),
    "rebalance": Bar("a group's rebalance, p50", 1.0, LOWER),
    "transactions": Bar("transactions/s, ours fsynced, Kafka's not", 1.0, HIGHER),
    "all p50": Bar("sync produce acks=all, ours fsynced, Kafka's not: p50", 1.0, LOWER),
    "all p99": Bar("sync produce acks=all, ours fsynced, Kafka's not: p99", 0.5, LOWER),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """The lowest, the median and the highest of some runs."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(min(values), statistics.median(values), max(values))


@dataclass(slots=True)
class Figure:
    """One line of the table: what each broker has reached in each run."""

    row: str
    name: str
    better: str
    bar: str | None = None
    values: dict[str, list[float]] = field(default_factory=dict)

    def spread(self, broker: str) -> Spread | None:
        values = self.values.get(broker)
        return Spread.of(values) if values else None

    def ratio(self, broker: str, other: str) -> float | None:
        """The first one's median by the other one's; None if one of them has none, or it is 0."""
        ours, theirs = self.spread(broker), self.spread(other)
        if ours is None or theirs is None or theirs.median == 0:
            return None
        return ours.median / theirs.median

    def is_met(self, broker: str, other: str) -> bool | None:
        """Whether its bar is reached; None where there is no bar or no ratio."""
        ratio = self.ratio(broker, other)
        if self.bar is None or ratio is None:
            return None
        return BARS[self.bar].is_met(ratio)


@dataclass(frozen=True, slots=True)
class Broker:
    """Who was measured."""

    name: str
    version: str
    durability: str


@dataclass(slots=True)
class Report:
    """All that one run of the benchmark has found."""

    command: str
    date: str
    machine: str
    runs: int
    brokers: list[Broker]
    figures: list[Figure] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Rows that could not be measured."""

    @property
    def yardstick(self) -> tuple[str, str] | None:
        """The broker in question and the one it is compared with: Kafka, else the second."""
        names = [broker.name for broker in self.brokers]
        others = [name for name in names[1:] if name == "kafka"] or names[1:]
        return (names[0], others[0]) if others else None

    @property
    def has_bars(self) -> bool:
        """Whether it is Kafka that ours is compared with, for whom the bars were set."""
        return self.yardstick is not None and self.yardstick[1] == "kafka"

    def figure(self, row: str, name: str, better: str, bar: str | None) -> Figure:
        """The figure of this row and name, a new one if there is none yet."""
        for figure in self.figures:
            if (figure.row, figure.name) == (row, name):
                return figure
        self.figures.append(Figure(row, name, better, bar))
        return self.figures[-1]

    def write(self, path: Path) -> None:
        """As JSON, with ratios and verdicts for those who do not read it by `read`."""
        data = asdict(self)
        for figure, entry in zip(self.figures, data["figures"], strict=True):
            if self.yardstick is not None:
                entry["ratio"] = figure.ratio(*self.yardstick)
            if figure.bar is not None and self.has_bars and self.yardstick is not None:
                entry["limit"] = BARS[figure.bar].limit
                entry["met"] = figure.is_met(*self.yardstick)
        path.write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` has written."""
        data = json.loads(path.read_text())
        data["brokers"] = [Broker(**broker) for broker in data["brokers"]]
        names = ("row", "name", "better", "bar", "values")
        data["figures"] = [
            Figure(**{name: entry[name] for name in names}) for entry in data["figures"]
        ]
        return cls(**data)


def ratio_text(ratio: float, better: str) -> str:
    """With two digits behind the point, rounded against the one who would like it."""
    scale = 10**RATIO_DIGITS
    # What is exact but for the last bits of a float stays as it is.
    scaled = round(ratio * scale, 9)
    rounded = math.floor(scaled) if better == HIGHER else math.ceil(scaled)
    return f"{rounded / scale:.{RATIO_DIGITS}f}"


def number_text(value: float) -> str:
    """Three digits that count, or all those before the point."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}"
