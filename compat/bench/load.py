"""The process that puts load on brokers: `python -m compat.bench.load`.

Reads one load a line, as JSON {"load": NAME, "address": ..., "pid": ..., "settings": {...}}, and
prints what it has measured as one line of JSON, or {"error": ...}. It lives for a whole run, so
that no load begins with the start of an interpreter.
"""

import gc
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Final

from compat.bench import client_loads, group_load, java_loads, latency_loads, raw_loads

LOADS: Final[Mapping[str, Callable[..., dict[str, float]]]] = {
    load.__name__: load
    for load in (
        raw_loads.produce,
        raw_loads.fill,
        raw_loads.fetch,
        latency_loads.sync_produce,
        latency_loads.end_to_end,
        latency_loads.small_request,
        latency_loads.concurrent,
        group_load.rebalance,
        client_loads.librdkafka_produce,
        client_loads.librdkafka_sync,
        client_loads.kcat_consume,
        client_loads.kafka_python_produce,
        client_loads.kafka_python_consume,
        java_loads.java_produce,
        java_loads.java_consume,
    )
}


def main() -> None:
    # A collection in the middle would be measured as the broker's latency.
    gc.disable()
    for line in sys.stdin:
        wanted = json.loads(line)
        load = LOADS[wanted["load"]]
        try:
            found = load(wanted["address"], wanted["pid"], **wanted["settings"])
        except Exception:
            print(json.dumps({"error": traceback.format_exc()}), flush=True)
        else:
            print(json.dumps(found), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
