"""Writes the dataclasses: fields with their defaults, and the two public methods of a message."""

from typing import Final

from protocol.emit_code import (
    function_suffix,
    has_records,
    indented,
    open_ended,
    python_type,
    zero_expression,
)
from protocol.schema import Field, Message, SchemaError, SchemaFile, Struct

# Names that the text of a class uses; a field of such a name would take them away.
SHADOWING: Final = {"bool", "bytes", "classmethod", "field", "float", "int", "list", "str"} | {
    "decode",
    "encode",
}


def class_lines(struct: Struct, message: Message, schema: SchemaFile) -> list[str]:
    """The class of one struct; the top-level one gets `decode` and `encode`."""
    is_root = struct is message.root
    docstring = f"Part of {message.root.class_name}."
    if not struct.versions.covers(message.versions):
        docstring = f"{docstring[:-1]}, versions {open_ended(struct.versions, message)}."
    if is_root:
        docstring = f"{struct.class_name}, versions {message.versions}."
    body = [f'"""{docstring}"""', ""]
    if is_root:
        body += [*_constants(message, schema), ""]
    body += [_field(each, struct, message) for each in struct.fields]
    if body[-1] == "":
        body.pop()
    if is_root:
        body += _methods(struct, message)
    return ["@dataclass(slots=True)", f"class {struct.class_name}:", *indented(body)]


def _constants(message: Message, schema: SchemaFile) -> list[str]:
    lines = []
    if schema.is_api:
        lines.append(f"API_KEY: ClassVar[int] = {schema.number}")
    elif schema.number is not None:
        lines.append(f"RECORD_TYPE: ClassVar[int] = {schema.number}")
    flexible = message.flexible.first if message.flexible else None
    return [
        *lines,
        f"MIN_VERSION: ClassVar[int] = {message.versions.first}",
        f"MAX_VERSION: ClassVar[int] = {message.versions.last}",
        f"FIRST_FLEXIBLE_VERSION: ClassVar[int | None] = {flexible}",
    ]


def _field(field: Field, struct: Struct, message: Message) -> str:
    if field.name in SHADOWING:
        raise SchemaError(f"{message.root.class_name}.{field.name} would hide a name of the class")
    default = zero_expression(field)
    if default == "[]":
        default = "field(default_factory=list)"
    elif default.endswith("()"):
        default = f"field(default_factory={default[:-2]})"
    notes = []
    if not field.versions.covers(struct.versions):
        notes.append(open_ended(field.versions, message))
    if field.tag is not None:
        notes.append(f"tag {field.tag}")
    comment = f"  # {', '.join(notes)}" if notes else ""
    return f"{field.name}: {python_type(field)} = {default}{comment}"


def _methods(struct: Struct, message: Message) -> list[str]:
    name, suffix = struct.class_name, function_suffix(struct)
    first, last = message.versions.first, message.versions.last
    large = has_records(struct)
    encode = [
        "large: LargeParts = []" if large else "",
        "try:",
        f"    _encode_{suffix}(out, {'large, ' if large else ''}self, version)",
        "except StructError as error:",
        f'    raise ValueError(f"{name} v{{version}}: {{error}}") from error',
        "return interleave(out, large)" if large else "return [out]",
    ]
    return [
        "",
        "@classmethod",
        f'def decode(cls, data: memoryview, version: int, position: int = 0) -> "{name}":',
        '    """Read the message; what follows it is ignored. Raises ProtocolError."""',
        f"    if not {first} <= version <= {last}:",
        f'        raise ProtocolError(f"{name} has no version {{version}}")',
        "    try:",
        f"        return _decode_{suffix}(data, position, version)[0]",
        "    except DECODE_ERRORS as error:",
        f'        raise ProtocolError(f"{name} v{{version}}: {{error}}") from error',
        "",
        "def encode(self, version: int) -> list[Buffer]:",
        '    """Write the message. Raises ValueError for what the version cannot say."""',
        f"    if not {first} <= version <= {last}:",
        f'        raise ValueError(f"{name} has no version {{version}}")',
        "    out = bytearray()",
        *indented(line for line in encode if line),
    ]
