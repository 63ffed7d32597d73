import pytest

pytest.importorskip("yaml", reason="the extra `yaml` is not installed")

from pykbroker.seeding.lines import Seed, SeedError, SeedRecord, SeedTopic
from pykbroker.seeding.yaml_file import parse_yaml

FILE = """
topics:
  orders:
    partitions: 2
    configs: {retention.ms: 5, preallocate: true, cleanup.policy: compact}
    records:
      - key: "42"
        value: {item: book, count: 2, price: 1.5, gift: null, tags: [a, no]}
      - {partition: 1, value: null, timestamp_ms: 7}
      - value_base64: /wA=
        headers: [{name: n, value: ~}]
      - &same {value: 12:30:45}
      - *same
      - value: |
          two
          lines
  empty:
  none: null
"""


def test_a_file_has_topics_and_records() -> None:
    assert parse_yaml(FILE) == Seed(
        {
            "orders": SeedTopic(
                "orders",
                2,
                {"retention.ms": "5", "preallocate": "true", "cleanup.policy": "compact"},
            ),
            "empty": SeedTopic("empty"),
            "none": SeedTopic("none"),
        },
        [
            SeedRecord(
                "orders",
                None,
                b"42",
                b'{"item": "book", "count": 2, "price": 1.5, "gift": null, "tags": ["a", "no"]}',
            ),
            SeedRecord("orders", 1, None, None, (), 7),
            SeedRecord("orders", None, None, b"\xff\x00", (("n", None),)),
            SeedRecord("orders", None, None, b"12:30:45"),
            SeedRecord("orders", None, None, b"12:30:45"),
            SeedRecord("orders", None, None, b"two\nlines\n"),
        ],
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "topics: {}"])
def test_a_file_may_have_no_topics(text: str) -> None:
    assert parse_yaml(text) == Seed()


@pytest.mark.parametrize(
    "word", ["no", "on", "2024-01-31", "0x10", "010", ".inf", "=", "<<", "1_0"]
)
def test_a_word_is_text_as_long_as_it_is_none_in_json(word: str) -> None:
    (record,) = parse_yaml(f"topics: {{t: {{records: [{{value: {word}}}]}}}}").records
    assert record.value == word.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("topics: [", "line 1: expected the node content"),
        ("a: 1\n--- b", "line 2: "),
        ("- a", "line 1: there must be names with values"),
        ("topics: text", "line 1: there must be names with values"),
        ("records: {}", "line 1: 'records' is not known here; there is topics"),
        ("topics:\n  t: {}\n  t: {}", "line 3: t is here twice"),
        ("topics:\n  [a]: {}", "line 2: a name is no text"),
        ("topics:\n  t: {partitions: 0}", "line 2: partitions is no number from 1"),
        ("topics:\n  t: {offset: 1}", "line 2: 'offset' is not known here"),
        ("topics:\n  t:\n    records: 5", "line 3: there must be a list"),
        ("topics:\n  t:\n    records:\n    - {}", "line 4: a record has no value"),
        ("topics:\n  t:\n    records:\n    - {value: 5}", "line 4: value is 5: text, null"),
        ("topics:\n  t:\n    records:\n    - value: !!binary AA==", "line 4: the tag "),
        ("topics: {t: {records: [{value: &a [*a]}]}}", "it is too deep, or contains itself"),
        ("topics: \0", "unacceptable character"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(SeedError) as refused:
        parse_yaml(text)
    assert reason in str(refused.value)
