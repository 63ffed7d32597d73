"""Our regular expressions match the names that RE2J's match, and are refused with its words."""

from random import Random

from compat.kafka_rules.asking import kafka_says
from pykbroker.coordinator.regex.machine import MAX_STATES, Regex
from pykbroker.coordinator.regex.syntax import RegexError

PATTERNS = 3000
NAMES = ["", "a", "b", "ab", "ba", "aab", "a-b", "A", "K", "a.b_C-9", "a\nb", "aaaa", "abababab"]
PIECES = [
    *[
        "a",
        "b",
        "A",
        "k",
        "-",
        ".",
        "_",
        "9",
        "é",
        "\n",
        "\u017f",
        "[ab]",
        "[^a]",
        "[a-c.]",
        "[]a]",
    ],
    *[
        "[[:alpha:]]",
        "[[:^word:]-]",
        "[[:nope:]]",
        "[\\w-]",
        "[a",
        "[z-a]",
        "[\\d-a]",
        "[-a]",
        "[a-]",
    ],
    *[
        "\\d",
        "\\W",
        "\\s",
        "\\b",
        "\\B",
        "\\A",
        "\\z",
        "\\.",
        "\\_",
        "\\q",
        "\\1",
        "\\61",
        "\\x61",
        "\\x{61}",
    ],
    *[
        "\\pL",
        "\\PN",
        "\\p{Lu}",
        "\\p{^Lu}",
        "\\p{Latin}",
        "\\p{Common}",
        "\\p{Any}",
        "\\p{Nope}",
        "\\p{",
    ],
    *[
        "\\Qa.b\\E",
        "\\Q",
        "\\E",
        "\\C",
        "\\",
        "^",
        "$",
        "|",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?i:",
        "(?m)",
        "(?s-i)",
    ],
    *["(?P<x>", "(?<y>", "(?P<", "(?=", "(?U)", "(?)", "(?-)", "(?i-", "*", "+", "?", "*?", "??"],
    *[
        "{2}",
        "{1,2}",
        "{0,}",
        "{3,1}",
        "{1001}",
        "{,2}",
        "{",
        "}",
        "{01}",
        "]",
        "(a|b)",
        "(a*)",
        "(|b)",
    ],
]
# What RE2J calls an error inside of it.
OUR_WORDS = {"regexp/syntax: internal error": "unexpected )"}


def random_pattern(random: Random) -> str:
    return "".join(random.choices(PIECES, k=random.randint(1, 6)))


def our_answer(pattern: str) -> list[str] | str:
    try:
        regex = Regex(pattern)
    except RegexError as error:
        return str(error)
    return [name for name in NAMES if regex.matches(name)]


def test_random_expressions() -> None:
    patterns = [random_pattern(Random(seed)) for seed in range(PATTERNS)]
    patterns += [piece + other for piece in PIECES for other in ["", "*", ".*", ")"]]
    patterns += ["x" * (MAX_STATES - 1), "(a{0,200}b?){5}", "((((a*)*)*)*)*", "(?i)(?-i:a)k[^K]*"]
    answers = kafka_says(
        {"ask": "match", "pattern": pattern, "names": NAMES} for pattern in patterns
    )
    different = []
    for pattern, theirs in zip(patterns, answers, strict=True):
        ours = our_answer(pattern)
        if ours != (OUR_WORDS.get(theirs, theirs) if isinstance(theirs, str) else theirs):
            different.append((pattern, ours, theirs))
    assert not different
