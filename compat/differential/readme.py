"""The parts of this folder's README.md that are made from the code."""

import re
from collections.abc import Callable, Mapping

from compat.differential.catalogue import FOLDER, UNSEEN, UNSEEN_IN, counts
from compat.differential.differences import DIFFERENCES

README = FOLDER / "README.md"


def counts_table() -> str:
    """The number of cases for each API."""
    rows = ["| API | cases | with versions | versions |", "|---|---|---|---|"]
    rows += [f"| {name} | {cases} | {tests} | {shown} |" for name, cases, tests, shown in counts()]
    cases = sum(each[1] for each in counts())
    tests = sum(each[2] for each in counts())
    return "\n".join([*rows, f"| **all** | **{cases}** | **{tests}** | |"])


def differences_table() -> str:
    """Every difference that is meant, those with one reason together."""
    places: dict[str, list[str]] = {}
    for each in DIFFERENCES:
        names = places.setdefault(each.reason, [])
        if each.case not in names:
            names.append(each.case)
    rows = ["| cases | reason |", "|---|---|"]
    for reason, names in places.items():
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {reason} |")
    return "\n".join(rows)


def unseen_table() -> str:
    """Every error code that no case shows."""
    rows = ["| error code | API | why no case shows it |", "|---|---|---|"]
    rows += [f"| {code.name} | all | {reason} |" for code, reason in UNSEEN.items()]
    for (api, code), reason in UNSEEN_IN.items():
        rows.append(f"| {code.name} | {api.display_name} | {reason} |")
    return "\n".join(rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "differences": differences_table,
    "unseen": unseen_table,
}


def written(text: str) -> str:
    """The README with its generated parts made anew."""
    for name, make in PARTS.items():
        section = re.compile(rf"<!-- {name} -->\n.*?<!-- end -->", re.S)
        assert section.search(text), f"README.md has no section {name}"
        start, end = section.split(text, 1)[0], section.split(text, 1)[-1]
        text = f"{start}<!-- {name} -->\n{make()}\n<!-- end -->{end}"
    return text
