import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.coordinator.regex import machine
from pykbroker.coordinator.regex.machine import Regex
from pykbroker.coordinator.regex.syntax import RegexError

NAMES = ["", "a", "b", "ab", "aab", "aa-b", "A", "orders", "orders.eu", "__consumer_offsets"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("", [""]),
        (".*", NAMES),
        ("a", ["a"]),
        ("a|ab", ["a", "ab"]),
        ("a+b", ["ab", "aab"]),
        ("a{2}.?b", ["aab", "aa-b"]),
        ("(a?){3}b", ["b", "ab", "aab"]),
        ("a{1,2}b?", ["a", "ab", "aab"]),
        ("(a*)*", ["", "a"]),
        ("(?i)a", ["a", "A"]),
        ("^orders$|^a", ["a", "orders"]),
        (r"orders\b.*", ["orders", "orders.eu"]),
        (r"a\Ba\b-b|a\bb", ["aa-b"]),
        (r".\B.+\.eu", ["orders.eu"]),
        ("__.*", ["__consumer_offsets"]),
        ("a^b", []),
        (r"(?m)a*$", ["", "a"]),
        ("é", []),
    ],
)
def test_an_expression_matches_whole_names(pattern: str, matched: list[str]) -> None:
    assert [name for name in NAMES if Regex(pattern).matches(name)] == matched


def test_lines_begin_and_end_at_newlines() -> None:
    assert Regex("a\n(?m)^b$\na").matches("a\nb\na")
    assert not Regex("a.b").matches("a\nb")


@pytest.mark.parametrize(
    "pattern", ["a" * 20_001, "a" * 5_001, "(abcdefghijk){250}(abcdefghijk){250}"]
)
def test_an_expression_that_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(RegexError, match="expression is too large"):
        Regex(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)*(.*)*(.*)*b", "(a?){250}b"]
)
def test_nothing_runs_away(pattern: str) -> None:
    started = time.perf_counter()
    assert not Regex(pattern).matches("a" * 249)
    assert time.perf_counter() - started < 2


def test_what_is_remembered_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_REMEMBERED_STATES", 5)
    names = [format(number, "b").replace("0", "a").replace("1", "b") for number in range(200)]
    few = Regex("(a|b)*a(a|b){2}")
    assert [name for name in names if few.matches(name)] == [
        name for name in names if name[-3:-2] == "a"
    ]


@given(
    st.recursive(
        st.sampled_from(["a", "b", ".", "[ab]", "^", "$", r"\b", ""]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=6,
    ),
    st.text(alphabet="ab-", max_size=6),
)
def test_small_expressions_match_what_pythons_do(pattern: str, name: str) -> None:
    import re

    theirs = re.compile(pattern.replace("$", r"\Z"))
    assert Regex(pattern).matches(name) == (theirs.fullmatch(name) is not None)
