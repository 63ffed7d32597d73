"""The parts of README.md that are made from the code.

`REWRITE=1 python -m pytest tests/test_readme.py` writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

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


GENERATED = {"apis": support_table}


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
