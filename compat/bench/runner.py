"""Measures rows on brokers, one run of each in turn, so that a noisy minute hits them all."""

import shutil
from collections.abc import Callable, Mapping, Sequence

from compat.bench.contestants import Contestant, started_once
from compat.bench.figures import Report
from compat.bench.machine import LoadProcess, create_topic, delete_topic, rss_mb
from compat.bench.rows import Plan, Row

FILL_BATCH_BYTES = 16 * 1024
WARM_UP_TOPIC = "warm-up"
STEADY_ROUNDS = 4
STEADY_SHARE = 0.95


class Runner:
    """Puts the loads on the brokers and gathers what comes out in a report."""

    def __init__(
        self,
        plan: Plan,
        contestants: Sequence[Contestant],
        report: Report,
        load: LoadProcess,
        say: Callable[[str], object],
    ) -> None:
        self._plan = plan
        self._contestants = contestants
        self._report = report
        self._load = load
        self._say = say

    def warm_up(self) -> None:
        """Load that does not count, on each broker until it needs no less processor for it.

        That takes a JVM tens of seconds, in which it compiles; ours is ready at once.
        """
        for contestant in self._contestants:
            with contestant.awake():
                create_topic(contestant.address, WARM_UP_TOPIC)
                costs: list[float] = []
                while not is_steady(costs) and len(costs) < self._plan.warm_up_rounds:
                    costs.append(self._warm_up_round(contestant))
                self._delete(contestant, WARM_UP_TOPIC)
            shown = ", ".join(f"{cost:.0f}" for cost in costs)
            self._say(f"warm-up | {contestant.name} | broker CPU us a request by round: {shown}")

    def _warm_up_round(self, contestant: Contestant) -> float:
        """Some of each kind of load; gives microseconds of processor for each small request."""
        sizes = {"topic": WARM_UP_TOPIC, "record_bytes": 100}
        produce = {**sizes, "acks": 1, "warm_up_s": 0.0, "seconds": 1.0}
        found = self._run(contestant, "produce", {**produce, "batch_bytes": 1100})
        self._run(contestant, "produce", {**produce, "batch_bytes": 16 * 1024, "seconds": 0.5})
        self._run(contestant, "sync_produce", {**sizes, "acks": 1, "seconds": 0.5})
        self._run(contestant, "sync_produce", {**sizes, "acks": -1, "seconds": 0.3})
        self._run(contestant, "end_to_end", {**sizes, "seconds": 0.5})
        return found["broker_cpu_s"] / found["requests"] * 1e6

    def measure(self, row: Row) -> None:
        """One row on every broker, in every run."""
        if row.program is not None and shutil.which(row.program) is None:
            self._say(f"{row.name}: left out, no {row.program} on this machine")
            return
        if row.load == "start":
            self._measure_starts(row)
            return
        topic = row.topic
        able = [c for c in self._contestants if not (row.is_cold and c.directory_of(topic) is None)]
        for contestant in able:
            with contestant.awake():
                self.prepare(contestant, row, topic)
        for number in range(self._plan.runs):
            # Who begins changes from run to run.
            for contestant in able[number % len(able) :] + able[: number % len(able)]:
                with contestant.awake():
                    self._add(row, contestant, self.run_once(contestant, row, topic))
        for contestant in able:
            if row.partitions:
                with contestant.awake():
                    self._delete(contestant, topic)

    def _measure_starts(self, row: Row) -> None:
        for _ in range(self._plan.runs):
            for contestant in self._contestants:
                if contestant.spec.kind != "other":
                    self._add(row, contestant, started_once(contestant))

    def run_once(self, contestant: Contestant, row: Row, topic: str) -> dict[str, float]:
        """One run of a row that was prepared."""
        found = self._run(contestant, row.load, self._settings(contestant, row, topic))
        return {**found, "rss_mb": rss_mb(contestant.pid)}

    def prepare(self, contestant: Contestant, row: Row, topic: str) -> None:
        """Make the row's topic, and what is to be fetched, and put its load on once."""
        configs = {}
        if row.both_fsync and not contestant.spec.fsyncs_acks_all:
            configs["flush.messages"] = "1"
        if row.partitions:
            create_topic(contestant.address, topic, row.partitions, **configs)
        if row.is_filled:
            total = self._plan.fill_bytes
            record_bytes = int(str(row.settings["record_bytes"]))
            if "records" in row.settings:
                # Enough for the consumers: the batches hold a little besides the values.
                records = int(str(row.settings["records"]))
                total = int(records * record_bytes * 1.2) + FILL_BATCH_BYTES
            sizes = {"record_bytes": record_bytes, "batch_bytes": FILL_BATCH_BYTES}
            self._run(contestant, "fill", {"topic": topic, **sizes, "total_bytes": total})
        # The first run of a load is slower than the others; it does not count.
        if not row.is_cold and row.takes_seconds:
            settings = self._settings(contestant, row, topic)
            self._run(contestant, row.load, {**settings, "seconds": self._plan.seconds})

    def _settings(self, contestant: Contestant, row: Row, topic: str) -> dict[str, object]:
        settings = dict(row.settings)
        if row.partitions:
            settings["topic"] = topic
        if row.takes_seconds:
            settings["seconds"] = self._plan.seconds * row.longer
        if row.takes_warm_up:
            settings["warm_up_s"] = self._plan.warm_up_s
        if row.is_cold:
            settings["cold_directory"] = str(contestant.directory_of(topic))
        return settings

    def _run(
        self, contestant: Contestant, load: str, settings: Mapping[str, object]
    ) -> dict[str, float]:
        return self._load.run(load, contestant.address, contestant.pid, settings)

    def _add(self, row: Row, contestant: Contestant, found: Mapping[str, float]) -> None:
        parts = []
        for quantity in row.quantities:
            figure = self._report.figure(row.name, quantity.name, quantity.better, quantity.bar)
            value = quantity.of(found)
            figure.values.setdefault(contestant.name, []).append(value)
            parts.append(f"{quantity.name} {value:,.4g}")
        self._say(f"{row.name} | {contestant.name} | {', '.join(parts)}")

    def _delete(self, contestant: Contestant, topic: str) -> None:
        delete_topic(contestant.address, topic)
        contestant.await_deletion(topic)


def is_steady(costs: Sequence[float]) -> bool:
    """Whether the last rounds of a warm-up were hardly cheaper than those before them."""
    if len(costs) <= STEADY_ROUNDS:
        return False
    return min(costs[-STEADY_ROUNDS:]) > min(costs[:-STEADY_ROUNDS]) * STEADY_SHARE
