"""A message of the protocol as JSON: what it says, without what it leaves at its default."""

import base64
import uuid
from dataclasses import fields, is_dataclass
from typing import Any, Final

from pykbroker.protocol.errors import CorruptBatchError, ErrorCode
from pykbroker.protocol.record_batch import iter_batches

MAX_CHARACTERS: Final = 1000
MAX_DECOMPRESSED_BYTES: Final = 16 * 1024 * 1024
UUID_BYTES: Final = 16


def message_json(message: Any) -> dict[str, Any]:
    """Return the fields of a message; error codes by name, records as records."""
    found: dict[str, Any] = {}
    for each in fields(message):
        value = getattr(message, each.name)
        if each.name.endswith("error_code"):
            found[each.name] = _error_name(value)
        elif not _is_unsaid(value, each.default):
            said = _value_json(each.name, value)
            if said != {}:
                found[each.name] = said
    return found


def payload_json(data: bytes | bytearray | memoryview | None) -> Any:
    """Return text as it is, as far as it is short, and other bytes as base64."""
    if data is None:
        return None
    try:
        text = bytes(data).decode()
        is_text = "".join(text.split()).isprintable()
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        return {"base64": _shortened(base64.b64encode(data).decode())}
    return _shortened(text)


def _is_unsaid(value: object, default: object) -> bool:
    """Whether a field says nothing; a 0 may be the number of a partition."""
    if value is None or value is False:
        return True
    if isinstance(value, bytes) and len(value) == UUID_BYTES:
        return not any(value)
    if isinstance(value, list | str | bytes | bytearray | memoryview):
        return len(value) == 0
    return value == default and value != 0


def _value_json(name: str, value: Any) -> Any:
    if is_dataclass(value):
        return message_json(value)
    if isinstance(value, list):
        return [_value_json(name, each) for each in value]
    if name == "records":
        return _records_json(memoryview(value))
    if isinstance(value, bytes) and len(value) == UUID_BYTES and "_id" in name:
        return str(uuid.UUID(bytes=value))
    if isinstance(value, bytes | bytearray | memoryview):
        return payload_json(value)
    return _shortened(value) if isinstance(value, str) else value


def _records_json(data: memoryview) -> Any:
    """The records of batches; of what cannot be read only the size."""
    batches = []
    try:
        for batch in iter_batches(data):
            said: dict[str, Any] = {"base_offset": batch.base_offset}
            if batch.has_producer_id:
                said |= {"producer_id": batch.producer_id, "producer_epoch": batch.producer_epoch}
                said["base_sequence"] = batch.base_sequence
            said |= {
                name: True
                for name, is_so in (
                    ("is_transactional", batch.is_transactional),
                    ("is_control", batch.is_control),
                )
                if is_so
            }
            said["records"] = [
                {
                    "offset": record.offset,
                    "timestamp": record.timestamp,
                    "key": payload_json(record.key),
                    "value": payload_json(record.value),
                    "headers": [[name, payload_json(of)] for name, of in record.headers],
                }
                for record in batch.records(MAX_DECOMPRESSED_BYTES)
            ]
            batches.append(said)
    except CorruptBatchError as error:
        return {"bytes": len(data), "problem": str(error)}
    return batches


def _error_name(code: int) -> str | int:
    try:
        return ErrorCode(code).name
    except ValueError:
        return code


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "…"
