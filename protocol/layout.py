"""Breaks long lines of generated code as `ruff format` would, so that both agree."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

LINE_COLUMNS: Final = 100
INDENT: Final = "    "


def laid_out(lines: Iterable[str]) -> list[str]:
    """The lines, those that are too long broken inside of their last bracket.

    A `def` is broken inside of its first bracket, the parameters.
    """
    return [part for line in lines for part in _broken(line)]


def _broken(line: str) -> list[str]:
    code, mark, comment = line.partition("  # ")
    if len(line) <= LINE_COLUMNS or '"""' in line:
        return [line]
    groups = _bracket_groups(code)
    if not groups:
        return [line]
    start, end = groups[0] if code.lstrip().startswith("def ") else groups[-1]
    indent = code[: len(code) - len(code.lstrip())]
    head, inner, tail = code[: start + 1], code[start + 1 : end], indent + code[end:]
    target, equals, value = code.partition(" = ")
    if equals and len(target) + len(" = (") > LINE_COLUMNS:
        names = [f"{indent}{INDENT}{name}," for name in _items(target.strip())]
        return [f"{indent}(", *names, f"{indent}) = {value}"]
    if equals and len(head) > LINE_COLUMNS:
        return [f"{target} = (", f"{indent}{INDENT}{value}", f"{indent})"]
    if len(indent + INDENT + inner) <= LINE_COLUMNS:
        return [head, indent + INDENT + inner, tail + mark + comment]
    items = [f"{indent}{INDENT}{item}," for item in _items(inner)]
    return [head, *items, tail + mark + comment]


def _bracket_groups(line: str) -> list[tuple[int, int]]:
    """Start and end of each outermost pair of brackets."""
    groups = []
    depth = start = 0
    for position, character in enumerate(line):
        if character in "([{":
            start = position if depth == 0 else start
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                groups.append((start, position))
    return groups


def _items(inner: str) -> list[str]:
    """The parts between the outermost commas."""
    nested = _bracket_groups(inner)
    commas = [
        position
        for position, character in enumerate(inner)
        if character == "," and not any(start < position < end for start, end in nested)
    ]
    edges = [-1, *commas, len(inner)]
    return [inner[a + 1 : b].strip() for a, b in pairwise(edges)]
