"""Writes the decoding functions: one for each struct, straight through its fields."""

from collections.abc import Callable
from typing import Final

from protocol.emit_code import (
    CODES,
    Flavours,
    chain,
    condition,
    fixed_runs,
    function_suffix,
    guarded,
    in_place_runs,
    indented,
    is_fixed,
    least_bytes,
    python_type,
    struct_name,
    tagged,
    zero_expression,
)
from protocol.schema import PRIMITIVES, Field, Message, SchemaError, Struct
from protocol.versions import VersionRange

# Names that the functions use themselves; a field of such a name gets an underscore.
RESERVED: Final = {"data", "position", "version", "count", "present", "tag", "start", "end"} | {
    "bytes",
    "len",
    "list",
    "range",
    "str",
    "int",
}


class DecodeEmitter:
    """Emits the decoders of one message."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def function(self, struct: Struct) -> list[str]:
        """The function that reads one struct."""
        known = struct.versions & self.message.versions
        name = struct.class_name
        head = f"def _decode_{function_suffix(struct)}"
        parameters = "data: memoryview, position: int, version: int"
        lines = [f"{head}({parameters}) -> tuple[{name}, int]:"]
        body = self._defaults(struct, known)
        for versions, fields in in_place_runs(struct):
            here = versions & known
            inner = [line for run in fixed_runs(fields) for line in self._run(run, here, struct)]
            body += guarded(here, known, inner)
        body += self._tags(struct, known)
        arguments = ", ".join(local(field) for field in struct.fields)
        body.append(f"return {name}({arguments}), position")
        return lines + indented(body)

    def _defaults(self, struct: Struct, known: VersionRange) -> list[str]:
        """First values of fields that are not read in every version, or only if not null."""
        lines = []
        for field in struct.fields:
            if field.in_place != known:
                lines.append(f"{local(field)}: {python_type(field)} = {zero_expression(field)}")
            elif field.nullable and (field.is_array or field.struct):
                lines.append(f"{local(field)}: {python_type(field)} = None")
        return lines

    def _run(self, fields: list[Field], here: VersionRange, struct: Struct) -> list[str]:
        if is_fixed(fields[0]):
            return self._fixed(fields, "position")
        return self._sized(fields[0], here, struct, "position")

    def _fixed(self, fields: list[Field], position: str) -> list[str]:
        names = ", ".join(local(field) for field in fields)
        names = f"({names},)" if len(fields) == 1 else names
        size = sum(PRIMITIVES[field.type] or 0 for field in fields)
        return [
            f"{names} = _UNPACK_{struct_name(fields)}(data, {position})",
            f"{position} += {size}",
        ]

    def _sized(self, field: Field, here: VersionRange, struct: Struct, at: str) -> list[str]:
        if field.is_array:
            return self._array(field, here, struct, at)
        if field.struct is not None:
            return self._struct(field, here, at)
        return self._chain(
            field,
            here,
            lambda _, prefix: [f"{local(field)}, {at} = read_{prefix}{field.type}(data, {at})"],
        )

    def _chain(
        self, field: Field, here: VersionRange, lines: Callable[[VersionRange, str], list[str]]
    ) -> list[str]:
        pieces = Flavours(field, self.message).pieces(here)
        return chain([(each, lines(each, prefix)) for each, prefix in pieces], here)

    def _struct(self, field: Field, here: VersionRange, at: str) -> list[str]:
        assert field.struct is not None
        read = (
            f"{local(field)}, {at} = _decode_{function_suffix(field.struct)}(data, {at}, version)"
        )
        if not field.nullable:
            return [read]
        if not field.nullable.covers(here):
            raise SchemaError(f"{field.name}: a struct that is nullable in some versions only")
        in_tag = at != "position"
        test = f"data[{at}] != 0" if in_tag else f"data[{at}] < 0x80"
        why = "A tagged struct is null with 0." if in_tag else "The int8 is negative for null."
        return [
            f"present = {test}  # {why}",
            f"{at} += 1",
            "if present:",
            f"    {read}",
            "else:",
            f"    {local(field)} = None",
        ]

    def _array(self, field: Field, here: VersionRange, struct: Struct, at: str) -> list[str]:
        name = local(field)

        def count(versions: VersionRange, prefix: str) -> list[str]:
            least = least_bytes(field, versions, self.message.flexible)
            return [f"count, {at} = read_{prefix}count(data, {at}, {least})"]

        if field.struct is None and field.element_type == "string":
            return self._chain(
                field,
                here,
                lambda versions, prefix: [
                    *count(versions, prefix),
                    *self._elements(field, prefix, f"read_{_compact(prefix)}string_array", at),
                ],
            )
        lines = self._chain(field, here, count)
        if field.struct is None:
            prefix = "nullable_" if field.nullable else ""
            return lines + self._elements(field, prefix, f"read_{field.element_type}_array", at)
        item = item_name(field.struct, struct)
        loop = [
            f"{name} = []" if field.nullable or field.in_place != struct.versions else "",
            "for _ in range(count):",
            f"    {item}, {at} = _decode_{function_suffix(field.struct)}(data, {at}, version)",
            f"    {name}.append({item})",
        ]
        if not loop[0]:
            loop[0] = f"{name}: {python_type(field)} = []"
        if not field.nullable:
            return lines + loop
        return [*lines, "if count >= 0:", *indented(loop), "else:", f"    {name} = None"]

    def _elements(self, field: Field, prefix: str, reader: str, at: str) -> list[str]:
        read = f"{local(field)}, {at} = {reader}(data, {at}, count)"
        if "nullable" not in prefix:
            return [read]
        return ["if count >= 0:", f"    {read}", "else:", f"    {local(field)} = None"]

    def _tags(self, struct: Struct, known: VersionRange) -> list[str]:
        flexible = self.message.flexible & known
        if not flexible:
            return []
        fields = tagged(struct)
        if not fields:
            other = ["position = skip_tagged_fields(data, position)"]
        else:
            other = [
                "count, position = read_uvarint(data, position)",
                "for tag, start, end in tagged_fields(data, position, count):",
                "    position = end",
            ]
            for index, field in enumerate(fields):
                here = field.tagged & known
                test = condition(here, flexible)
                word = "elif" if index else "if"
                also = f" and {test}" if test else ""
                other.append(f"    {word} tag == {field.tag}{also}:")
                inner = (
                    self._fixed([field], "start")
                    if is_fixed(field)
                    else self._sized(field, here, struct, "start")
                )
                inner.append("check_tag_end(tag, start, end)")
                other += indented(inner, 2)
        lines = [
            "if data[position] == 0:  # No tagged fields, nearly always.",
            "    position += 1",
            "else:",
            *indented(other),
        ]
        return guarded(flexible, known, lines)


def _compact(prefix: str) -> str:
    return "compact_" if prefix.startswith("compact_") else ""


def local(field: Field) -> str:
    """The local variable that holds a field."""
    return f"{field.name}_" if field.name in RESERVED else field.name


def item_name(element: Struct, around: Struct) -> str:
    """The loop variable for elements of an array."""
    name = function_suffix(element)
    taken = RESERVED | {local(field) for field in around.fields} | {"message", "out", "large"}
    return f"{name}_item" if name in taken else name


def unpackers(message: Message) -> set[str]:
    """The names of all `struct` constants that the message's functions use."""
    names = set()
    for struct in message.structs():
        for _, fields in in_place_runs(struct):
            names |= {struct_name(run) for run in fixed_runs(fields) if is_fixed(run[0])}
        names |= {struct_name([each]) for each in tagged(struct) if each.type in CODES}
    return names
