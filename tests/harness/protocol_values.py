"""Values for every message of the protocol, made from the schemas in protocol/messages/.

`MESSAGES` lists all messages with their generated classes. `random_value` makes a value for one
version from a seeded generator, `fit` cuts a value down to what one version can say, and
`strategy` makes values with hypothesis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from protocol.emit_code import zero_expression
from protocol.schema import Field, Message, Struct, load_all
from pykbroker.protocol.primitives import NULL_UUID

INTEGER_BITS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
TEXTS: Final = ("", "a", "orders", "größe-✓", "x" * 200)
BLOBS: Final = (b"", b"\x00", b"\xff\x80\x01", bytes(range(256)))


@dataclass(frozen=True, slots=True)
class MessageCase:
    """One message with the module that was generated for it."""

    stem: str
    message: Message

    @property
    def name(self) -> str:
        return self.message.root.class_name

    @property
    def type(self) -> Any:
        return self.class_of(self.message.root)

    def class_of(self, struct: Struct) -> Any:
        module = import_module(f"pykbroker.protocol.messages.{self.stem}")
        return getattr(module, struct.class_name)

    def versions(self) -> Iterator[int]:
        return iter(self.message.versions)


MESSAGES: Final = [
    MessageCase(schema.stem, message) for schema in load_all() for message in schema.messages
]


def encoded(message: Any, version: int) -> bytes:
    """The message as one piece of bytes."""
    return b"".join(message.encode(version))


# --- one version, seeded ---------------------------------------------------------------------


def random_value(case: MessageCase, version: int, random: Random) -> Any:
    """A value of the message in which every field exists in that version."""
    return _random_struct(case, case.message.root, version, random)


def _random_struct(case: MessageCase, struct: Struct, version: int, random: Random) -> Any:
    values = {
        field.name: _random_field(case, field, version, random)
        for field in struct.fields
        if version in field.versions
    }
    return case.class_of(struct)(**values)


def _random_field(case: MessageCase, field: Field, version: int, random: Random) -> Any:
    if version in field.nullable and random.random() < 0.3:
        return None
    if field.tag is not None and random.random() < 0.3 and field.default != "null":
        return default_of(case, field)
    if field.is_array:
        return [_random_one(case, field, version, random) for _ in range(random.choice((0, 1, 3)))]
    return _random_one(case, field, version, random)


def _random_one(case: MessageCase, field: Field, version: int, random: Random) -> Any:
    kind = field.element_type
    if field.struct is not None:
        return _random_struct(case, field.struct, version, random)
    if kind == "bool":
        return random.random() < 0.5
    if kind == "float64":
        return random.choice((0.0, -1.5, 1e300))
    if kind == "string":
        return random.choice(TEXTS)
    if kind == "uuid":
        return random.choice((NULL_UUID, random.randbytes(16)))
    if kind in ("bytes", "records"):
        return random.choice(BLOBS)
    if kind == "uint16":
        return random.randrange(2**16)
    if "error_code" in field.name:
        return random.choice((-1, 0, 1, 35))
    limit = 1 << (INTEGER_BITS[kind] - 1)
    # Oracles in Python read times into `datetime`, from 1970 to 9999.
    if kind == "int64" and ("timestamp" in field.name or field.name.endswith(("_ms", "time"))):
        return random.choice((0, random.randrange(1 << 40)))
    return random.choice((-limit, -1, 0, 1, limit - 1, random.randrange(-limit, limit)))


def default_of(case: MessageCase, field: Field) -> Any:
    """What the field is when nobody sets it."""
    if field.struct is not None and not field.is_array and field.default != "null":
        return case.class_of(field.struct)()
    return eval(zero_expression(field), {"NULL_UUID": NULL_UUID})


# --- all versions, by hypothesis -------------------------------------------------------------


def strategy(case: MessageCase) -> st.SearchStrategy[Any]:
    """Values with every field of every version set; `fit` them to a version before encoding."""
    return _struct_strategy(case, case.message.root)


def _struct_strategy(case: MessageCase, struct: Struct) -> st.SearchStrategy[Any]:
    fields = {field.name: _field_strategy(case, field) for field in struct.fields}
    return st.builds(case.class_of(struct), **fields)


def _field_strategy(case: MessageCase, field: Field) -> st.SearchStrategy[Any]:
    values = _one_strategy(case, field)
    if field.is_array:
        values = st.lists(values, max_size=2)
    return st.none() | values if field.nullable else values


def _one_strategy(case: MessageCase, field: Field) -> st.SearchStrategy[Any]:
    kind = field.element_type
    if field.struct is not None:
        return _struct_strategy(case, field.struct)
    if kind in INTEGER_BITS:
        limit = 1 << (INTEGER_BITS[kind] - 1)
        return st.integers(-limit, limit - 1)
    return {
        "bool": st.booleans(),
        "float64": st.floats(allow_nan=False),
        "string": st.text(max_size=8),
        "uuid": st.binary(min_size=16, max_size=16),
        "bytes": st.binary(max_size=8),
        "records": st.binary(max_size=8),
        "uint16": st.integers(0, 2**16 - 1),
    }[kind]


def fit(case: MessageCase, value: Any, version: int) -> Any:
    """A copy in which all that the version cannot say is back at its default."""
    return _fit_struct(case, case.message.root, value, version)


def _fit_struct(case: MessageCase, struct: Struct, value: Any, version: int) -> Any:
    fitted = {
        field.name: _fit_field(case, field, getattr(value, field.name), version)
        for field in struct.fields
        if version in field.versions
    }
    return case.class_of(struct)(**fitted)


def _fit_field(case: MessageCase, field: Field, value: Any, version: int) -> Any:
    if value is None:
        return None if version in field.nullable else _not_null(case, field)
    if field.struct is None:
        return value
    if field.is_array:
        return [_fit_struct(case, field.struct, item, version) for item in value]
    return _fit_struct(case, field.struct, value, version)


def _not_null(case: MessageCase, field: Field) -> Any:
    if field.is_array:
        return []
    if field.struct is not None:
        return case.class_of(field.struct)()
    return "" if field.type == "string" else b""
