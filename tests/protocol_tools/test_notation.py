"""Writing the TOML notation."""

import tomllib

from protocol.notation import leading_comments, render
from protocol.schema import MESSAGES_DIR

FACTS = {
    "name": "X",
    "versions": "0-1",
    "request": [
        {"name": "a", "type": "int8", "default": -1, "nullable": True},
        {"name": "b", "type": "[]B", "fields": [{"name": "c", "type": "string"}]},
        {"name": "d", "type": "D", "fields": []},
    ],
    "response": [],
}


def test_a_field_takes_a_line_and_structs_are_indented() -> None:
    assert render(FACTS).splitlines() == [
        'name = "X"',
        'versions = "0-1"',
        "request = [",
        '  { name = "a", type = "int8", default = -1, nullable = true },',
        '  { name = "b", type = "[]B", fields = [',
        '    { name = "c", type = "string" },',
        "  ] },",
        '  { name = "d", type = "D", fields = [] },',
        "]",
        "response = []",
    ]
    assert tomllib.loads(render(FACTS)) == FACTS


def test_comments_at_the_top_are_kept() -> None:
    text = render(FACTS, "# v1: more\n# than v0")
    assert leading_comments(text) == "# v1: more\n# than v0"
    assert leading_comments("name = 1\n# later\n") == ""


def test_the_files_of_the_project_are_written_as_this_module_writes_them() -> None:
    for path in sorted(MESSAGES_DIR.glob("*.toml")):
        text = path.read_text("utf-8")
        assert render(tomllib.loads(text), leading_comments(text)) == text, path.name
