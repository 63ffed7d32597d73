"""Writes into a stopped broker's log of transactions what its coordinator might have written.

So states that last for a moment, and epochs that it takes tens of thousands of requests to reach,
are there when the broker starts.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from compat.targets import Target
from pykbroker.protocol.messages.transaction_log_record import (
    TransactionLogKey,
    TransactionLogValue,
)
from pykbroker.protocol.record_batch import RecordBatch, build_batch, iter_batches
from pykbroker.protocol.records import Record

TOPIC = "__transaction_state"
MAX_BYTES = 1 << 20
EMPTY, COMPLETE_COMMIT = 0, 4

Change = Callable[[TransactionLogValue], dict[str, Any]]
"""Gives the fields that are to be others."""


def append_state(broker: Target, transactional_id: str, change: Change) -> None:
    """Append the last state of a transactional id once more, with other fields."""
    assert not broker.is_running
    for directory in broker.data_dir.glob(f"{TOPIC}-*"):
        log = max(directory.glob("*.log"), default=None)
        if log is None:
            continue
        batches = list(iter_batches(log.read_bytes()))
        found = _last(batches, transactional_id)
        if found is not None:
            _append(log, batches[-1], found, change)
            return
    raise AssertionError(f"nothing of {transactional_id} in the log")


def _last(batches: list[RecordBatch], transactional_id: str) -> tuple[Record, int] | None:
    """The last record of an id, and the version of its value."""
    found = None
    for batch in batches:
        for record in batch.records(MAX_BYTES):
            key = TransactionLogKey.decode(memoryview(record.key or b""), 0, 2)
            if key.transactional_id == transactional_id and record.value:
                found = record, int.from_bytes(record.value[:2], "big")
    return found


def _append(log: Path, last: RecordBatch, found: tuple[Record, int], change: Change) -> None:
    record, version = found
    value = TransactionLogValue.decode(memoryview(record.value or b""), version, 2)
    changed = replace(value, **change(value))
    body = b"".join(bytes(part) for part in changed.encode(version))
    batch = build_batch(
        [Record(0, int(time.time() * 1000), record.key, version.to_bytes(2, "big") + body)],
        base_offset=last.last_offset + 1,
        leader_epoch=last.partition_leader_epoch,
    )
    with log.open("ab") as file:
        file.write(batch)
