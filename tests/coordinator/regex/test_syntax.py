import pytest

from pykbroker.coordinator.regex.syntax import (
    ASCII,
    MAX_DEPTH,
    Chars,
    Choice,
    Place,
    RegexError,
    Repeat,
    Sequence,
    parse,
    repetitions,
)


def chars(text: str) -> Chars:
    return Chars(frozenset(text))


A, B = chars("a"), chars("b")


def test_sequences_choices_and_groups() -> None:
    assert parse("") == Sequence(())
    assert parse("ab|a") == Choice((Sequence((A, B)), Sequence((A,))))
    assert parse("(a|)(?:b)(?P<x>a)(?<y>b)") == Sequence(
        (Choice((Sequence((A,)), Sequence(()))), *(Sequence((each,)) for each in (B, A, B)))
    )


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("a*", 0, None),
        ("a+?", 1, None),
        ("a??", 0, 1),
        ("a{2}", 2, 2),
        ("a{2,}", 2, None),
        ("a{0,1000}?", 0, 1000),
    ],
)
def test_repetitions(pattern: str, least: int, most: int | None) -> None:
    assert parse(pattern) == Sequence((Repeat(A, least, most),))


@pytest.mark.parametrize("text", ["{", "}", "a{", "a{}", "a{,2}", "a{01}", "a{1", "a{1,x}", "]"])
def test_braces_that_are_no_repetition_are_text(text: str) -> None:
    assert parse(text) == Sequence(tuple(map(chars, text)))


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("^", Place.TEXT_START),
        (r"\A", Place.TEXT_START),
        ("$", Place.TEXT_END),
        (r"\z", Place.TEXT_END),
        ("(?m)^", Place.LINE_START),
        ("(?m)$", Place.LINE_END),
        (r"\b", Place.WORD_BOUNDARY),
        (r"\B", Place.NO_WORD_BOUNDARY),
    ],
)
def test_places(pattern: str, place: Place) -> None:
    assert parse(pattern) == Sequence((place,))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".", ASCII - {"\n"}),
        ("(?s).", ASCII),
        ("(?s-s).", ASCII - {"\n"}),
        ("[ab]", "ab"),
        ("[]a]", "]a"),
        ("[a-c-]", "abc-"),
        ("[^\\x00-\\x60]", set(map(chr, range(0x61, 0x80)))),
        ("[a\\-z]", "a-z"),
        ("[[:digit:][:^ascii:]x]", "0123456789x"),
        ("[[:a]", "[:a"),
        (r"\d", "0123456789"),
        (r"[^\D]", "0123456789"),
        (r"\pN", "0123456789"),
        (r"\p{Nd}", "0123456789"),
        (r"\P{^Nd}", "0123456789"),
        (r"[^\PN]", "0123456789"),
        (r"\p{Any}", ASCII),
        (r"[^\p{Latin}\p{Common}]", ""),
        (r"(?i)\p{Lu}", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("(?i)k", "kK"),
        ("(?i)\u212a", "kK"),
        ("(?i)[\u017f]", "sS"),
        ("é", ""),
        (r"\.", "."),
        (r"\_", "_"),
        (r"\t", "\t"),
        (r"\0", "\0"),
        (r"\101", "A"),
        (r"\x41", "A"),
        (r"\x{000041}", "A"),
    ],
)
def test_single_characters(pattern: str, expected: str | frozenset[str]) -> None:
    assert parse(pattern) == Sequence((Chars(frozenset(expected)),))


def test_flags_hold_until_their_group_ends() -> None:
    both = chars("aA")
    assert parse("(a(?i)a)a(?)") == Sequence((Sequence((A, both)), A))
    assert parse("(?i:a)a") == Sequence((Sequence((both,)), A))
    assert parse("(?U)a(?-U)") == Sequence((A,))


def test_quoted_text_is_literal() -> None:
    assert parse(r"\Qa|b\E*") == Sequence((A, chars("|"), Repeat(B, 0, None)))
    assert parse(r"\Qab") == Sequence((A, B))


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(a", "missing closing )"),
        ("a)", "unexpected )"),
        ("[a", "missing closing ]"),
        ("[a-", "missing closing ]"),
        ("[b-a]", "invalid character class range"),
        ("[[:]", "invalid character class range"),
        ("[[:nope:]]", "invalid character class range"),
        (r"\p", "invalid character class range"),
        (r"\p{Lu", "invalid character class range"),
        (r"\p{Lux}", "invalid character class range"),
        (r"\p{Greek}", "invalid character class range"),
        ("*", "missing argument to repetition operator"),
        ("(|+)", "missing argument to repetition operator"),
        ("a**", "invalid nested repetition operator"),
        ("{*", "invalid nested repetition operator"),
        ("a*???", "invalid nested repetition operator"),
        ("a{1001}", "invalid repeat count"),
        ("a{999999999}", "invalid repeat count"),
        ("a{2,1}", "invalid repeat count"),
        ("(a{100}){11}", "invalid repeat count"),
        ("(?=a)", "invalid or unsupported Perl syntax"),
        ("(?i-)", "invalid or unsupported Perl syntax"),
        ("(?i-s-m)", "invalid or unsupported Perl syntax"),
        ("(?", "invalid or unsupported Perl syntax"),
        ("(?P<a", "invalid named capture"),
        ("(?P<>a)", "invalid named capture"),
        ("(?<é>a)", "invalid named capture"),
        ("(?<a>a)(?P<a>a)", "duplicate capture group name"),
        ("\\", "trailing backslash at end of expression"),
        (r"\1", "invalid escape sequence"),
        (r"\q", "invalid escape sequence"),
        (r"\é", "invalid escape sequence"),
        (r"\C", "invalid escape sequence"),
        (r"\x4", "invalid escape sequence"),
        (r"\x{}", "invalid escape sequence"),
        (r"\x{110000}", "invalid escape sequence"),
        ("(" * MAX_DEPTH + ")" * MAX_DEPTH, "expression nests too deeply"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(pattern: str, error: str) -> None:
    with pytest.raises(RegexError) as raised:
        parse(pattern)
    assert str(raised.value) == error


def test_nested_repetitions_multiply() -> None:
    assert repetitions(parse("((ab{2,3}|a*){4,}^)?")) == 12
