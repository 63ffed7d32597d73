"""Writes the encoding functions: one for each struct, straight through its fields."""

from protocol.emit_code import (
    Flavours,
    chain,
    condition,
    fixed_runs,
    function_suffix,
    guarded,
    has_records,
    in_place_runs,
    indented,
    is_fixed,
    struct_name,
    tagged,
    zero_expression,
)
from protocol.emit_decode import item_name
from protocol.schema import Field, Message, SchemaError, Struct
from protocol.versions import VersionRange


class EncodeEmitter:
    """Emits the encoders of one message."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def function(self, struct: Struct) -> list[str]:
        """The function that writes one struct."""
        known = struct.versions & self.message.versions
        large = "large: LargeParts, " if has_records(struct) else ""
        head = f"def _encode_{function_suffix(struct)}"
        parameters = f"out: bytearray, {large}message: {struct.class_name}, version: int"
        lines = [f"{head}({parameters}) -> None:"]
        body: list[str] = []
        for versions, fields in in_place_runs(struct):
            here = versions & known
            inner = [line for run in fixed_runs(fields) for line in self._run(run, here, struct)]
            body += guarded(here, known, inner)
        body += self._tags(struct, known)
        return lines + indented(body or ["pass"])

    def _run(self, fields: list[Field], here: VersionRange, struct: Struct) -> list[str]:
        if is_fixed(fields[0]):
            return self._fixed(fields, "out")
        return self._sized(fields[0], here, struct, "out")

    def _fixed(self, fields: list[Field], out: str) -> list[str]:
        values = [
            f"checked_uuid(message.{each.name})" if each.type == "uuid" else f"message.{each.name}"
            for each in fields
        ]
        return [f"{out} += _PACK_{struct_name(fields)}({', '.join(values)})"]

    def _sized(self, field: Field, here: VersionRange, struct: Struct, out: str) -> list[str]:
        value = f"message.{field.name}"
        if field.is_array:
            return self._array(field, here, struct, out)
        if field.struct is not None:
            return self._struct(field, out)
        large = "large, " if field.type == "records" else ""
        pieces = [
            (each, [f"write_{prefix}{field.type}({out}, {large}{value})"])
            for each, prefix in Flavours(field, self.message).pieces(here)
        ]
        return chain(pieces, here)

    def _call(self, struct: Struct, out: str, value: str) -> str:
        large = "large, " if has_records(struct) else ""
        return f"_encode_{function_suffix(struct)}({out}, {large}{value}, version)"

    def _struct(self, field: Field, out: str) -> list[str]:
        assert field.struct is not None
        value = f"message.{field.name}"
        if not field.nullable:
            return [self._call(field.struct, out, value)]
        return [
            f"if {value} is None:",
            f"    {out}.append({'0xFF' if out == 'out' else 0})",
            "else:",
            f"    {out}.append(1)",
            f"    {self._call(field.struct, out, value)}",
        ]

    def _array(self, field: Field, here: VersionRange, struct: Struct, out: str) -> list[str]:
        value = f"message.{field.name}"
        items = f"{value} or ()" if field.nullable else value
        texts = field.struct is None and field.element_type == "string"
        pieces = []
        for each, prefix in Flavours(field, self.message).pieces(here):
            lines = [f"write_{prefix}count({out}, {value})"]
            if texts:
                compact = "compact_" if prefix.startswith("compact_") else ""
                lines.append(f"write_{compact}string_array({out}, {items})")
            pieces.append((each, lines))
        lines = chain(pieces, here)
        if texts:
            return lines
        if field.struct is None:
            return [*lines, f"write_{field.element_type}_array({out}, {items})"]
        item = item_name(field.struct, struct)
        return [*lines, f"for {item} in {items}:", f"    {self._call(field.struct, out, item)}"]

    def _tags(self, struct: Struct, known: VersionRange) -> list[str]:
        flexible = self.message.flexible & known
        if not flexible:
            return []
        fields = tagged(struct)
        if not fields:
            return guarded(flexible, known, ["out.append(0)  # No tagged fields."])
        if len(fields) >= 0x80:
            raise SchemaError(f"{struct.name}: too many tagged fields for a count of one byte")
        lines = ["tag_count = 0", "tagged = bytearray()"]
        for field in fields:
            if field.struct is not None and has_records(field.struct):
                raise SchemaError(f"{field.name}: records in a tagged field")
            here = field.tagged & known
            test = self._is_set(field)
            if version_test := condition(here, flexible):
                test = (
                    f"{version_test} and ({test})"
                    if " or " in test
                    else f"{version_test} and {test}"
                )
            value = (
                self._fixed([field], "field")
                if is_fixed(field)
                else self._sized(field, here, struct, "field")
            )
            lines += [
                f"if {test}:",
                *indented(["field = bytearray()", *value]),
                "    tag_count += 1",
                f"    write_tagged_field(tagged, {field.tag}, field)",
            ]
        lines += ["out.append(tag_count)", "out += tagged"]
        return guarded(flexible, known, lines)

    def _is_set(self, field: Field) -> str:
        """The test that a tagged field differs from its default; only then it is written."""
        value = f"message.{field.name}"
        if field.struct is not None and not field.is_array and not field.nullable:
            parts = field.struct.fields
            if all(is_fixed(part) for part in parts):
                tests = [f"{value}.{part.name} != {zero_expression(part)}" for part in parts]
                return " or ".join(tests)
            return f"{value} != {zero_expression(field)}"
        if field.default == "null":
            return f"{value} is not None"
        if field.is_array and not field.nullable:
            return value
        if field.type == "bool":
            return f"not {value}" if field.default else value
        return f"{value} != {zero_expression(field)}"
