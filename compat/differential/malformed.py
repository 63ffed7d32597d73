"""Requests with something in every field, and bytes that are no request."""

import dataclasses
import struct
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from compat.differential.session import Session
from compat.differential.wire import Connection, NoAnswer, sized
from pykbroker.handlers import APIS, Api
from pykbroker.protocol.messages import API_SCHEMAS
from pykbroker.protocol.primitives import NULL_UUID

# A group may have this name, but no topic: Metadata would make one.
TEXT = "pro:e"
CLIENT_ID = b"differential"
CORRELATION_ID = 7
SECONDS = 5.0
NO_TAGS = b"\x00"

# What a request needs so that it is answered at once and changes nothing.
FIELDS: Mapping[str, Any] = {"acks": 1, "timeout_ms": 1000, "transactional_id": None}


def versions_to_try(api: Api) -> list[int]:
    """The oldest and the newest version of an API, which have both kinds of headers, if it has."""
    return sorted({api.min_version, api.max_version})


def is_flexible(api_key: int, version: int) -> bool:
    """Whether header and body of a request have tag sections."""
    flexible = API_SCHEMAS[api_key].first_flexible_version
    return flexible is not None and version >= flexible


def header(
    api_key: int,
    version: int,
    client_id: bytes | None = CLIENT_ID,
    *,
    tags: bytes | None = None,
) -> bytes:
    """The header of a request; `tags` in place of the section without any."""
    head = struct.pack(">hhi", api_key, version, CORRELATION_ID)
    head += b"\xff\xff" if client_id is None else struct.pack(">h", len(client_id)) + client_id
    if tags is not None:
        return head + tags
    return head + (NO_TAGS if api_key in APIS and is_flexible(api_key, version) else b"")


def body(api: Api, version: int) -> bytes:
    """A request that has one element in each list."""
    module = import_module(f"pykbroker.protocol.messages.{api.stem}")
    request = _filled(getattr(module, f"{api.name}Request"))
    hints = get_type_hints(type(request))
    for name, value in FIELDS.items():
        if name in hints and (value is not None or NoneType in get_args(hints[name])):
            setattr(request, name, value)
    return b"".join(request.encode(version))


def _filled(message: Any) -> Any:
    hints = get_type_hints(message)
    return message(
        **{
            each.name: each.default if each.default is None else _value(hints[each.name], each)
            for each in dataclasses.fields(message)
        }
    )


def _value(kind: Any, field: Any = None) -> Any:
    if get_origin(kind) is list:
        return [_value(get_args(kind)[0])]
    if kind is str:
        return TEXT
    if kind is bytes:
        return NULL_UUID
    if dataclasses.is_dataclass(kind):
        return _filled(kind)
    kinds = [each for each in get_args(kind) if each is not type(None)]
    if kinds:
        return _value(kinds[0], field)
    is_given = field is not None and field.default is not dataclasses.MISSING
    return field.default if is_given else kind()


class Outcomes:
    """What becomes of frames, one after the other: answered, closed or silent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection: Connection | None = None
        self.seen: dict[str, str] = {}

    def attempt(self, label: str, request: bytes) -> str:
        """Send a request of this body; a connection that is closed is followed by a new one."""
        if self._connection is None:
            self._connection = self._session.connect()
        try:
            self._connection.write_bytes(sized(request))
            self._connection.read_bytes(SECONDS)
            outcome = "answered"
        except NoAnswer as reason:
            outcome = reason.outcome
            self._connection.close()
            self._connection = None
        self.seen[label] = outcome
        return outcome

    def attempt_all(self, requests: Iterable[tuple[str, bytes]]) -> None:
        for label, request in requests:
            self.attempt(label, request)

    def note(self, label: str) -> None:
        """Compare what was seen."""
        self._session.note(label, self.seen)
        self.seen = {}
