"""What is measured: each row with its load, its topic and the figures that come out of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from compat.bench.figures import HIGHER, LOWER

Found = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    runs: int
    seconds: float
    warm_up_s: float
    warm_up_rounds: int
    """At most so many before the first row, of about 3 s each."""
    fill_bytes: int
    records: int
    """Of 100 B, for loads by clients in C and Java; kafka-python gets a fraction of it."""


FULL: Final = Plan(3, 1.0, 0.3, 25, 400_000_000, 2_000_000)
QUICK: Final = Plan(1, 0.4, 0.2, 6, 100_000_000, 300_000)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of a row."""

    name: str
    better: str
    of: Callable[[Found], float]
    bar: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement, which is repeated in every run."""

    name: str
    load: str
    quantities: Sequence[Quantity]
    settings: Mapping[str, object] = field(default_factory=dict)
    partitions: int = 0
    """Of the row's topic; 0 = it needs none."""
    takes_seconds: bool = True
    longer: int = 1
    """So many times the plan's seconds, for percentiles that need many requests."""
    takes_warm_up: bool = False
    is_filled: bool = False
    """Its topic is written first, of the plan's size."""
    is_cold: bool = False
    both_fsync: bool = False
    """Brokers that answer acks=all without an fsync get flush.messages=1."""
    program: str | None = None
    """Which must be installed."""

    @property
    def topic(self) -> str:
        """The name of its topic."""
        return "bench-" + "".join(c if c.isalnum() else "-" for c in self.name.lower())


def rate(name: str, key: str, bar: str | None = None, scale: float = 1.0) -> Quantity:
    """Something a second."""
    return Quantity(name, HIGHER, lambda found: found[key] / scale / found["seconds"], bar)


def microseconds(name: str, key: str, bar: str | None = None) -> Quantity:
    return Quantity(name, LOWER, lambda found: found[key], bar)


def cpu_per_gb(bar: str | None = None) -> Quantity:
    return Quantity(
        "broker CPU s/GB", LOWER, lambda found: found["broker_cpu_s"] / found["bytes"] * 1e9, bar
    )


CPU_PER_MILLION: Final = Quantity(
    "broker CPU s/million requests",
    LOWER,
    lambda found: found["broker_cpu_s"] / found["requests"] * 1e6,
)
LOAD_SHARE: Final = Quantity(
    "load's processor, %", LOWER, lambda found: found["load_cpu_s"] / found["seconds"] * 100
)
BROKER_SHARE: Final = Quantity(
    "broker's processor, %", HIGHER, lambda found: found["broker_cpu_s"] / found["seconds"] * 100
)

RECORD_SIZES: Final = {"100 B": 100, "1 KB": 1000}
BATCH_SIZES: Final = {"1 KB": 1100, "16 KB": 16 * 1024, "1 MB": 1 << 20}
TRANSACTIONAL_BYTES: Final = 64_000_000
"""A log of transactions is written slowly."""
SMALL_BATCHES: Final = {"record_bytes": 100, "batch_bytes": BATCH_SIZES["1 KB"], "acks": 1}


def all_rows(plan: Plan) -> list[Row]:
    """In the order in which they are measured."""
    return [
        START,
        *_latency(),
        *_produce(),
        *_fetch(plan),
        LOADED,
        *_connections(),
        *_partitions(),
        *_rebalances(),
        *_transactions(),
        *_committed(plan),
        *_clients(plan),
    ]


START: Final = Row(
    name="start",
    load="start",
    quantities=(
        Quantity("to ready, s", LOWER, lambda found: found["seconds"], "start"),
        Quantity("RSS idle, MB", LOWER, lambda found: found["rss_mb"], "idle"),
    ),
)
LOADED: Final = Row(
    name="loaded",
    load="concurrent",
    settings={"record_bytes": 100, "batch_bytes": 16 * 1024, "acks": 1, "connections": 50},
    partitions=1,
    quantities=(Quantity("RSS loaded, MB", LOWER, lambda found: found["rss_mb"], "loaded"),),
)


def _latency() -> Iterator[Row]:
    rows = (
        ("acks=1", 1, False, "sync"),
        ("acks=all", -1, False, "all"),
        ("acks=all, both fsynced", -1, True, None),
    )
    for name, acks, both_fsync, bar in rows:
        yield Row(
            name=f"sync produce 100 B, {name}",
            load="sync_produce",
            settings={"record_bytes": 100, "acks": acks},
            partitions=1,
            both_fsync=both_fsync,
            longer=3,
            quantities=(*_percentiles(bar), CPU_PER_MILLION),
        )
    yield Row(
        name="end to end 100 B, acks=1",
        load="end_to_end",
        settings={"record_bytes": 100},
        partitions=1,
        longer=3,
        quantities=(*_percentiles("end to end"), CPU_PER_MILLION),
    )
    for name in ("ApiVersions", "Metadata", "Heartbeat"):
        kind = {"ApiVersions": "api_versions"}.get(name, name.lower())
        what = "Metadata of one topic" if name == "Metadata" else name
        yield Row(
            name=f"small request, {what}",
            load="small_request",
            settings={"kind": kind},
            partitions=1,
            quantities=(microseconds("p50 us", "p50_us", "small p50"), CPU_PER_MILLION),
        )


def _percentiles(bar: str | None) -> tuple[Quantity, ...]:
    return (
        microseconds("p50 us", "p50_us", bar and f"{bar} p50"),
        microseconds("p99 us", "p99_us", bar and f"{bar} p99"),
        microseconds("p99.9 us", "p99_9_us"),
    )


def _produce() -> Iterator[Row]:
    for size_name, size in RECORD_SIZES.items():
        for batch_name, batch in BATCH_SIZES.items():
            for durability, acks in (("acks=1", 1), ("acks=all", -1), ("both fsynced", -1)):
                # Without the same durability a throughput has no bar.
                has_bar = durability != "acks=all"
                is_small = batch_name == "1 KB"
                label = "acks=all, both fsynced" if durability == "both fsynced" else durability
                yield _produce_row(
                    f"produce {size_name} in batches of {batch_name}, {label}",
                    {"record_bytes": size, "batch_bytes": batch, "acks": acks},
                    throughput="produce" if has_bar else None,
                    requests="requests" if has_bar and is_small else None,
                    cpu="produce CPU" if acks == 1 else None,
                    both_fsync=durability == "both fsynced",
                )
    for batch_name in ("16 KB", "1 MB"):
        yield _produce_row(
            f"produce 50-150 B in batches of {batch_name}, acks=1",
            {"record_bytes": 100, "batch_bytes": BATCH_SIZES[batch_name], "acks": 1, "mixed": True},
            throughput="produce",
            cpu="produce CPU",
        )
    for batch_name in ("1 KB", "16 KB"):
        yield _produce_row(
            f"produce 100 B to 50 partitions a request, {batch_name} each, acks=1",
            {
                "record_bytes": 100,
                "batch_bytes": BATCH_SIZES[batch_name],
                "acks": 1,
                "partitions": 50,
                "per_request": 50,
            },
            throughput="fifty",
            cpu="produce CPU",
        )


def _produce_row(
    name: str,
    settings: Mapping[str, object],
    *,
    throughput: str | None = None,
    requests: str | None = None,
    cpu: str | None = None,
    both_fsync: bool = False,
) -> Row:
    return Row(
        name=name,
        load="produce",
        settings=settings,
        partitions=int(str(settings.get("partitions", 1))),
        both_fsync=both_fsync,
        takes_warm_up=True,
        quantities=(
            rate("MB/s", "bytes", throughput, 1e6),
            rate("requests/s", "requests", requests),
            rate("records/s", "records"),
            cpu_per_gb(cpu),
            CPU_PER_MILLION,
            BROKER_SHARE,
            LOAD_SHARE,
        ),
    )


def _fetch(plan: Plan) -> Iterator[Row]:
    for state in ("hot", "cold"):
        for size_name, batches in (("16 KB", 1), ("1 MB", 64)):
            yield Row(
                name=f"fetch {size_name}, {state}",
                load="fetch",
                settings={
                    "record_bytes": 100,
                    "batch_bytes": 16 * 1024,
                    "batches_per_fetch": batches,
                    "total_bytes": plan.fill_bytes,
                },
                partitions=1,
                is_filled=True,
                is_cold=state == "cold",
                takes_warm_up=True,
                quantities=(
                    rate("MB/s", "bytes", "fetch", 1e6),
                    rate("requests/s", "requests"),
                    cpu_per_gb("fetch CPU"),
                    Quantity("from disk, %", LOWER, lambda found: found["disk_share"] * 100),
                    BROKER_SHARE,
                    LOAD_SHARE,
                ),
            )


def _connections() -> Iterator[Row]:
    for connections in (1, 10, 100, 1000):
        yield Row(
            name=f"produce 1 KB batches, acks=1, one open on each of {connections:,} connections",
            load="concurrent",
            settings={**SMALL_BATCHES, "connections": connections},
            partitions=1,
            quantities=(
                rate("requests/s", "requests", "requests"),
                microseconds("p50 us", "p50_us"),
                microseconds("p99 us", "p99_us"),
                CPU_PER_MILLION,
                LOAD_SHARE,
            ),
        )


def _partitions() -> Iterator[Row]:
    for partitions in (1, 100, 1000):
        yield Row(
            name=f"produce 1 KB batches, acks=1, round {partitions:,} partitions",
            load="produce",
            settings={**SMALL_BATCHES, "partitions": partitions},
            partitions=partitions,
            takes_warm_up=True,
            quantities=(rate("requests/s", "requests", "requests"), CPU_PER_MILLION, LOAD_SHARE),
        )


def _transactions() -> Iterator[Row]:
    for records in (1, 100):
        for producers in (1, 10):
            yield Row(
                name=f"transactions of {records} x 100 B, {producers} at once",
                load="transactions",
                settings={
                    "record_bytes": 100,
                    "records": records,
                    "producers": producers,
                    "partitions": producers,
                },
                partitions=producers,
                longer=3,
                quantities=(
                    rate("transactions/s", "requests", "transactions"),
                    microseconds("commit p50 us", "p50_us"),
                    microseconds("commit p99 us", "p99_us"),
                    Quantity(
                        "broker CPU ms a transaction",
                        LOWER,
                        lambda found: found["broker_cpu_s"] / found["requests"] * 1e3,
                    ),
                ),
            )


def _committed(plan: Plan) -> Iterator[Row]:
    for percent in (1, 50):
        for size_name, batches in (("16 KB", 1), ("1 MB", 64)):
            yield Row(
                name=f"fetch {size_name}, read_committed, {percent} % aborted",
                load="fetch_committed",
                settings={
                    "record_bytes": 100,
                    "batch_bytes": 16 * 1024,
                    "batches_per_fetch": batches,
                    "total_bytes": min(plan.fill_bytes, TRANSACTIONAL_BYTES),
                    "aborted_percent": percent,
                },
                partitions=1,
                longer=2,
                takes_warm_up=True,
                quantities=(
                    rate("MB/s", "bytes", None, 1e6),
                    Quantity("of read_uncommitted", HIGHER, _share),
                    cpu_per_gb(),
                ),
            )


def _share(found: Found) -> float:
    """How fast committed reading is as a share of the other."""
    plain = found["plain_bytes"] / found["plain_seconds"]
    return found["bytes"] / found["seconds"] / plain


def _rebalances() -> Iterator[Row]:
    quantities = (
        Quantity("p50 ms", LOWER, lambda found: found["p50_us"] / 1000, "rebalance"),
        Quantity("p99 ms", LOWER, lambda found: found["p99_us"] / 1000),
        LOAD_SHARE,
    )
    for members in (2, 10, 50):
        yield Row(
            name=f"rebalance of a classic group of {members}",
            load="rebalance",
            settings={"members": members},
            quantities=quantities,
        )
    for members in (2, 10, 50):
        partitions = 2 * members
        yield Row(
            name=f"join to stable, consumer group of {members}",
            load="consumer_rebalance",
            settings={"members": members, "partitions": partitions},
            partitions=partitions,
            quantities=quantities,
        )


def _clients(plan: Plan) -> Iterator[Row]:
    throughput = (rate("records/s", "records"), rate("MB/s", "bytes", None, 1e6), cpu_per_gb())
    pairs = (
        ("librdkafka", "librdkafka_produce", "kcat, librdkafka", "kcat_consume", "kcat", 1.0),
        ("Java perf tools", "java_produce", "Java perf tools", "java_consume", "java", 0.5),
        (
            *("kafka-python", "kafka_python_produce"),
            *("kafka-python", "kafka_python_consume", None, 0.02),
        ),
    )
    for producer, produce, consumer, consume, program, share in pairs:
        for size_name, size in RECORD_SIZES.items():
            records = int(plan.records * share * min(1.0, 100 / size * 2))
            yield Row(
                name=f"{producer}: produce {size_name}, acks=1",
                load=produce,
                settings={"record_bytes": size, "records": records},
                partitions=1,
                takes_seconds=False,
                program="java" if program == "java" else None,
                quantities=throughput,
            )
            yield Row(
                name=f"{consumer}: consume {size_name}",
                load=consume,
                settings={"record_bytes": size, "records": records},
                partitions=1,
                is_filled=True,
                takes_seconds=False,
                program=program,
                quantities=throughput,
            )
    yield Row(
        name="confluent-kafka: sync produce 100 B, acks=1",
        load="librdkafka_sync",
        settings={"record_bytes": 100},
        partitions=1,
        quantities=_percentiles(None),
    )
