"""The rules of the code base as tests: who may import whom, what stays pure, what has a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pykbroker"
GENERATED = PACKAGE / "protocol" / "messages"

# A module may import its own package and what lies on a lower level. The longest prefix counts.
LEVELS = {
    "pykbroker.cli": 7,
    "pykbroker.__main__": 7,
    "pykbroker.commands": 7,
    "pykbroker.control": 7,
    "pykbroker.tap": 7,
    "pykbroker.testing": 7,
    "pykbroker.client": 6,
    "pykbroker.faults": 6,
    "pykbroker.seeding": 6,
    "pykbroker.server": 6,
    "pykbroker.busy_poll": 5,
    "pykbroker.connection": 6,
    "pykbroker.answer_writer": 6,
    "pykbroker.dispatch": 5,
    "pykbroker.watching": 4,
    "pykbroker.handlers": 4,
    "pykbroker.broker": 3,
    "pykbroker.adoption": 3,
    "pykbroker.request_context": 3,
    "pykbroker.request_memory": 3,
    "pykbroker.coordinator.runtime": 3,
    "pykbroker.delayed": 3,
    "pykbroker.durability": 3,
    "pykbroker.flush_threads": 3,
    "pykbroker.fetch_sessions": 3,
    "pykbroker.producer_ids": 3,
    "pykbroker.leadership": 3,
    "pykbroker.transaction_admission": 3,
    "pykbroker.storage": 2,
    "pykbroker.metadata": 2,
    "pykbroker.security": 2,
    "pykbroker.coordinator.group": 2,
    "pykbroker.coordinator.transaction": 2,
    "pykbroker.config": 1,
    "pykbroker.metrics": 1,
    "pykbroker.loggers": 1,
    "pykbroker.log_limit": 0,
    "pykbroker.coordinator.transition": 1,
    "pykbroker.coordinator.regex": 1,
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
    "coordinator/transaction/**/*.py",
    "coordinator/regex/*.py",
    "storage/validation.py",
    "storage/producer_state.py",
    "storage/retention.py",
    "storage/cleaned_transactions.py",
    "storage/cleaning_job.py",
    "storage/compaction.py",
    "storage/offset_map.py",
    "storage/throttler.py",
    "metadata/image.py",
    "faults/matching.py",
    "faults/places.py",
    "faults/marking.py",
    "seeding/lines.py",
    "seeding/yaml_file.py",
    "tap/message_json.py",
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
MAY_CATCH_EVERYTHING = ("dispatch.py", "flush_threads.py", "server.py", "coordinator/runtime/")


def modules() -> list[Path]:
    """Every hand-written module of the package."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if GENERATED not in path.parents]


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


@cache
def imports_of(path: Path) -> list[str]:
    """Names of the imported modules, those for type checking alone left out."""
    if GENERATED in path.parents:  # Large, and they import at the top only.
        return re.findall(r"^(?:from|import) (\S+)", path.read_text(), re.M)
    found: list[str] = []
    nodes: list[ast.AST] = [tree_of(path)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes.extend(node.orelse)
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.append(node.module)
            submodules = (f"{node.module}.{alias.name}" for alias in node.names)
            found += [name for name in submodules if is_module(name)]
    return found


@cache
def is_module(name: str) -> bool:
    return (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


def level_prefix(module: str) -> str:
    candidates = [p for p in LEVELS if module == p or module.startswith(p + ".")]
    return max(candidates, key=len)


def test_a_module_imports_its_own_package_and_lower_levels_only() -> None:
    problems = []
    for path in modules():
        own = level_prefix(name_of(path))
        for imported in imports_of(path):
            if not imported.startswith("pykbroker"):
                continue
            other = level_prefix(imported)
            same_layer = LEVELS[other] == LEVELS[own] and LEVELS[own] in LAYERS_IN_SEVERAL_FILES
            if not (other in (own, "pykbroker") or LEVELS[other] < LEVELS[own] or same_layer):
                problems.append(f"{name_of(path)} (level {LEVELS[own]}) imports {imported}")
    assert problems == []


def test_a_handler_does_not_import_another() -> None:
    for path in (PACKAGE / "handlers").glob("*.py"):
        others = [name for name in imports_of(path) if name.startswith("pykbroker.handlers.")]
        assert others == [], f"{path.name} imports {others}"


def test_build_time_code_is_not_imported_by_the_broker() -> None:
    for path in modules():
        assert not any(
            name.split(".")[0] in ("protocol", "tests", "compat") for name in imports_of(path)
        )


def test_a_pure_module_does_no_io_and_knows_no_time() -> None:
    pure = [path for pattern in PURE for path in sorted(PACKAGE.glob(pattern))]
    problems = {
        relative(path): found
        for path in pure
        if (found := {name.split(".")[0] for name in imports_of(path)} & IMPURE_IMPORTS)
    }
    assert problems == {}


def test_every_module_has_its_test_module() -> None:
    tested = [path for path in modules() if not path.stem.startswith("__")]
    expected = [
        ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}") for path in tested
    ]
    assert [relative(path) for path in expected if not path.exists()] == []


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


def test_files_and_functions_stay_small() -> None:
    problems = []
    for path in hand_written():
        lines = path.read_text().count("\n")
        if lines > MAX_FILE_LINES:
            problems.append(f"{relative(path)} has {lines} lines")
        if ROOT / "tests" in path.parents:
            continue  # Parsing them takes long, and a test's length is its own affair.
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    problems.append(f"{relative(path)}: {node.name} has {length} lines")
    assert problems == []


def test_only_the_outer_layers_catch_every_exception() -> None:
    for path in modules():
        if not re.search(r"except\s*(:|Exception)", path.read_text()):
            continue  # Parsing takes long.
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
