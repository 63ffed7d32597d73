"""The rules of the code base as tests: who may import whom, what stays pure, what has a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pykbroker"

# A module may import its own package and what lies on a lower level. The longest prefix counts.
LEVELS = {
    "pykbroker.cli": 7,
    "pykbroker.__main__": 7,
    "pykbroker.commands": 7,
    "pykbroker.client": 6,
    "pykbroker.server": 6,
    "pykbroker.connection": 6,
    "pykbroker.dispatch": 5,
    "pykbroker.handlers": 4,
    "pykbroker.broker": 3,
    "pykbroker.request_context": 3,
    "pykbroker.request_memory": 3,
    "pykbroker.coordinator.runtime": 3,
    "pykbroker.delayed": 3,
    "pykbroker.durability": 3,
    "pykbroker.fetch_sessions": 3,
    "pykbroker.producer_ids": 3,
    "pykbroker.leadership": 3,
    "pykbroker.storage": 2,
    "pykbroker.metadata": 2,
    "pykbroker.coordinator.group": 2,
    "pykbroker.config": 1,
    "pykbroker.metrics": 1,
    "pykbroker.loggers": 1,
    "pykbroker.coordinator.transition": 1,
    "pykbroker.protocol": 0,
    "pykbroker.clock": 0,
    "pykbroker": 0,
}
# Modules of these levels know each other: they are one layer in several files.
LAYERS_IN_SEVERAL_FILES = {3, 6, 7}

PURE = [
    "protocol/**/*.py",
    "coordinator/transition.py",
    "coordinator/group/**/*.py",
    "storage/validation.py",
    "storage/producer_state.py",
    "storage/retention.py",
    "metadata/image.py",
]
IMPURE_IMPORTS = {
    "asyncio",
    "datetime",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "threading",
    "time",
}

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
# Where an unexpected exception becomes an answer or a log line; anywhere else it passes.
MAY_CATCH_EVERYTHING = ("dispatch.py", "server.py", "coordinator/runtime/")


def modules() -> list[Path]:
    """Every hand-written module of the package."""
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if PACKAGE / "protocol/messages" not in path.parents
    ]


def hand_written() -> list[Path]:
    """Every hand-written Python file of the repository."""
    folders = [ROOT / "protocol", ROOT / "tests", ROOT / "compat"]
    others = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if ".cache" not in path.parts
    ]
    return modules() + others


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Names of the imported modules, those for type checking alone left out."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree_of(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            for alias in node.names:
                if (
                    (ROOT / f"{node.module}.{alias.name}".replace(".", "/"))
                    .with_suffix(".py")
                    .exists()
                ):
                    yield f"{node.module}.{alias.name}"


def level_prefix(module: str) -> str:
    candidates = [p for p in LEVELS if module == p or module.startswith(p + ".")]
    return max(candidates, key=len)


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_a_module_imports_its_own_package_and_lower_levels_only(path: Path) -> None:
    own = level_prefix(name_of(path))
    for imported in imports_of(path):
        if not imported.startswith("pykbroker"):
            continue
        other = level_prefix(imported)
        same_layer = LEVELS[other] == LEVELS[own] and LEVELS[own] in LAYERS_IN_SEVERAL_FILES
        allowed = other in (own, "pykbroker") or LEVELS[other] < LEVELS[own] or same_layer
        assert allowed, f"{name_of(path)} (level {LEVELS[own]}) imports {imported}"


def test_a_handler_does_not_import_another() -> None:
    for path in (PACKAGE / "handlers").glob("*.py"):
        for imported in imports_of(path):
            if imported.startswith("pykbroker.handlers."):
                assert imported == name_of(path), f"{path.name} imports {imported}"


def test_build_time_code_is_not_imported_by_the_broker() -> None:
    for path in modules():
        assert not any(
            name.split(".")[0] in ("protocol", "tests", "compat") for name in imports_of(path)
        )


@pytest.mark.parametrize(
    "path", [path for pattern in PURE for path in sorted(PACKAGE.glob(pattern))], ids=relative
)
def test_a_pure_module_does_no_io_and_knows_no_time(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & IMPURE_IMPORTS


@pytest.mark.parametrize(
    "path", [path for path in modules() if not path.stem.startswith("__")], ids=relative
)
def test_every_module_has_its_test_module(path: Path) -> None:
    expected = ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    assert expected.exists(), f"{relative(expected)} is missing"


def test_every_test_module_has_its_module() -> None:
    tested_folders = [path for path in PACKAGE.iterdir() if path.is_dir()]
    for folder in tested_folders:
        for path in (ROOT / "tests" / folder.name).rglob("test_*.py"):
            target = PACKAGE / path.relative_to(ROOT / "tests")
            stem = path.stem.removeprefix("test_")
            candidates = [target.with_name(f"{stem}.py"), target.with_name(stem)]
            # Further test modules of one module add a word: test_messages_roundtrip.py.
            parts = stem.split("_")
            candidates += [
                target.with_name("_".join(parts[:n]) + suffix)
                for n in range(1, len(parts))
                for suffix in (".py", "")
            ]
            assert any(candidate.exists() for candidate in candidates), relative(path)


@pytest.mark.parametrize("path", hand_written(), ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= MAX_FILE_LINES, f"{relative(path)} has {lines} lines"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{relative(path)}: {node.name} has {length} lines"


def test_only_the_outer_layers_catch_every_exception() -> None:
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            place = f"{relative(path)}:{node.lineno}"
            assert node.type is not None, f"{place}: bare except"
            if isinstance(node.type, ast.Name) and node.type.id == "Exception":
                allowed = str(path.relative_to(PACKAGE)).startswith(MAY_CATCH_EVERYTHING)
                assert allowed, f"{place}: except Exception"


def test_every_folder_has_a_readme() -> None:
    for top in ("pykbroker", "protocol", "tests", "compat"):
        for folder in [ROOT / top, *(ROOT / top).rglob("*")]:
            skipped = any(part.startswith((".", "__")) for part in folder.relative_to(ROOT).parts)
            if folder.is_dir() and not skipped and any(folder.glob("*.py")):
                inside_tests = top == "tests" and folder.name != "harness" and folder != ROOT / top
                assert inside_tests or (folder / "README.md").exists(), relative(folder)
