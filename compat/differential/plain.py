"""Answers as plain trees in which only what both brokers must agree on is left.

The rules go by the name of a field, and are these tables; anything else is compared as it is.
Ids become symbols in the order of their first appearance, so that it is still seen which of them
are equal. The values that stand for "none" stay what they are.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.primitives import NULL_UUID
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.protocol.records import Record

# Field -> what its symbols are called.
SYMBOLS: Mapping[str, str] = {
    "cluster_id": "cluster",
    "host": "host",
    "leader": "member",
    "log_dir": "directory",
    "member_id": "member",
    "port": "port",
    "producer_id": "producer",
    "session_id": "session",
    "topic_id": "topic id",
}
NO_ID = (None, "", 0, -1, NULL_UUID)

# Times that a broker may have taken from its clock. Times that a case has sent are far from now.
TIMES = frozenset(
    {
        "base_timestamp",
        "last_timestamp",
        "log_append_time_ms",
        "max_timestamp",
        "timestamp",
        "transaction_start_time_ms",
    }
)
RECENT_MS = 600_000

# Their wording is each broker's own; that there is one is not.
MESSAGES = frozenset({"error_message", "batch_index_error_message", "documentation"})

ERROR_CODES = ("error_code", "partition_error_code")

MAX_DECOMPRESSED_BYTES = 16 << 20

Sort = Mapping[str, str | None]
"""Lists whose order Kafka leaves open: field -> the field of its elements to sort by, or None
for the elements themselves."""


class Plain:
    """Makes trees of the answers of one broker in one case."""

    def __init__(self) -> None:
        self._symbols: dict[tuple[str, Any], str] = {}
        self._counts: dict[str, int] = {}

    def tree(self, value: Any, sort: Sort | None = None, field: str = "") -> Any:
        """An answer, or a part of one, as dicts, lists and values."""
        if is_dataclass(value):
            return {
                each.name: self.tree(getattr(value, each.name), sort, each.name)
                for each in fields(value)
            }
        if field == "records" and isinstance(value, bytes | bytearray | memoryview):
            return self._batches(bytes(value))
        if isinstance(value, list | tuple):
            elements = (
                sorted(value, key=self._sort_key(sort[field])) if sort and field in sort else value
            )
            return [self.tree(each, sort, field) for each in elements]
        return self._value(field, value)

    def _value(self, field: str, value: Any) -> Any:
        if field in SYMBOLS:
            return value if value in NO_ID else self._symbol(SYMBOLS[field], value)
        if field in TIMES and isinstance(value, int):
            return "recent" if abs(value - time.time() * 1000) < RECENT_MS else value
        if field in MESSAGES and value:
            return "message"
        return bytes(value) if isinstance(value, memoryview | bytearray) else value

    def _sort_key(self, field: str | None) -> Callable[[Any], Any]:
        def key(element: Any) -> Any:
            value = element if field is None else getattr(element, field)
            if field is not None and field in SYMBOLS:
                # An id's own order is by chance, but for member ids, which begin with a client's.
                return self._symbols.get((SYMBOLS[field], value), ""), value
            return "" if value is None else value

        return key

    def call(self, field: str, value: Any, name: str) -> None:
        """Name the symbol of an id that is known before an answer has it."""
        self._symbols[SYMBOLS[field], value] = name

    def _symbol(self, kind: str, value: Any) -> str:
        known = self._symbols.get((kind, value))
        if known is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._symbols[kind, value] = f"{kind} {self._counts[kind]}"
        return known

    def _batches(self, data: bytes) -> list[Any]:
        """Every batch, and the number of bytes of a last one that is cut."""
        found: list[Any] = []
        position = 0
        while position < len(data):
            try:
                batch = RecordBatch.parse(data, position)
            except CorruptBatchError:
                found.append({"cut_bytes": len(data) - position})
                break
            found.append(self._batch(batch))
            position += batch.size_bytes
        return found

    def _batch(self, batch: RecordBatch) -> dict[str, Any]:
        tree = {
            "base_offset": batch.base_offset,
            "leader_epoch": batch.partition_leader_epoch,
            "attributes": batch.attributes,
            "is_crc_valid": batch.is_crc_valid(),
            "last_offset_delta": batch.last_offset_delta,
            "base_timestamp": self._value("base_timestamp", batch.base_timestamp),
            "max_timestamp": self._value("max_timestamp", batch.max_timestamp),
            "producer_id": self._value("producer_id", batch.producer_id),
            "producer_epoch": batch.producer_epoch,
            "base_sequence": batch.base_sequence,
            "record_count": batch.record_count,
            "records": self._records(batch),
        }
        if batch.codec is Codec.NONE:  # Two compressors need not write the same.
            tree["size_bytes"] = batch.size_bytes
        return tree

    def _records(self, batch: RecordBatch) -> Any:
        """Its records, or its bytes where they are none."""
        try:
            return [self._record(each) for each in batch.records(MAX_DECOMPRESSED_BYTES)]
        except CorruptBatchError:
            return bytes(batch.payload)

    def _record(self, record: Record) -> dict[str, Any]:
        return {
            "offset": record.offset,
            "timestamp": self._value("timestamp", record.timestamp),
            "key": record.key,
            "value": record.value,
            "headers": list(record.headers),
        }


def error_codes(tree: Any) -> set[int]:
    """Every error code in a tree, NONE among them."""
    if isinstance(tree, list):
        return {code for each in tree for code in error_codes(each)}
    if not isinstance(tree, dict):
        return set()
    own = {tree[name] for name in ERROR_CODES if isinstance(tree.get(name), int)}
    return own.union(*(error_codes(each) for each in tree.values()))
