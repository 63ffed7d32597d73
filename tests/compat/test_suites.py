import os
import re
from pathlib import Path

import pytest

from compat.suites import COMPAT_DIR, Suite, SuiteError, chosen, find_suites, listing, load

COMPLETE = """
title = "what it proves"
seconds = 60
ci = false
needs = ["java"]
targets = ["pykbroker", "kafka"]
"""


def a_suite(folder: Path, text: str = COMPLETE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "suite.toml").write_text(text)
    return folder


def test_a_suite_is_what_its_file_says(tmp_path: Path) -> None:
    extra = 'version = "that 1.0"\nci_arguments = ["--rounds", "3"]\n'
    suite = load(a_suite(tmp_path / "that", COMPLETE + extra))

    assert suite.name == "that"
    assert (suite.title, suite.seconds, suite.ci) == ("what it proves", 60, False)
    assert (suite.needs, suite.targets) == (("java",), ("pykbroker", "kafka"))
    assert (suite.version, suite.ci_arguments) == ("that 1.0", ("--rounds", "3"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "Invalid value"),
        (COMPLETE + "speed = 1\n", "unknown key speed"),
        (COMPLETE.replace("60", '"60"'), "seconds has a wrong type"),
        (COMPLETE.replace("false", "0"), "ci has a wrong type"),
        (COMPLETE.replace('["java"]', '"java"'), "needs is not a list of strings"),
        (COMPLETE.replace('["java"]', "[1]"), "needs is not a list of strings"),
        (COMPLETE.replace('needs = ["java"]', ""), "no needs"),
        (COMPLETE.replace('"kafka"', '"rabbit"'), "unknown target"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SuiteError, match=complaint):
        load(a_suite(tmp_path / "that", text))


def test_folders_with_a_file_are_found_and_chosen_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        a_suite(tmp_path / name)
    (tmp_path / "bench").mkdir()

    suites = find_suites(tmp_path)

    assert [suite.name for suite in suites] == ["a", "b"]
    assert chosen(suites, ["b"]) == [suites[1]]
    with pytest.raises(SuiteError, match="no suite c; there are a, b"):
        chosen(suites, ["a", "c"])


def test_the_listing_has_a_row_for_each_suite(tmp_path: Path) -> None:
    suite = load(a_suite(tmp_path / "that"))

    *_, row = listing([suite]).splitlines()

    assert row == "| `that` | what it proves |  | pykbroker, kafka | java |  |"


def test_the_page_of_compat_lists_the_suites() -> None:
    """`REWRITE=1 python -m pytest tests/compat` writes the list anew."""
    page = COMPAT_DIR / "README.md"
    text = page.read_text()
    begin, end = text.index("<!-- suites -->"), text.index("<!-- end -->")
    listed = f"<!-- suites -->\n{listing(find_suites())}\n"
    if os.environ.get("REWRITE"):
        page.write_text(text[:begin] + listed + text[end:])
    else:
        assert text[begin:end] == listed


@pytest.mark.parametrize("suite", [pytest.param(each, id=each.name) for each in find_suites()])
def test_the_page_of_a_suite_says_what_one_must_know(suite: Suite) -> None:
    """What it proves, and what is left out of it."""
    page = (suite.folder / "README.md").read_text()
    for part in (r"prove|compare|show", r"left out|exclude|differences that are meant"):
        assert re.search(part, page, re.IGNORECASE), part
    if suite.ci_arguments:
        assert "eft out of CI" in page
