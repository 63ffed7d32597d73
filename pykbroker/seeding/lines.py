"""Topics and records as JSON Lines: what `serve --seed` reads and `export` writes.

A line is an object. With a value it is a record, without one it describes a topic:

    {"topic": "orders", "partitions": 2, "configs": {"cleanup.policy": "compact"}}
    {"topic": "orders", "partition": 1, "key": "42", "value": {"item": "book"}}
    {"topic": "orders", "key": "41", "value": null}

| field | of | |
|---|---|---|
| topic | both | its name |
| partitions, configs | topics | the broker's default, and none, where they are missing |
| partition | records | if missing: that of the key, as Kafka's clients choose it; 0 without a key |
| key, value | records | text as UTF-8, null; an object or a list is written as JSON |
| key_base64, value_base64 | records | in place of the former, bytes that are no text |
| headers | records | objects with name, and value or value_base64 |
| timestamp_ms | records | since the epoch; the time of the start where it is missing |

Empty lines are skipped.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pykbroker.protocol.records import Header, Record

_TOPIC_FIELDS: Final = frozenset(("partitions", "configs"))
_RECORD_FIELDS: Final = frozenset(
    (
        "partition",
        "key",
        "key_base64",
        "value",
        "value_base64",
        "headers",
        "timestamp_ms",
    )
)
_HEADER_FIELDS: Final = frozenset(("name", "value", "value_base64"))
# Of a record without its fields, at most.
RECORD_BYTES: Final = 32
MAX_PARTITION: Final = 2**31 - 1
MAX_TIMESTAMP_MS: Final = 2**63 - 1


class SeedError(Exception):
    """A file cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class SeedTopic:
    """A topic as a file describes it; no number of partitions is the broker's default."""

    name: str
    partitions: int | None = None
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeedRecord:
    """A record as a file has it."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp_ms: int | None = None


@dataclass(slots=True)
class Seed:
    """What is in a file: topics in the order in which they are named first, and records."""

    topics: dict[str, SeedTopic] = field(default_factory=dict)
    records: list[SeedRecord] = field(default_factory=list)


def parse(text: str) -> Seed:
    """Read a file.

    Raises:
        SeedError: A line is not as described above.
    """
    seed = Seed()
    described: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            _take(seed, described, _object(line))
        except (ValueError, RecursionError) as error:
            raise SeedError(f"line {number}: {error}") from error
    return seed


def add_topic(seed: Seed, name: str, fields: Mapping[str, Any]) -> None:
    """Take the description of a topic, whose fields are without its name.

    Raises:
        ValueError: It is not as described above.
    """
    seed.topics[name] = _topic(name, fields)


def add_record(seed: Seed, name: str, fields: Mapping[str, Any]) -> None:
    """Take a record of a topic, whose fields are without the topic.

    Raises:
        ValueError: It is not as described above.
    """
    seed.records.append(_record(name, fields))
    seed.topics.setdefault(name, SeedTopic(name))


def topic_line(topic: SeedTopic) -> bytes:
    """Write the line of a topic."""
    fields: dict[str, Any] = {"topic": topic.name}
    if topic.partitions is not None:
        fields["partitions"] = topic.partitions
    if topic.configs:
        fields["configs"] = dict(topic.configs)
    return _line(fields)


def record_line(topic: str, partition: int, record: Record) -> bytes:
    """Write the line of a record."""
    fields: dict[str, Any] = {"topic": topic, "partition": partition}
    if record.key is not None:
        fields |= _payload("key", record.key)
    fields |= _payload("value", record.value)
    if record.headers:
        fields["headers"] = [
            {"name": name} | _payload("value", value) for name, value in record.headers
        ]
    fields["timestamp_ms"] = record.timestamp
    return _line(fields)


# --- reading ---------------------------------------------------------------------------------


def _object(line: str) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def _take(seed: Seed, described: set[str], fields: dict[str, Any]) -> None:
    name = fields.pop("topic", None)
    if not isinstance(name, str) or not name:
        raise ValueError("it names no topic")
    if "value" in fields or "value_base64" in fields:
        add_record(seed, name, fields)
        return
    if name in described:
        raise ValueError(f"topic {name} is described twice")
    described.add(name)
    add_topic(seed, name, fields)


def _topic(name: str, fields: Mapping[str, Any]) -> SeedTopic:
    _check_names(fields, _TOPIC_FIELDS)
    configs = fields.get("configs", {})
    if not isinstance(configs, dict):
        raise ValueError("configs is no object")
    return SeedTopic(
        name,
        _integer(fields, "partitions", 1, MAX_PARTITION),
        {key: _setting(value) for key, value in configs.items()},
    )


def _record(name: str, fields: Mapping[str, Any]) -> SeedRecord:
    _check_names(fields, _RECORD_FIELDS)
    headers = fields.get("headers", [])
    if not isinstance(headers, list):
        raise ValueError("headers is no list")
    return SeedRecord(
        name,
        _integer(fields, "partition", 0, MAX_PARTITION),
        _bytes(fields, "key"),
        _bytes(fields, "value"),
        tuple(map(_header, headers)),
        _integer(fields, "timestamp_ms", 0, MAX_TIMESTAMP_MS),
    )


def _header(header: Any) -> Header:
    if not isinstance(header, dict) or not isinstance(header.get("name"), str):
        raise ValueError("a header has no name")
    _check_names(header, _HEADER_FIELDS)
    return header["name"], _bytes(header, "value")


def _check_names(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known here; there are {', '.join(sorted(known))}")


def _integer(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is no number from {least} to {most}")
    return value


def _setting(value: Any) -> str:
    """Write a value as a server.properties file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{value} is no value of a setting")


def _bytes(fields: Mapping[str, Any], name: str) -> bytes | None:
    encoded = fields.get(f"{name}_base64")
    if encoded is not None:
        if name in fields:
            raise ValueError(f"both {name} and {name}_base64 are given")
        if not isinstance(encoded, str):
            raise ValueError(f"{name}_base64 is no text")
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ValueError(f"{name}_base64: {error}") from error
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False).encode()
    raise ValueError(f"{name} is {value!r}: text, null, an object or a list")


# --- writing ---------------------------------------------------------------------------------


def _payload(name: str, data: bytes | None) -> dict[str, str | None]:
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _line(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # the name of a header that is no UTF-8
        return json.dumps(fields).encode() + b"\n"


def batches(records: Sequence[Record], max_bytes: int) -> list[list[Record]]:
    """Divide records into batches that are not larger than so much, if a record is not."""
    found: list[list[Record]] = []
    size_bytes = 0
    for record in records:
        record_bytes = RECORD_BYTES + len(record.key or b"") + len(record.value or b"")
        record_bytes += sum(len(name) + len(value or b"") for name, value in record.headers)
        if not found or size_bytes + record_bytes > max_bytes:
            found.append([])
            size_bytes = 0
        found[-1].append(record)
        size_bytes += record_bytes
    return found
