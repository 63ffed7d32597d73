"""The generator: what it writes for schemas of all kinds, and that its output is up to date."""

import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from protocol.emit_code import condition
from protocol.generate import main, module_text, module_texts, write_or_list
from protocol.schema import SchemaError, parse_schema
from protocol.versions import VersionRange

EVERYTHING = """
name = "Everything"
api_key = 7
versions = "1-6"
flexible = "3+"
request = [
  { name = "flag", type = "bool", default = true },
  { name = "tiny", type = "int8" },
  { name = "port", type = "uint16" },
  { name = "ratio", type = "float64" },
  { name = "id", type = "uuid" },
  { name = "version", type = "int32", default = -1 },
  { name = "text", type = "string", versions = "2+", nullable = "4+" },
  { name = "blob", type = "bytes", nullable = true, default = "null" },
  { name = "records", type = "records", versions = "2-5" },
  { name = "numbers", type = "[]int64", nullable = "5+" },
  { name = "words", type = "[]string", nullable = "2+" },
  { name = "ids", type = "[]uuid", versions = "3+" },
  { name = "later", type = "int16", tag = 0, tagged = "4+", default = 5 },
  { name = "tagged_flag", type = "bool", versions = "4+", tag = 1 },
  { name = "tagged_true", type = "bool", versions = "4+", tag = 2, default = true },
  { name = "note", type = "string", versions = "4+", nullable = true, default = "null", tag = 3 },
  { name = "tagged_words", type = "[]string", versions = "4+", tag = 4 },
  { name = "tagged_one", type = "Part", versions = "5+", tag = 5, fields = [
    { name = "data", type = "string" },
    { name = "position", type = "int8", versions = "6+" },
  ] },
  { name = "maybe", type = "Part", versions = "5+", nullable = true, tag = 6, default = "null" },
  { name = "part", type = "Part", versions = "5+", nullable = true, default = "null" },
  { name = "parts", type = "[]Part", versions = "5+", nullable = "6+" },
]
response = []
"""


def compiled(text: str, stem: str = "07_everything") -> Any:
    """The module that is generated for a schema."""
    module = ModuleType("generated_for_a_test")
    source = module_text(parse_schema(stem, tomllib.loads(text)))
    # Dataclasses look their module up while they are made.
    exec(compile(source, "generated", "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def everything() -> Any:
    return compiled(EVERYTHING)


def round_trip(message: Any, version: int) -> Any:
    frame = b"".join(message.encode(version))
    return type(message).decode(memoryview(frame), version)


def test_every_kind_of_field_survives_the_round_trip(everything: Any) -> None:
    part = everything.Part
    full = everything.EverythingRequest(
        flag=False,
        tiny=-1,
        port=65535,
        ratio=0.5,
        id=bytes(range(16)),
        version=9,
        text="t",
        blob=b"b",
        records=b"r" * 3000,
        numbers=[1, -1],
        words=["w"],
        ids=[b"i" * 16],
        later=6,
        tagged_flag=True,
        tagged_true=False,
        note="",
        tagged_words=["x"],
        tagged_one=part("p", 1),
        maybe=part("q", 2),
        part=part("r", 3),
        parts=[part("s", 4)],
    )
    assert round_trip(full, 6).parts == full.parts
    for name in everything.EverythingRequest.__dataclass_fields__:
        if name in ("API_KEY", "MIN_VERSION", "MAX_VERSION", "FIRST_FLEXIBLE_VERSION"):
            continue
        spoken = getattr(round_trip(full, 6), name)
        expected = b"" if name == "records" else getattr(full, name)
        assert spoken == expected, name
    assert round_trip(full, 5).records == full.records
    assert [round_trip(full, version).later for version in range(1, 7)] == [6] * 6


def test_defaults_are_said_and_read(everything: Any) -> None:
    request = everything.EverythingRequest()
    for version in range(1, 7):
        assert round_trip(request, version) == request
    # No tag is written for a default: flag ... version, text, blob, numbers, words, ids, ...
    frame = b"".join(request.encode(6))
    assert frame.endswith(b"\xff\x01\x00")  # part null, no parts, no tags


def test_null_is_allowed_in_the_versions_that_say_so(everything: Any) -> None:
    for name, first in (("text", 4), ("numbers", 5), ("words", 2), ("parts", 6)):
        request = everything.EverythingRequest(**{name: None})
        for version in range(1, 7):
            absent = (name == "text" and version < 2) or (name == "parts" and version < 5)
            if version >= first:
                assert getattr(round_trip(request, version), name) is None, (name, version)
            elif not absent:
                with pytest.raises(ValueError, match="null"):
                    request.encode(version)


def test_an_empty_message_is_nothing_or_an_empty_tag_section(everything: Any) -> None:
    response = everything.EverythingResponse()
    assert b"".join(response.encode(1)) == b""
    assert b"".join(response.encode(3)) == b"\x00"
    assert round_trip(response, 3) == response


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('name = "bytes", type = "int8"', "would hide"),
        ('name = "a", type = "[]Empty", fields = []', "may take no bytes"),
        (
            'name = "a", type = "A", nullable = "2+", fields = [{ name = "b", type = "int8" }]',
            "nullable in some versions only",
        ),
        (
            'name = "a", type = "A", versions = "3+", tag = 0, '
            'fields = [{ name = "b", type = "records" }]',
            "records in a tagged field",
        ),
    ],
)
def test_schemas_that_cannot_be_generated_are_refused(field: str, reason: str) -> None:
    text = (
        'name = "X"\napi_key = 1\nversions = "1-3"\nflexible = "3+"\n'
        f"request = [{{ {field} }}]\nresponse = []\n"
    )
    with pytest.raises(SchemaError, match=reason):
        compiled(text)


def test_two_files_may_not_make_the_same_module() -> None:
    schema = parse_schema("07_everything", tomllib.loads(EVERYTHING))
    with pytest.raises(SchemaError, match="same module"):
        module_texts([schema, schema])


@pytest.mark.parametrize(
    ("inner", "known", "expected"),
    [
        ((0, 9), (0, 9), ""),
        ((3, 9), (0, 9), "version >= 3"),
        ((0, 2), (0, 9), "version <= 2"),
        ((3, 5), (0, 9), "3 <= version <= 5"),
        ((4, 4), (0, 9), "version == 4"),
        ((9, 9), (0, 9), "version >= 9"),
        ((0, 0), (0, 9), "version <= 0"),
    ],
)
def test_a_version_is_tested_as_shortly_as_possible(
    inner: tuple[int, int], known: tuple[int, int], expected: str
) -> None:
    assert condition(VersionRange(*inner), VersionRange(*known)) == expected


def test_drift_is_found_and_mended(tmp_path: Path) -> None:
    texts = {"a.py": "A\n", "b.py": "B\n"}
    assert write_or_list(texts, tmp_path / "new", check=False) == ["a.py", "b.py"]
    assert write_or_list(texts, tmp_path / "new", check=True) == []

    (tmp_path / "new" / "a.py").write_text("changed\n")
    (tmp_path / "new" / "old.py").write_text("of an API that is gone\n")
    (tmp_path / "new" / "README.md").write_text("kept\n")
    assert write_or_list(texts, tmp_path / "new", check=True) == ["a.py", "old.py"]
    assert (tmp_path / "new" / "a.py").read_text() == "changed\n"
    assert write_or_list(texts, tmp_path / "new", check=False) == ["a.py", "old.py"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "README.md",
        "a.py",
        "b.py",
    ]


def test_the_generated_modules_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_the_command_says_what_it_would_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], tmp_path) == 1
    assert "not current: produce.py" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
