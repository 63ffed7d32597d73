"""What the emitters of classes, decoders and encoders share: names, types, version branches."""

from collections.abc import Iterable, Sequence
from typing import Final

from protocol.schema import Field, Message, SchemaError, Struct, snake_case
from protocol.versions import OPEN_END, VersionRange

INDENT: Final = "    "

# Primitive of fixed size -> its letter for `struct`.
CODES: Final = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "int64": "q",
    "float64": "d",
    "uuid": "16s",
}

PYTHON_TYPES: Final = {
    "bool": "bool",
    "float64": "float",
    "string": "str",
    "uuid": "bytes",
    "bytes": "bytes",
    "records": "Buffer",
}


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """The lines, moved to the right."""
    return [f"{INDENT * levels}{line}" if line else line for line in lines]


def python_type(field: Field) -> str:
    """The annotation of a field."""
    element = (
        field.struct.class_name if field.struct else PYTHON_TYPES.get(field.element_type, "int")
    )
    full = f"list[{element}]" if field.is_array else element
    return f"{full} | None" if field.nullable else full


def zero_expression(field: Field) -> str:
    """The default of a field as an expression that makes a new object where it is mutable."""
    if field.default == "null":
        return "None"
    if field.is_array:
        return "[]"
    if field.struct:
        return f"{field.struct.class_name}()"
    if field.type == "records":
        return "None" if field.nullable else 'b""'
    if field.default is not None:
        return repr(field.default)
    zeros = {"bool": "False", "float64": "0.0", "string": '""', "uuid": "NULL_UUID", "bytes": 'b""'}
    return zeros.get(field.type, "0")


def is_fixed(field: Field) -> bool:
    """Whether the field always takes the same number of bytes."""
    return field.type in CODES


def struct_name(fields: Sequence[Field]) -> str:
    """The name of the `struct.Struct` for these fields of fixed size, without its prefix."""
    letters = {"?": "o", "16s": "u"}
    return "".join(letters.get(code, code) for code in (CODES[each.type] for each in fields))


def struct_format(name: str) -> str:
    """The format for `struct` behind a name from `struct_name`."""
    return ">" + name.replace("o", "?").replace("u", "16s")


def condition(inner: VersionRange, known: VersionRange) -> str:
    """The test that a version known to be in `known` is in `inner`; "" if it always is."""
    first = inner.first if inner.first > known.first else None
    last = inner.last if inner.last < known.last else None
    if first is not None and last is not None:
        return f"version == {first}" if first == last else f"{first} <= version <= {last}"
    if first is not None:
        return f"version >= {first}"
    return f"version <= {last}" if last is not None else ""


class Flavours:
    """The ways in which a field is written, by version."""

    def __init__(self, field: Field, message: Message) -> None:
        self.field = field
        self.flexible = message.flexible

    def pieces(self, within: VersionRange) -> list[tuple[VersionRange, str]]:
        """Cut the range where the form changes; each piece with its prefix for reader and writer.

        The prefixes are "", "nullable_", "compact_" and "compact_nullable_". The newest versions
        come first.
        """
        starts = {within.first}
        for edges in (self.flexible, self.field.nullable):
            starts |= {edges.first, edges.last + 1}
        inside = sorted(start for start in starts if start in within)
        ends = [*(start - 1 for start in inside[1:]), within.last]
        pieces = []
        for first, last in zip(inside, ends, strict=True):
            compact = "compact_" if first in self.flexible else ""
            nullable = "nullable_" if first in self.field.nullable else ""
            pieces.append((VersionRange(first, last), compact + nullable))
        return pieces[::-1]


def chain(pieces: Sequence[tuple[VersionRange, list[str]]], known: VersionRange) -> list[str]:
    """An if-elif-else over the pieces, which cover all that is known, the newest first."""
    merged: list[tuple[VersionRange, list[str]]] = []
    for versions, lines in pieces:
        if merged and merged[-1][1] == lines:
            merged[-1] = (merged[-1][0].hull(versions), lines)
        else:
            merged.append((versions, lines))
    if len(merged) == 1:
        return merged[0][1]
    result: list[str] = []
    for index, (versions, lines) in enumerate(merged):
        word = "if" if index == 0 else "elif"
        test = condition(versions, known)
        last = index == len(merged) - 1
        result.append("else:" if last else f"{word} {test}:")
        result += indented(lines)
        known = VersionRange(known.first, versions.first - 1)
    return result


def guarded(versions: VersionRange, known: VersionRange, lines: list[str]) -> list[str]:
    """The lines under a test of the version, if one is needed."""
    test = condition(versions, known)
    return [f"if {test}:", *indented(lines)] if test else lines


def in_place_runs(struct: Struct) -> list[tuple[VersionRange, list[Field]]]:
    """The untagged fields in order, neighbours of the same versions together."""
    runs: list[tuple[VersionRange, list[Field]]] = []
    for field in struct.fields:
        versions = field.in_place
        if not versions:
            continue
        if runs and runs[-1][0] == versions:
            runs[-1][1].append(field)
        else:
            runs.append((versions, [field]))
    return runs


def fixed_runs(fields: Sequence[Field]) -> list[list[Field]]:
    """The fields in order, neighbours of fixed size together, all others alone."""
    runs: list[list[Field]] = []
    for field in fields:
        if runs and is_fixed(field) and is_fixed(runs[-1][-1]):
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs


def tagged(struct: Struct) -> list[Field]:
    """The tagged fields in the order of their tags."""
    return sorted((each for each in struct.fields if each.tagged), key=lambda each: each.tag or 0)


def has_records(struct: Struct) -> bool:
    """Whether records are somewhere in the struct."""
    own = any(each.type == "records" for each in struct.fields)
    return own or any(has_records(each.struct) for each in struct.fields if each.struct)


def function_suffix(struct: Struct) -> str:
    """The struct's part of the names of its functions."""
    return snake_case(struct.class_name)


def least_bytes(field: Field, versions: VersionRange, flexible: VersionRange) -> int:
    """The least that one element of an array takes in any of the versions."""
    least = min(_element_bytes(field, version, flexible) for version in versions)
    if least < 1:
        raise SchemaError(f"{field.name}: an element may take no bytes")
    return least


def _element_bytes(field: Field, version: int, flexible: VersionRange) -> int:
    if field.struct is not None:
        return struct_bytes(field.struct, version, flexible)
    return _primitive_bytes(field.element_type, version, flexible)


def struct_bytes(struct: Struct, version: int, flexible: VersionRange) -> int:
    """The least that a struct takes in a version."""
    total = 1 if version in flexible else 0
    for field in struct.fields:
        if version not in field.in_place:
            continue
        if field.is_array:
            total += 1 if version in flexible else 4
        elif field.struct is not None:
            nullable = version in field.nullable
            total += 1 if nullable else struct_bytes(field.struct, version, flexible)
        else:
            total += _primitive_bytes(field.type, version, flexible)
    return total


def _primitive_bytes(name: str, version: int, flexible: VersionRange) -> int:
    fixed = {"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4}
    fixed |= {"int64": 8, "float64": 8, "uuid": 16}
    if name in fixed:
        return fixed[name]
    if version in flexible:
        return 1
    return 2 if name == "string" else 4


def open_ended(versions: VersionRange, message: Message) -> str:
    """The range as a person would write it: `10+` where the last version is the newest."""
    last = OPEN_END if versions.last == message.versions.last else versions.last
    return str(VersionRange(versions.first, last))
