"""The schemas of Kafka's messages: their model, and the reading and writing of our TOML notation.

The notation is described in README.md beside this file. A file holds one API (request and
response), one record type of an internal topic (key and value), or one plain format.
"""

import keyword
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from protocol.versions import NO_VERSIONS, VersionRange

MESSAGES_DIR: Final = Path(__file__).parent / "messages"

# Primitive type -> size in bytes, None where the length is written in front.
PRIMITIVES: Final[dict[str, int | None]] = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "int64": 8,
    "float64": 8,
    "uuid": 16,
    "string": None,
    "bytes": None,
    "records": None,
}
NULLABLE_PRIMITIVES: Final = frozenset({"string", "bytes", "records"})

Default = bool | int | float | str
"""What a schema may name as a default; the string `"null"` stands for null."""


class SchemaError(Exception):
    """A schema that makes no sense; the message names the field."""


@dataclass(slots=True)
class Field:
    """One field of a struct.

    `versions` has been cut to the versions in which the struct exists. In the versions of
    `tagged` the field is written in the tag section, in the others in its place.
    """

    name: str
    type: str
    versions: VersionRange
    nullable: VersionRange = NO_VERSIONS
    default: Default | None = None
    tag: int | None = None
    tagged: VersionRange = NO_VERSIONS
    struct: "Struct | None" = None

    @property
    def is_array(self) -> bool:
        """Whether the type is an array."""
        return self.type.startswith("[]")

    @property
    def element_type(self) -> str:
        """The type without the array."""
        return self.type.removeprefix("[]")

    @property
    def in_place(self) -> VersionRange:
        """The versions in which the field is not tagged.

        A field is tagged either always or from some version on.
        """
        if not self.tagged:
            return self.versions
        return VersionRange(self.versions.first, self.tagged.first - 1)

    @property
    def is_null_by_default(self) -> bool:
        """Whether null is the default."""
        return self.default == "null" and bool(self.nullable)


@dataclass(slots=True)
class Struct:
    """A group of fields that can be nested in others; the top level of a message is one, too.

    `class_name` is `name`, unless the other message of the file has a different struct of the
    same name: then it carries a prefix.
    """

    name: str
    fields: list[Field]
    versions: VersionRange
    class_name: str = ""

    def nested(self) -> Iterator["Struct"]:
        """All structs below this one, each before the one that uses it."""
        for each in self.fields:
            if each.struct is not None:
                yield from each.struct.nested()
                yield each.struct


@dataclass(slots=True)
class Message:
    """One top-level struct with its versions. `role` is request, response, key, value or data."""

    role: str
    root: Struct
    flexible: VersionRange

    @property
    def versions(self) -> VersionRange:
        """All versions that are spoken."""
        return self.root.versions

    def structs(self) -> list[Struct]:
        """All structs, each once, each before the first one that uses it."""
        unique = {struct.name: struct for struct in self.root.nested()}
        return [*unique.values(), self.root]


@dataclass(slots=True)
class SchemaFile:
    """What one file of messages/ says. `number` is the API key or the record type."""

    stem: str
    name: str
    number: int | None
    messages: list[Message] = field(default_factory=list)

    @property
    def is_api(self) -> bool:
        """Whether this is a request with its response."""
        return self.messages[0].role == "request"


def snake_case(name: str) -> str:
    """`ThrottleTimeMs` -> `throttle_time_ms`, `ISR` -> `isr`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return f"{words}_" if keyword.iskeyword(words) else words


def load_all(directory: Path = MESSAGES_DIR) -> list[SchemaFile]:
    """Read every schema, in the order of file names.

    Raises:
        SchemaError: A file is not in the notation; the message names file and field.
    """
    return [load_file(path) for path in sorted(directory.glob("*.toml"))]


def load_file(path: Path) -> SchemaFile:
    """Read one schema file."""
    try:
        return parse_schema(path.stem, tomllib.loads(path.read_text("utf-8")))
    except (SchemaError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(f"{path.name}: {error!r}") from error


def module_stem(file_stem: str) -> str:
    """`10_find_coordinator` -> `find_coordinator`, `record_x` -> `x_record`."""
    stem = re.sub(r"^\d+_", "", file_stem)
    return f"{stem.removeprefix('record_')}_record" if stem.startswith("record_") else stem


def parse_schema(file_stem: str, facts: dict[str, Any]) -> SchemaFile:
    """Turn the tables of a TOML file into the model."""
    schema = SchemaFile(
        stem=module_stem(file_stem),
        name=facts["name"],
        number=facts.get("api_key", facts.get("record_type")),
    )
    versions = VersionRange.parse(facts["versions"])
    flexible = VersionRange.parse(facts["flexible"])
    for role, suffix in ROLE_SUFFIXES.items():
        if role not in facts:
            continue
        own_versions = VersionRange.parse(facts.get(f"{role}_versions", str(versions)))
        own_flexible = VersionRange.parse(facts.get(f"{role}_flexible", str(flexible)))
        root = Struct(schema.name + suffix, [], own_versions)
        _Reader(root.name).read(root, facts[role])
        schema.messages.append(Message(role, root, own_flexible & own_versions))
    if not schema.messages:
        raise SchemaError("no message")
    _name_classes(schema.messages)
    return schema


ROLE_SUFFIXES: Final = {
    "request": "Request",
    "response": "Response",
    "key": "Key",
    "value": "Value",
    "data": "",
}


class _Reader:
    """Reads the fields of one message; a struct is spelled out at its first use."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.structs: dict[str, Struct] = {}
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def read(self, root: Struct, tables: list[dict[str, Any]]) -> None:
        """Read the structs' names and versions first, because a struct lives in all its uses."""
        self._collect(tables)
        self._spread(tables, root.versions)
        root.fields = self._fields(tables, root.versions)
        for name, struct in self.structs.items():
            struct.fields = self._fields(self.tables[name], struct.versions)

    def _collect(self, tables: list[dict[str, Any]]) -> None:
        for table in tables:
            if "fields" not in table:
                continue
            name = table["type"].removeprefix("[]")
            if name in self.tables:
                raise SchemaError(f"{self.message}: {name} is spelled out twice")
            self.tables[name] = table["fields"]
            self.structs[name] = Struct(name, [], NO_VERSIONS)
            self._collect(table["fields"])

    def _spread(self, tables: list[dict[str, Any]], versions: VersionRange) -> None:
        for table in tables:
            struct = self.structs.get(table["type"].removeprefix("[]"))
            if struct is None:
                continue
            used_in = versions & VersionRange.parse(table.get("versions", "0+"))
            struct.versions = struct.versions.hull(used_in)
            self._spread(self.tables[struct.name], used_in)

    def _fields(self, tables: list[dict[str, Any]], versions: VersionRange) -> list[Field]:
        fields = (self._field(table, versions) for table in tables)
        return [each for each in fields if each.versions]

    def _field(self, table: dict[str, Any], versions: VersionRange) -> Field:
        unknown = table.keys() - FIELD_KEYS
        if unknown:
            raise SchemaError(f"{self.message}.{table['name']}: unknown {sorted(unknown)}")
        own = versions & VersionRange.parse(table.get("versions", "0+"))
        nullable = table.get("nullable", "none")
        tagged = table.get("tagged", "0+" if "tag" in table else "none")
        result = Field(
            name=table["name"],
            type=table["type"],
            versions=own,
            nullable=own & VersionRange.parse("0+" if nullable is True else nullable),
            default=table.get("default"),
            tag=table.get("tag"),
            tagged=own & VersionRange.parse(tagged),
            struct=self.structs.get(table["type"].removeprefix("[]")),
        )
        if result.struct is None and result.element_type not in PRIMITIVES:
            raise SchemaError(f"{self.message}.{result.name}: unknown type {result.type}")
        return result


FIELD_KEYS: Final = {
    "name",
    "type",
    "versions",
    "nullable",
    "default",
    "tag",
    "tagged",
    "fields",
    "about",
}


def _name_classes(messages: list[Message]) -> None:
    """Give each struct its class name; equal structs of both messages share one class."""
    for message in messages:
        for struct in message.structs():
            struct.class_name = struct.name
    if len(messages) == 1:
        return
    first, second = messages
    others = {struct.name: struct for struct in second.structs()}
    same_frame = first.versions == second.versions and first.flexible == second.flexible
    pairs = [(each, others[each.name]) for each in first.structs() if each.name in others]
    different = [pair for pair in pairs if not same_frame or pair[0] != pair[1]]
    for struct, other in different:
        struct.class_name = first.role.capitalize() + struct.name
        other.class_name = second.role.capitalize() + other.name
