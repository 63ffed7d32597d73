"""Printing what is in the files of a data directory: `pykbroker log dump`.

Texts are UTF-8; a byte that is not, and control characters, are shown as in a Python string
(`\\xff`, `\\n`, `\\\\` for a backslash). With JSON, bytes that are UTF-8 are a string, others the
object `{"base64": "..."}`, null is null.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pykbroker.commands.internal_records import INTERNAL_TOPICS, decode_internal_record
from pykbroker.protocol.errors import CorruptBatchError, ProtocolError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.protocol.records import Record
from pykbroker.storage.control_records import read_control_record
from pykbroker.storage.index_entries import iter_aborted, iter_offset_entries, iter_time_entries
from pykbroker.storage.lenient_scan import BadBytes, open_for_reading, scan_all
from pykbroker.storage.log_names import LogFileName, parse_log_file_name, parse_partition_name
from pykbroker.storage.producer_state import DamagedSnapshotError, ProducerStateManager
from pykbroker.storage.segment import (
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
)

MAX_INFLATED_BYTES: Final = 256 << 20
_CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What to print.

    Attributes:
        records: Whether to print the records of each batch.
        first_offset: Leave out batches that end below.
        last_offset: Leave out batches that start above; None for no end.
        max_batches: Stop after so many of a file; None for all.
        max_bytes: Of each key, value and header; None for all.
        as_json: One object a line.
    """

    records: bool = False
    first_offset: int = 0
    last_offset: int | None = None
    max_batches: int | None = None
    max_bytes: int | None = None
    as_json: bool = False


@dataclass(slots=True)
class Outcome:
    """What came to light while the files were printed.

    Attributes:
        damage: How many places could not be read.
    """

    damage: int = 0


def dump_file(path: Path, options: DumpOptions, outcome: Outcome) -> Iterator[str]:
    """Yield the lines for one file.

    Raises:
        OSError: It cannot be read.
    """
    name = parse_log_file_name(path.name)
    lines: Iterator[dict[str, Any]]
    if name is None or name.offset is None:
        lines = _text_lines(path, outcome)
    elif name.suffix == LOG_SUFFIX:
        lines = _log_lines(path, options, outcome)
    else:
        lines = _entry_lines(path, name, outcome)
    if not options.as_json:
        yield f"{path}"
    for line in lines:
        yield json.dumps({"file": str(path), **line}) if options.as_json else _as_text(line)


def _log_lines(path: Path, options: DumpOptions, outcome: Outcome) -> Iterator[dict[str, Any]]:
    partition = parse_partition_name(path.parent.name)
    topic = partition.topic if partition is not None else ""
    handle = open_for_reading(path)
    printed = 0
    for found in scan_all(handle, path.stat().st_size):
        if isinstance(found, BadBytes):
            outcome.damage += 1
            size_bytes = found.end - found.position
            yield {
                "bad": found.reason,
                "position": found.position,
                "size": size_bytes,
            }
            continue
        batch = found.batch
        if options.last_offset is not None and batch.base_offset > options.last_offset:
            return
        if batch.last_offset < options.first_offset:
            continue
        if printed == options.max_batches:
            return
        printed += 1
        yield _batch_facts(found.position, batch)
        if options.records:
            yield from _record_lines(batch, topic, options, outcome)


def _batch_facts(position: int, batch: RecordBatch) -> dict[str, Any]:
    flags = [
        name
        for name, is_set in (
            ("transactional", batch.is_transactional),
            ("control", batch.is_control),
        )
        if is_set
    ]
    codec = batch.attributes & 7
    facts: dict[str, Any] = {
        "batch": (batch.base_offset, batch.last_offset),
        "position": position,
        "size": batch.size_bytes,
        "records": batch.record_count,
        "codec": _CODECS[codec] if codec < len(_CODECS) else str(codec),
        "time_type": "LogAppendTime" if batch.is_log_append_time else "CreateTime",
        "base_time": batch.base_timestamp,
        "max_time": batch.max_timestamp,
        "leader_epoch": batch.partition_leader_epoch,
    }
    if batch.has_producer_id:
        facts["producer"] = batch.producer_id
        facts["producer_epoch"] = batch.producer_epoch
        facts["sequence"] = batch.base_sequence, batch.last_sequence
    if batch.has_delete_horizon:
        facts["delete_horizon"] = batch.base_timestamp
        del facts["base_time"]
    if flags:
        facts["flags"] = flags
    facts["crc"] = "ok"
    return facts


def _record_lines(
    batch: RecordBatch, topic: str, options: DumpOptions, outcome: Outcome
) -> Iterator[dict[str, Any]]:
    first, last = options.first_offset, options.last_offset
    try:
        if not batch.record_count and not batch.payload:
            return
        for record in batch.records(MAX_INFLATED_BYTES):
            if record.offset < first or (last is not None and record.offset > last):
                continue
            facts = {"record": record.offset, "time": record.timestamp}
            if batch.is_control:
                yield facts | _control_facts(record)
            elif topic in INTERNAL_TOPICS:
                yield facts | _internal_facts(topic, record, options)
            else:
                yield facts | _record_facts(record, options)
    except CorruptBatchError as error:
        outcome.damage += 1
        yield {"bad": str(error), "batch": (batch.base_offset, batch.last_offset)}


def _control_facts(record: Record) -> dict[str, Any]:
    control = read_control_record(record)
    if control is None:
        return {"control": "malformed"}
    facts: dict[str, Any] = {"control": control.name}
    if control.coordinator_epoch is not None:
        facts["coordinator_epoch"] = control.coordinator_epoch
    return facts


def _internal_facts(topic: str, record: Record, options: DumpOptions) -> dict[str, Any]:
    try:
        facts = decode_internal_record(topic, record)
    except ProtocolError as error:
        return {"unreadable": str(error), **_record_facts(record, options)}
    return {"type": facts.pop("type"), **_limited(facts, options)}


def _limited(value: Any, options: DumpOptions) -> Any:
    if isinstance(value, bytes):
        return _cut(value, options)
    if isinstance(value, str) and not options.as_json:
        return _Shown(f"'{_escaped(value.encode())}'")
    if isinstance(value, dict):
        return {name: _limited(each, options) for name, each in value.items()}
    if isinstance(value, list):
        return [_limited(each, options) for each in value]
    return value


def _record_facts(record: Record, options: DumpOptions) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, data in (("key", record.key), ("value", record.value)):
        facts[f"{name}_size"] = -1 if data is None else len(data)
        facts[name] = _cut(data, options)
    facts["headers"] = [
        [_cut(key.encode(errors="surrogateescape"), options), _cut(value, options)]
        for key, value in record.headers
    ]
    return facts


def _cut(data: bytes | None, options: DumpOptions) -> Any:
    """The form in which bytes are printed."""
    if data is None:
        return None
    shown = data if options.max_bytes is None else data[: options.max_bytes]
    if not options.as_json:
        rest = f"...({len(data) - len(shown)} more)" if len(shown) < len(data) else ""
        return _Shown(f"'{_escaped(shown)}'{rest}")
    try:
        return shown.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(shown).decode()}


class _Shown(str):
    """A text that has its quotes and escapes already."""

    __slots__ = ()


def _escaped(data: bytes) -> str:
    text = data.decode(errors="surrogateescape")
    parts = []
    for character in text:
        if "\udc80" <= character <= "\udcff":
            parts.append(f"\\x{ord(character) - 0xDC00:02x}")
        elif character == "'":
            parts.append("\\'")
        elif character.isprintable() and character != "\\":
            parts.append(character)
        else:
            parts.append(character.encode("unicode_escape").decode())
    return "".join(parts)


def _entry_lines(path: Path, name: LogFileName, outcome: Outcome) -> Iterator[dict[str, Any]]:
    assert name.offset is not None
    if name.suffix == OFFSET_INDEX_SUFFIX:
        for _, offset, position in iter_offset_entries(path, name.offset):
            yield {"offset": offset, "position": position}
    elif name.suffix == TIME_INDEX_SUFFIX:
        for _, timestamp, offset in iter_time_entries(path, name.offset):
            yield {"time": timestamp, "offset": offset}
    elif name.suffix == TRANSACTION_INDEX_SUFFIX:
        for _, version, aborted in iter_aborted(path):
            yield {"version": version, **aborted._asdict()}
    else:
        yield from _snapshot_lines(path, outcome)


def _snapshot_lines(path: Path, outcome: Outcome) -> Iterator[dict[str, Any]]:
    producers = ProducerStateManager()
    try:
        producers.load_snapshot(path.read_bytes())
    except DamagedSnapshotError as error:
        outcome.damage += 1
        yield {"bad": str(error)}
        return
    for entry in producers.producers.values():
        last = entry.batches[-1] if entry.batches else None
        yield {
            "producer": entry.producer_id,
            "producer_epoch": entry.epoch,
            "coordinator_epoch": entry.coordinator_epoch,
            "sequence": (last.first_sequence, last.last_sequence) if last else None,
            "offsets": (last.first_offset, last.last_offset) if last else None,
            "last_time": entry.last_timestamp,
            "transaction_from": entry.transaction_first_offset,
        }


def _text_lines(path: Path, outcome: Outcome) -> Iterator[dict[str, Any]]:
    try:
        for line in path.read_bytes().decode().splitlines():
            yield {"line": line}
    except UnicodeDecodeError:
        outcome.damage += 1
        yield {"bad": "not UTF-8"}


def _as_text(line: dict[str, Any]) -> str:
    first = next(iter(line))
    if first == "line":
        return f"  {line['line']}"
    indent = "    " if first == "record" else "  "
    return indent + " ".join(f"{name}={_value_text(value)}" for name, value in line.items())


def _value_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + " ".join(f"{name}={_value_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple):
        return f"{value[0]}..{value[1]}"
    if isinstance(value, list):
        return "[" + ", ".join(_value_text(each) for each in value) + "]"
    return str(value)
