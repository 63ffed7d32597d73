import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykbroker.protocol.records import Record
from pykbroker.seeding.lines import (
    Seed,
    SeedError,
    SeedRecord,
    SeedTopic,
    batches,
    parse,
    record_line,
    topic_line,
)

FILE = """
{"topic": "orders", "key": "42", "value": {"item": "b\u00fccher", "count": 2}}
{"topic": "orders", "partitions": 2, "configs": {"retention.ms": 5, "preallocate": true}}

{"topic": "orders", "partition": 1, "value": null, "timestamp_ms": 7}
{"topic": "orders", "value_base64": "/wA=", "key_base64": "AQ==", "headers": [{"name": "n"}]}
{"topic": "other", "value": "x", "headers": [{"name": "h", "value": "a"}, {"name": "h",
"""


def test_a_file_has_topics_and_records() -> None:
    text = FILE.rpartition(', {"name": "h",')[0] + "]}\n" + '{"topic": "empty"}'
    assert parse(text) == Seed(
        {
            "orders": SeedTopic("orders", 2, {"retention.ms": "5", "preallocate": "true"}),
            "other": SeedTopic("other"),
            "empty": SeedTopic("empty"),
        },
        [
            SeedRecord("orders", None, b"42", '{"item": "b\u00fccher", "count": 2}'.encode()),
            SeedRecord("orders", 1, None, None, (), 7),
            SeedRecord("orders", None, b"\x01", b"\xff\x00", (("n", None),)),
            SeedRecord("other", None, None, b"x", (("h", b"a"),)),
        ],
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: Expecting"),
        ("[]", "line 2: it is no object"),
        ("{}", "line 2: it names no topic"),
        ({"topic": ""}, "it names no topic"),
        ({"topic": "t", "partition": 1}, "'partition' is not known here; there are configs, part"),
        ({"topic": "t", "partitions": 0}, "partitions is no number from 1"),
        ({"topic": "t", "partitions": True}, "partitions is no number from 1"),
        ({"topic": "t", "configs": []}, "configs is no object"),
        ({"topic": "t", "configs": {"a": None}}, "None is no value of a setting"),
        ({"topic": "first"}, "topic first is described twice"),
        ({"topic": "t", "value": "x", "offset": 1}, "'offset' is not known here"),
        ({"topic": "t", "value": 5}, "value is 5: text, null, an object or a list"),
        ({"topic": "t", "value": "x", "value_base64": "AA=="}, "both value and value_base64"),
        ({"topic": "t", "value_base64": 5}, "value_base64 is no text"),
        ({"topic": "t", "value_base64": "?"}, "value_base64: "),
        ({"topic": "t", "value": "x", "partition": -1}, "partition is no number from 0"),
        ({"topic": "t", "value": "x", "headers": {}}, "headers is no list"),
        ({"topic": "t", "value": "x", "headers": [{}]}, "a header has no name"),
        ({"topic": "t", "value": "x", "headers": [{"name": "h", "key": 1}]}, "'key' is not known"),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_a_line_that_is_wrong_is_named(line: Any, reason: str) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    with pytest.raises(SeedError) as refused:
        parse('{"topic": "first"}\n' + text)
    assert str(refused.value).startswith("line 2: ")
    assert reason in str(refused.value)


PAYLOADS = (
    st.none()
    | st.binary(max_size=8)
    | st.text(max_size=8).map(lambda text: text.encode(errors="replace"))
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Record,
        st.just(0),
        st.integers(0, 2**63 - 1),
        PAYLOADS,
        PAYLOADS,
        st.lists(st.tuples(st.text(max_size=3) | st.just("\udcff"), PAYLOADS)).map(tuple),
    )
)
def test_what_is_written_is_read_again(record: Record) -> None:
    line = record_line("t", 3, record)
    assert line.count(b"\n") == 1
    (read,) = parse(line.decode()).records
    assert read == SeedRecord("t", 3, record.key, record.value, record.headers, record.timestamp)


@pytest.mark.parametrize("topic", [SeedTopic("t"), SeedTopic("t", 3, {"cleanup.policy": "delete"})])
def test_a_topic_that_is_written_is_read_again(topic: SeedTopic) -> None:
    assert parse(topic_line(topic).decode()).topics == {"t": topic}


def test_batches_have_a_size() -> None:
    def record(size: int) -> Record:
        return Record(0, 0, b"k", bytes(size), (("h", b"v"), ("i", None)))

    records = [record(size) for size in (10, 10, 100, 1, 1)]
    assert batches(records, 110) == [records[:2], records[2:3], records[3:]]
    assert batches([], 40) == []
    assert batches(records, 0) == [[record] for record in records]
