r"""Regular expressions in RE2's syntax, read into nodes (https://github.com/google/re2/wiki/Syntax).

All of what RE2J, the library in Kafka, reads by default: no backreferences and no lookaround, so
that every expression can be matched in linear time. Groups capture nothing here and laziness
means nothing, because only whole names are matched. Errors have RE2J's words.

Names of topics are ASCII, so a class of characters is the set of the ASCII characters in it.

Deviations from RE2J: of the Unicode scripts only Latin and Common are known (all the others are
empty in ASCII); nesting is limited, and so is the product of nested repetitions, as in RE2 itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

MAX_DEPTH: Final = 100
MAX_REPEAT: Final = 1000

ASCII: Final = frozenset(map(chr, range(128)))
DIGITS: Final = frozenset("0123456789")
LOWER: Final = frozenset("abcdefghijklmnopqrstuvwxyz")
UPPER: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
WORD: Final = LOWER | UPPER | DIGITS | {"_"}
SPACES: Final = frozenset("\t\n\f\r ")
_CONTROLS: Final = frozenset(map(chr, [*range(32), 127]))
_GRAPHIC: Final = ASCII - _CONTROLS - {" "}

_PERL_CLASSES: Final = {"d": DIGITS, "s": SPACES, "w": WORD}
_POSIX_CLASSES: Final = {
    "alnum": LOWER | UPPER | DIGITS,
    "alpha": LOWER | UPPER,
    "ascii": ASCII,
    "blank": frozenset("\t "),
    "cntrl": _CONTROLS,
    "digit": DIGITS,
    "graph": _GRAPHIC,
    "lower": LOWER,
    "print": _GRAPHIC | {" "},
    "punct": _GRAPHIC - LOWER - UPPER - DIGITS,
    "space": SPACES | {"\v"},
    "upper": UPPER,
    "word": WORD,
    "xdigit": DIGITS | frozenset("abcdefABCDEF"),
}
_CATEGORIES: Final = {
    "L": "ultmo",
    "M": "nce",
    "N": "dlo",
    "P": "cdseifo",
    "S": "mcko",
    "Z": "slp",
    "C": "cfos",
}
_ESCAPES: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_INVALID_ESCAPE: Final = "invalid escape sequence"
_INVALID_RANGE: Final = "invalid character class range"
# Characters outside of ASCII that are a letter of it in another case.
_FOLDED: Final = {"\u017f": frozenset("sS"), "\u212a": frozenset("kK")}


class RegexError(Exception):
    """An expression that cannot be read; the message says why."""


class Place(Enum):
    """What an expression may ask of the place between two characters."""

    TEXT_START = auto()
    TEXT_END = auto()
    LINE_START = auto()
    LINE_END = auto()
    WORD_BOUNDARY = auto()
    NO_WORD_BOUNDARY = auto()


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    chars: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """So many times; `most` is None where there is no limit."""

    part: "Node"
    least: int
    most: int | None


Node: TypeAlias = Chars | Sequence | Choice | Repeat | Place


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool = False
    by_line: bool = False
    dot_is_all: bool = False


def parse(pattern: str) -> Node:
    """Read an expression.

    Raises:
        RegexError: It is not one.
    """
    return _Parser(pattern).parse()


def repetitions(node: Node) -> int:
    """How many copies of its innermost part an expression asks for at most."""
    match node:
        case Repeat(part, least, most):
            return repetitions(part) * max(least, most or 1, 1)
        case Sequence(parts) | Choice(parts):
            return max(map(repetitions, parts), default=1)
        case _:
            return 1


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._flags = _Flags()
        self._depth = 0
        self._group_names: set[str] = set()

    def parse(self) -> Node:
        node = self._choice()
        if self._position < len(self._pattern):
            raise RegexError("unexpected )")
        return node

    def _choice(self) -> Node:
        """Alternatives up to the end or a closing parenthesis."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RegexError("expression nests too deeply")
        parts = [self._sequence()]
        while self._skip("|"):
            parts.append(self._sequence())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        after_repetition = False
        while (char := self._peek()) not in ("", "|", ")"):
            bounds = self._repetition()
            if bounds is None:
                # RE2J takes a brace that opens no repetition for one in this respect.
                after_repetition = char == "{"
                self._element(parts, char)
                continue
            if not parts:
                raise RegexError("missing argument to repetition operator")
            if after_repetition:
                raise RegexError("invalid nested repetition operator")
            self._skip("?")  # Laziness.
            after_repetition = True
            parts[-1] = Repeat(parts[-1], *bounds)
            if repetitions(parts[-1]) > MAX_REPEAT:
                raise RegexError("invalid repeat count")
        return Sequence(tuple(parts))

    def _element(self, parts: list[Node], char: str) -> None:
        """Add what stands here, which may be nothing (flags) or several characters."""
        if char == "(":
            group = self._group()
            if group is not None:
                parts.append(group)
        elif char == "[":
            parts.append(Chars(self._class()))
        elif char == "\\":
            self._escaped_element(parts)
        else:
            self._position += 1
            match char:
                case ".":
                    parts.append(Chars(ASCII if self._flags.dot_is_all else ASCII - {"\n"}))
                case "^":
                    parts.append(Place.LINE_START if self._flags.by_line else Place.TEXT_START)
                case "$":
                    parts.append(Place.LINE_END if self._flags.by_line else Place.TEXT_END)
                case _:
                    parts.append(self._literal(char))

    def _repetition(self) -> tuple[int, int | None] | None:
        match self._peek():
            case "*":
                self._position += 1
                return 0, None
            case "+":
                self._position += 1
                return 1, None
            case "?":
                self._position += 1
                return 0, 1
            case "{":
                return self._counted_repetition()
            case _:
                return None

    def _counted_repetition(self) -> tuple[int, int | None] | None:
        """{2}, {2,} or {2,3}; anything else in braces is literal text."""
        start = self._position
        self._position += 1
        least = most = self._number()
        if self._skip(","):
            most = None if self._peek() == "}" else self._number()
            if most is None and self._peek() != "}":
                least = None
        if least is None or not self._skip("}"):
            self._position = start
            return None
        if max(least, most or 0) > MAX_REPEAT or (most is not None and least > most):
            raise RegexError("invalid repeat count")
        return least, most

    def _number(self) -> int | None:
        digits = self._while(lambda char: char in DIGITS)
        if not digits or (len(digits) > 1 and digits[0] == "0"):
            return None
        # Python refuses to read thousands of digits.
        return int(digits) if len(digits) <= 8 else MAX_REPEAT + 1

    def _group(self) -> Node | None:
        outer_flags = self._flags
        self._position += 1
        if self._peek() == "?":
            if self._skip("?P<") or self._skip("?<"):
                self._group_name()
            elif not self._opens_group_after_flags():
                return None
        node = self._choice()
        if not self._skip(")"):
            raise RegexError("missing closing )")
        self._flags = outer_flags
        return node

    def _group_name(self) -> None:
        name = self._while(lambda char: char != ">")
        if not self._skip(">") or not name or not WORD.issuperset(name):
            raise RegexError("invalid named capture")
        if name in self._group_names:
            raise RegexError("duplicate capture group name")
        self._group_names.add(name)

    def _opens_group_after_flags(self) -> bool:
        """Read (?i) or (?i: and tell whether it is the second."""
        self._position += 1
        text = self._while(lambda char: char in "imsU-")
        on, minus, off = text.partition("-")
        end = self._pop()
        if (minus and not off) or "-" in off or end not in (":", ")"):
            raise RegexError("invalid or unsupported Perl syntax")
        if end == ")" or text:
            old = self._flags
            self._flags = _Flags(
                ignore_case="i" not in off and ("i" in on or old.ignore_case),
                by_line="m" not in off and ("m" in on or old.by_line),
                dot_is_all="s" not in off and ("s" in on or old.dot_is_all),
            )
        return end == ":"

    def _escaped_element(self, parts: list[Node]) -> None:
        kind = self._pattern[self._position + 1 : self._position + 2]
        places = {
            "A": Place.TEXT_START,
            "z": Place.TEXT_END,
            "b": Place.WORD_BOUNDARY,
            "B": Place.NO_WORD_BOUNDARY,
        }
        if kind in places:
            self._position += 2
            parts.append(places[kind])
        elif kind == "Q":
            self._position += 2
            text, _, _ = self._pattern[self._position :].partition("\\E")
            self._position = min(self._position + len(text) + 2, len(self._pattern))
            parts += map(self._literal, text)
        else:
            chars = self._escaped_class()
            parts.append(self._literal(self._escaped_char()) if chars is None else Chars(chars))

    def _literal(self, char: str) -> Chars:
        return Chars(self._folded(ASCII & {char}, char, char))

    def _folded(self, chars: frozenset[str], low: str, high: str) -> frozenset[str]:
        """Characters and, if case does not matter, the others that differ in nothing else.

        Args:
            chars: The ASCII characters of a range.
            low: Where the range begins, in ASCII or beyond.
            high: Where it ends.
        """
        if not self._flags.ignore_case:
            return chars
        both = chars | {char.swapcase() for char in chars}
        for outside, inside in _FOLDED.items():
            if low <= outside <= high:
                both |= inside
        return both

    def _class(self) -> frozenset[str]:
        """The characters of [...]."""
        self._position += 1
        is_negated = self._skip("^")
        chars: frozenset[str] = frozenset()
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            named = self._posix_class()
            if named is None:
                named = self._escaped_class()
            chars |= self._range() if named is None else named
        self._position += 1
        return ASCII - chars if is_negated else chars

    def _range(self) -> frozenset[str]:
        low = high = self._class_char()
        if self._peek() == "-" and self._pattern[self._position + 1 : self._position + 2] != "]":
            self._position += 1
            high = self._class_char()
        if high < low:
            raise RegexError(_INVALID_RANGE)
        return self._folded(frozenset(c for c in ASCII if low <= c <= high), low, high)

    def _class_char(self) -> str:
        if self._peek() == "":
            raise RegexError("missing closing ]")
        return self._escaped_char() if self._peek() == "\\" else self._pop()

    def _posix_class(self) -> frozenset[str] | None:
        """[:alpha:], or None if no such class begins here."""
        if not self._pattern.startswith("[:", self._position):
            return None
        end = self._pattern.find(":]", self._position)
        if end < 0:
            return None
        name = self._pattern[self._position + 2 : end]
        self._position = end + 2
        chars = _POSIX_CLASSES.get(name.removeprefix("^"))
        if chars is None:
            raise RegexError(_INVALID_RANGE)
        return self._signed(chars, is_negated=name.startswith("^"))

    def _escaped_class(self) -> frozenset[str] | None:
        r"""\d, \pL, \p{Lu} and their opposites, or None if no such class begins here."""
        if self._peek() != "\\":
            return None
        kind = self._pattern[self._position + 1 : self._position + 2]
        if kind in ("p", "P"):
            self._position += 2
            return self._unicode_class(is_negated=kind == "P")
        chars = _PERL_CLASSES.get(kind.lower())
        if chars is None:
            return None
        self._position += 2
        return self._signed(chars, is_negated=kind.isupper())

    def _unicode_class(self, *, is_negated: bool) -> frozenset[str]:
        name = self._pop()
        if name == "{":
            name = self._while(lambda char: char != "}")
            if not self._skip("}"):
                raise RegexError(_INVALID_RANGE)
        is_negated ^= name.startswith("^")
        return self._signed(_in_unicode_class(name.removeprefix("^")), is_negated=is_negated)

    def _signed(self, chars: frozenset[str], *, is_negated: bool) -> frozenset[str]:
        if self._flags.ignore_case:
            chars |= {char.swapcase() for char in chars}
        return ASCII - chars if is_negated else chars

    def _escaped_char(self) -> str:
        """The character after a backslash."""
        self._position += 1
        char = self._pop()
        if char == "":
            raise RegexError("trailing backslash at end of expression")
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char == "x":
            return self._hexadecimal()
        if char in "01234567":
            more = self._while(lambda digit: digit in "01234567", at_most=2)
            if char == "0" or more:
                return chr(int(char + more, 8))
            raise RegexError(_INVALID_ESCAPE)  # It would be a backreference.
        if char not in ASCII or (char in WORD and char != "_"):
            raise RegexError(_INVALID_ESCAPE)
        return char

    def _hexadecimal(self) -> str:
        if self._skip("{"):
            digits = self._while(_is_hexadecimal)
            # Any number of digits, but Python has characters up to 0x10FFFF.
            if not self._skip("}") or not digits or len(digits.lstrip("0")) > 6:
                raise RegexError(_INVALID_ESCAPE)
        else:
            digits = self._while(_is_hexadecimal, at_most=2)
            if len(digits) < 2:
                raise RegexError(_INVALID_ESCAPE)
        number = int(digits, 16)
        if number > 0x10FFFF:
            raise RegexError(_INVALID_ESCAPE)
        return chr(number)

    def _peek(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _pop(self) -> str:
        char = self._peek()
        self._position += 1
        return char

    def _skip(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._position):
            return False
        self._position += len(text)
        return True

    def _while(self, holds: Callable[[str], bool], at_most: int | None = None) -> str:
        start = self._position
        while (char := self._peek()) and holds(char) and self._position - start != at_most:
            self._position += 1
        return self._pattern[start : self._position]


def _is_hexadecimal(char: str) -> bool:
    return char in _POSIX_CLASSES["xdigit"]


def _in_unicode_class(name: str) -> frozenset[str]:
    # Loaded only for an expression that needs it.
    import unicodedata

    if name == "Any":
        return ASCII
    if name[:1] in _CATEGORIES and (len(name) == 1 or name[1:] in list(_CATEGORIES[name[0]])):
        return frozenset(char for char in ASCII if unicodedata.category(char).startswith(name))
    if name == "Latin":
        return LOWER | UPPER
    if name == "Common":
        return ASCII - LOWER - UPPER
    raise RegexError(_INVALID_RANGE)
