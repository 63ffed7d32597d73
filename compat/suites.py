"""What the suites are: folders of compat/ with a `suite.toml`, which has

title         what it proves, in a line
seconds       limit for the whole suite
ci            whether it is part of `.ci/run`
needs         programs without which nothing of it can run
targets       brokers that it makes sense against
version       the outside code that it runs, with its version (optional)
ci_arguments  further arguments of pytest for the part in `.ci/run` (optional)
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from compat.targets import TARGETS

COMPAT_DIR = Path(__file__).parent


class SuiteError(Exception):
    """A `suite.toml` that cannot be understood, or a suite that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One folder of tests that is run as a whole; the fields are those of `suite.toml`."""

    folder: Path
    title: str
    seconds: int
    ci: bool
    needs: tuple[str, ...]
    targets: tuple[str, ...]
    version: str = ""
    ci_arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.name


def load(folder: Path) -> Suite:
    """The suite in this folder.

    Raises:
        SuiteError: Its suite.toml lacks something or has something unknown.
    """
    path = folder / "suite.toml"
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path}: {error}") from error
    types = {field.name: field.type for field in fields(Suite) if field.name != "folder"}
    for key, value in values.items():
        if key not in types:
            raise SuiteError(f"{path}: unknown key {key}")
        if types[key] == tuple[str, ...]:
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise SuiteError(f"{path}: {key} is not a list of strings")
            values[key] = tuple(value)
        elif type(value) is not types[key]:
            raise SuiteError(f"{path}: {key} has a wrong type")
    missing = {"title", "seconds", "ci", "needs", "targets"} - values.keys()
    if missing:
        raise SuiteError(f"{path}: no {', '.join(sorted(missing))}")
    if not set(values["targets"]) <= TARGETS.keys():
        raise SuiteError(f"{path}: unknown target in {', '.join(values['targets'])}")
    return Suite(folder=folder, **values)


def find_suites(directory: Path = COMPAT_DIR) -> list[Suite]:
    """All suites, by name."""
    return [load(path.parent) for path in sorted(directory.glob("*/suite.toml"))]


def chosen(suites: Sequence[Suite], names: Sequence[str]) -> list[Suite]:
    """The suites of these names, in this order.

    Raises:
        SuiteError: There is none of a name.
    """
    by_name = {suite.name: suite for suite in suites}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SuiteError(f"no suite {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def listing(suites: Sequence[Suite]) -> str:
    """A Markdown table with a row for each suite."""
    rows = [
        "| suite | what | outside code | targets | needs | in CI |",
        "|---|---|---|---|---|---|",
    ]
    for suite in suites:
        cells = [f"`{suite.name}`", suite.title, suite.version, ", ".join(suite.targets)]
        cells += [", ".join(suite.needs), "yes" if suite.ci else ""]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
