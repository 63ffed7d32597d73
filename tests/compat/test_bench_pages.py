"""The generated parts of the two pages, beside the figures in compat/bench/results.json."""

from pathlib import Path

import pytest

from compat.bench.figures import Report
from compat.bench.pages import MADE_BY, RESULTS, SECTIONS, SHOWN, with_section
from compat.bench.rows import FULL, all_rows


@pytest.mark.skipif(not RESULTS.exists(), reason="no whole run was recorded yet")
@pytest.mark.parametrize("page", SECTIONS, ids=lambda page: str(page.parent.name))
def test_the_pages_show_the_figures(page: Path) -> None:
    section = "\n".join(SECTIONS[page](Report.read(RESULTS)))

    assert with_section(page.read_text(), section) == page.read_text(), (
        "run: python -m compat.bench.pages"
    )


def test_what_the_readme_shows_is_measured() -> None:
    measured = {(row.name, quantity.name) for row in all_rows(FULL) for quantity in row.quantities}

    assert set(SHOWN) <= measured


def test_a_section_replaces_the_old_one_and_nothing_else() -> None:
    page = f"before\n<!-- bench: {MADE_BY} -->\nold\nlines\n<!-- end -->\nafter"

    assert with_section(page, "new \\1") == page.replace("old\nlines", "new \\1")


def test_a_page_without_a_section_is_refused() -> None:
    with pytest.raises(ValueError, match="no section"):
        with_section("text", "new")
