"""The process that puts load on brokers: `python -m compat.bench.load`.

Reads one load a line, as JSON {"load": NAME, "address": ..., "pid": ..., "settings": {...}}, and
prints what it has measured as one line of JSON, or {"error": ...}. It lives for a whole run, so
that no load begins with the start of an interpreter.
"""

import gc
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final

# Module -> its loads. Imported when they are wanted: clients of Kafka are large.
MODULES: Final[Mapping[str, Sequence[str]]] = {
    "raw_loads": ("produce", "fill", "fetch"),
    "latency_loads": ("sync_produce", "end_to_end", "small_request", "concurrent"),
    "group_load": ("rebalance",),
    "consumer_group_load": ("consumer_rebalance",),
    "group_work": ("commit_offsets", "fill_offsets", "await_offsets", "heartbeats"),
    "client_loads": (
        "librdkafka_produce",
        "librdkafka_sync",
        "kcat_consume",
        "kafka_python_produce",
        "kafka_python_consume",
    ),
    "transaction_loads": ("transactions", "fetch_committed"),
    "java_loads": ("java_produce", "java_consume"),
}


def load_named(name: str) -> Callable[..., dict[str, float]]:
    """The load of this name.

    Raises:
        KeyError: There is none.
    """
    module = next((module for module, names in MODULES.items() if name in names), None)
    if module is None:
        raise KeyError(name)
    found: Callable[..., dict[str, float]] = getattr(
        importlib.import_module(f"compat.bench.{module}"), name
    )
    return found


def main() -> None:
    # A collection in the middle would be measured as the broker's latency.
    gc.disable()
    for line in sys.stdin:
        wanted = json.loads(line)
        load = load_named(wanted["load"])
        try:
            found = load(wanted["address"], wanted["pid"], **wanted["settings"])
        except Exception:
            print(json.dumps({"error": traceback.format_exc()}), flush=True)
        else:
            print(json.dumps(found), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
