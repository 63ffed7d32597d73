"""The TOML notation and the model behind it."""

import tomllib
from pathlib import Path

import pytest

from protocol.schema import (
    SchemaError,
    SchemaFile,
    load_all,
    load_file,
    module_stem,
    parse_schema,
    snake_case,
)
from protocol.versions import VersionRange

API = """
name = "Weigh"
api_key = 7
versions = "2-5"
flexible = "4+"
request = [
  { name = "kind", type = "int8", default = -1 },
  { name = "old", type = "string", versions = "0-2", nullable = true },
  { name = "gone", type = "string", versions = "0-1" },
  { name = "things", type = "[]Thing", versions = "3+", nullable = "5+", fields = [
    { name = "id", type = "uuid" },
    { name = "tag", type = "string", versions = "4+", nullable = true, default = "null", tag = 1 },
  ] },
  { name = "best", type = "Thing", versions = "5+" },
]
response = [
  { name = "weight", type = "float64", versions = "3+", tag = 0, tagged = "4+" },
]
"""


def schema(text: str = API, stem: str = "07_weigh") -> SchemaFile:
    return parse_schema(stem, tomllib.loads(text))


def test_a_schema_is_read_with_all_its_facts() -> None:
    file = schema()
    request, response = file.messages
    assert (file.stem, file.name, file.number, file.is_api) == ("weigh", "Weigh", 7, True)
    assert (request.root.class_name, response.root.class_name) == ("WeighRequest", "WeighResponse")
    assert request.versions == VersionRange(2, 5)
    assert request.flexible == VersionRange(4, 5)

    kind, old, things, best = request.root.fields
    assert (kind.name, kind.default, kind.versions) == ("kind", -1, VersionRange(2, 5))
    assert (old.versions, old.nullable) == (VersionRange(2, 2), VersionRange(2, 2))
    assert (things.versions, things.nullable) == (VersionRange(3, 5), VersionRange(5, 5))
    assert things.is_array
    assert things.element_type == "Thing"
    assert things.struct is best.struct


def test_a_struct_lives_wherever_it_is_used() -> None:
    request = schema().messages[0]
    thing, root = request.structs()
    assert (thing.name, thing.versions) == ("Thing", VersionRange(3, 5))
    assert root is request.root
    tag = thing.fields[1]
    assert (tag.tag, tag.tagged, tag.is_null_by_default) == (1, VersionRange(4, 5), True)
    assert not tag.in_place


def test_a_field_may_become_tagged_later() -> None:
    weight = schema().messages[1].root.fields[0]
    assert (weight.in_place, weight.tagged) == (VersionRange(3, 3), VersionRange(4, 5))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (API.replace('"float64"', '"float32"'), "unknown type float32"),
        (API.replace('"[]Thing"', '"[]Thong"'), "unknown type Thing"),
        (API.replace("default = -1", "defualt = -1"), "unknown .*defualt"),
        ('name = "X"\nversions = "0"\nflexible = "none"', "no message"),
        (
            API.replace(
                '{ name = "best", type = "Thing", versions = "5+" }',
                '{ name = "best", type = "Thing", fields = [] }',
            ),
            "Thing is spelled out twice",
        ),
    ],
)
def test_mistakes_are_named(text: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        schema(text)


def test_the_name_of_a_broken_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "01_broken.toml"
    for text in ("name = ", "name = 1", API.replace('"2-5"', '"two"')):
        path.write_text(text)
        with pytest.raises(SchemaError, match=r"01_broken\.toml"):
            load_file(path)


def test_different_structs_of_one_name_get_prefixes_and_equal_ones_are_shared() -> None:
    text = """
name = "Pair"
api_key = 1
versions = "0"
flexible = "0+"
request = [
  { name = "same", type = "Same", fields = [{ name = "a", type = "int8" }] },
  { name = "other", type = "Other", fields = [{ name = "a", type = "int8" }] },
]
response = [
  { name = "same", type = "Same", fields = [{ name = "a", type = "int8" }] },
  { name = "other", type = "Other", fields = [{ name = "a", type = "int16" }] },
]
"""
    names = [[s.class_name for s in message.structs()] for message in schema(text).messages]
    assert names == [
        ["Same", "RequestOther", "PairRequest"],
        ["Same", "ResponseOther", "PairResponse"],
    ]


def test_records_and_formats_have_other_roles_and_may_have_own_versions() -> None:
    text = """
name = "Note"
record_type = 3
versions = "0-2"
flexible = "2+"
key_versions = "0"
key_flexible = "none"
key = [{ name = "id", type = "int8" }]
value = [{ name = "text", type = "string" }]
"""
    file = schema(text, "record_note")
    key, value = file.messages
    assert (file.stem, file.number, file.is_api) == ("note_record", 3, False)
    assert (key.role, key.versions, bool(key.flexible)) == ("key", VersionRange(0, 0), False)
    assert (value.root.class_name, value.flexible) == ("NoteValue", VersionRange(2, 2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ThrottleTimeMs", "throttle_time_ms"),
        ("ISR", "isr"),
        ("V3AndBelowTopics", "v3_and_below_topics"),
        ("topicId", "topic_id"),
        ("From", "from_"),
    ],
)
def test_names_become_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_module_names_come_from_file_names() -> None:
    assert module_stem("10_find_coordinator") == "find_coordinator"
    assert module_stem("record_offset_commit") == "offset_commit_record"
    assert module_stem("end_txn_marker") == "end_txn_marker"


def test_all_schemas_of_the_project_can_be_read() -> None:
    files = load_all()
    assert len({file.stem for file in files}) == len(files) > 100
