"""The parts of README.md that are made from the code.

`REWRITE=1 python -m pytest tests/test_readme.py` writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.group_keys import GROUP_KEYS
from pykbroker.config.topic_keys import TOPIC_KEYS
from pykbroker.handlers import APIS

README = Path(__file__).parent.parent / "README.md"


def support_table() -> str:
    """One row for each API that is served."""
    rows = ["| API | key | versions | note |", "| --- | --- | --- | --- |"]
    for api in APIS.values():
        note = ""
        if api.advertised_min_version != api.min_version:
            refused = f"{api.advertised_min_version}-{api.min_version - 1}"
            note = f"{refused} are advertised for old librdkafka, and refused, as in Kafka"
        rows.append(
            f"| {api.name} | {int(api.key)} | {api.min_version}-{api.max_version} | {note} |"
        )
    return "\n".join(rows)


def defaults_table() -> str:
    """One row for each setting whose default is not Kafka's."""
    rows = ["| setting | here | Apache Kafka |", "| --- | --- | --- |"]
    rows += [
        f"| `{key.name}` | {_shown(key.default)} | {_shown(key.kafka_default)} |"
        for key in BROKER_KEYS.values()
        if key.deviates and not key.is_internal
    ]
    return "\n".join(rows)


def settings_table() -> str:
    """All settings: those with an effect in a table, the others by name."""
    parts = []
    for title, keys in (
        ("Broker", list(BROKER_KEYS.values())),
        ("Topic", list(TOPIC_KEYS)),
        ("Group", list(GROUP_KEYS)),
    ):
        shown = sorted((key for key in keys if not key.is_internal), key=lambda key: key.name)
        with_effect = [key for key in shown if key.has_effect]
        without = [key for key in shown if not key.has_effect]
        lines = ["<details>", f"<summary>{title} settings: {len(with_effect)} with an effect, "]
        lines[-1] += f"{len(without)} known but without one yet</summary>"
        if with_effect:
            lines += ["", "| setting | default | what it does |", "| --- | --- | --- |"]
            lines += [
                f"| `{key.name}` | {_shown(key.default)} | {key.doc} |" for key in with_effect
            ]
        if without:
            lines += ["", "Without an effect yet: " + ", ".join(f"`{key.name}`" for key in without)]
        parts.append("\n".join([*lines, "", "</details>"]))
    return "\n\n".join(parts)


def _shown(value: str | None) -> str:
    return "" if value is None else f"`{value}`" if value else "empty"


GENERATED = {"apis": support_table, "defaults": defaults_table, "settings": settings_table}


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_parts_are_up_to_date(name: str) -> None:
    readme = README.read_text()
    section = re.compile(
        rf"(<!-- {name}: made by tests/test_readme.py -->\n).*?(\n<!-- end -->)", re.S
    )
    match = section.search(readme)
    assert match is not None, f"README.md has no section {name!r}"

    expected = match[1] + GENERATED[name]() + match[2]
    if os.environ.get("REWRITE"):
        README.write_text(section.sub(lambda _: expected, readme))
    else:
        assert match[0] == expected, "run: REWRITE=1 python -m pytest tests/test_readme.py"
