import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.config.properties import PropertiesError, parse_properties


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a = b\r\nc: d\re f", {"a": "b", "c": "d", "e": "f"}),
        ("  a=b  ", {"a": "b  "}),
        ("# a=b\n! c=d\n\n   # e=f\n", {}),
        ("a=b # no comment", {"a": "b # no comment"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("=b", {"": "b"}),
        ("a==b", {"a": "=b"}),
        ("a : = b", {"a": "= b"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=b,\\\n   c,\\\n   d", {"a": "b,c,d"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("a=b\\\n# no comment here", {"a": "b# no comment here"}),
        ("a=b\\", {"a": "b"}),
        ("a=\\", {"a": ""}),
        ("a\\ b\\=c\\:d=e", {"a b=c:d": "e"}),
        ("a=\\t\\n\\r\\f\\q\\\\", {"a": "\t\n\r\fq\\"}),
        ("a=\\u00e9\\u20AC", {"a": "é€"}),
        ("a=\\ud83d\\ude00", {"a": "😀"}),
        ("listeners=PLAINTEXT://:9092", {"listeners": "PLAINTEXT://:9092"}),
    ],
)
def test_it_reads_what_java_reads(text: str, expected: dict[str, str]) -> None:
    assert parse_properties(text) == expected


def test_half_a_unicode_escape_is_refused_with_its_line() -> None:
    with pytest.raises(PropertiesError, match=r"line 2: \\u12g4 is not"):
        parse_properties("a=b\nc=\\u12g4")


def _escape(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


BASIC = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(BASIC, BASIC, max_size=5))
@settings(max_examples=50)
def test_escaped_keys_and_values_come_back(properties: dict[str, str]) -> None:
    text = "\n".join(f"{_escape(key)}={_escape(value)}" for key, value in properties.items())

    assert parse_properties(text) == properties


@given(st.text(st.sampled_from("ab=: \\\n\r\tu01#!"), max_size=40))
@settings(max_examples=100)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        properties = parse_properties(text)
    except PropertiesError:
        return
    assert all(isinstance(value, str) for value in properties.values())
