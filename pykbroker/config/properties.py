"""Java's .properties text, as far as server.properties files use it; all of it, in fact.

One `key=value` a line. `=`, `:` or white space ends the key; `#` and `!` start a comment; a line
that ends in an odd number of backslashes goes on in the next one, without that line's leading
white space. `\\t`, `\\n`, `\\r`, `\\f` and `\\uXXXX` are escapes, any other escaped character is
itself. A later value of a key replaces an earlier one. Source: `java.util.Properties.load`.
"""

import re
from collections.abc import Iterator

_UNICODE_ESCAPE = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_WHITE = " \t\f"


class PropertiesError(ValueError):
    """The text is not a properties file; the message tells the line."""


def parse_properties(text: str) -> dict[str, str]:
    """Read all keys and values.

    Raises:
        PropertiesError: A `\\u` escape without four hexadecimal digits.
    """
    properties: dict[str, str] = {}
    for number, line in _logical_lines(text):
        key, value = _split(line)
        try:
            properties[_unescape(key)] = _unescape(value)
        except ValueError as error:
            raise PropertiesError(f"line {number}: {error}") from None
    return properties


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines; skip blank ones and comments; count from 1."""
    pending: str | None = None
    first = 0
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        line = raw.lstrip(_WHITE)
        if pending is None:
            if not line or line[0] in "#!":
                continue
            pending, first = "", number
        pending += line
        if _ends_in_odd_backslashes(line):
            pending = pending[:-1]
            continue
        yield first, pending
        pending = None
    if pending:
        yield first, pending


def _ends_in_odd_backslashes(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    """Cut at the first separator that no backslash protects."""
    position = 0
    while position < len(line):
        character = line[position]
        if character == "\\":
            position += 2
        elif character in "=: \t\f":
            break
        else:
            position += 1
    rest = line[position:].lstrip(_WHITE)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_WHITE)
    return line[:position], rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            out.append(character)
            continue
        escaped = text[position : position + 1]
        position += 1
        if escaped != "u":
            out.append(_ESCAPES.get(escaped, escaped))
            continue
        digits = text[position : position + 4]
        if not _UNICODE_ESCAPE.fullmatch(digits):
            raise ValueError(f"\\u{digits} is not a \\uXXXX escape")
        position += 4
        out.append(chr(int(digits, 16)))
    # Java text is UTF-16: two escapes may make one character.
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
