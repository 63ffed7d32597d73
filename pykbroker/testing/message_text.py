"""A message of the protocol as one short line, for people."""

from dataclasses import fields, is_dataclass
from typing import Any, Final

from pykbroker.protocol.errors import ErrorCode

MAX_CHARACTERS: Final = 240
UUID_BYTES: Final = 16
# They differ from request to request, or are the same for every client, and say nothing.
_LEFT_OUT: Final = frozenset({"session_epoch", "throttle_time_ms", "api_keys"})


def message_text(message: object) -> str:
    """Write the fields of a message that are not empty; a long text is cut off."""
    text = _fields_text(message)
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _fields_text(message: Any) -> str:
    shown = []
    for each in fields(message):
        value = getattr(message, each.name)
        if each.name.endswith("error_code"):
            if value:
                shown.append(f"{each.name}={_error_name(value)}")
        elif each.name not in _LEFT_OUT and not _is_empty(value, each.default):
            shown.append(f"{each.name}={_value_text(value)}")
    return " ".join(shown)


def _value_text(value: Any) -> str:
    if is_dataclass(value):
        return "{" + _fields_text(value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value_text, value)) + "]"
    if isinstance(value, bytes) and len(value) == UUID_BYTES:
        return value.hex()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return str(value)


def _is_empty(value: object, default: object) -> bool:
    """Whether a field says nothing; a 0 may be the number of a partition."""
    if isinstance(value, bytes) and len(value) == UUID_BYTES:
        return not any(value)
    if isinstance(value, str | bytes | bytearray | memoryview | list):
        return not value or value == default
    return value is None or value is False or (value == default and value != 0)


def _error_name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return str(code)
