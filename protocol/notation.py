"""Writes the TOML notation of `messages/`: one line a field, structs at their first use."""

import json
from typing import Any

Table = dict[str, Any]


def render(facts: Table, comments: str = "") -> str:
    """Render one schema file; `comments` are lines that go before the first fact."""
    lines = [comments] if comments else []
    for key, value in facts.items():
        if isinstance(value, list):
            lines.append(f"{key} = [{_rows(value, 1)}]")
        else:
            lines.append(f"{key} = {_scalar(value)}")
    return "\n".join(lines) + "\n"


def leading_comments(text: str) -> str:
    """The comment lines at the top of a file, which are ours and survive an import."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return "\n".join(lines)


def _rows(fields: list[Table], depth: int) -> str:
    if not fields:
        return ""
    indent = "  " * depth
    rows = "".join(f"{indent}{_row(each, depth)},\n" for each in fields)
    return f"\n{rows}{'  ' * (depth - 1)}"


def _row(table: Table, depth: int) -> str:
    parts = []
    for key, value in table.items():
        if key == "fields":
            parts.append(f"fields = [{_rows(value, depth + 1)}]")
        else:
            parts.append(f"{key} = {_scalar(value)}")
    return f"{{ {', '.join(parts)} }}"


def _scalar(value: bool | float | str) -> str:
    # JSON spells these four types as TOML does.
    return json.dumps(value)
