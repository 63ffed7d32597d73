"""The examples of README.md's section "In tests", run as the tests that they are."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTION = "In tests"


def blocks(language: str) -> list[str]:
    """The code of the section that is in this language."""
    readme = (ROOT / "README.md").read_text()
    section = re.search(rf"^## {SECTION}$(.*?)^## ", readme, re.S | re.M)
    assert section is not None, f"README.md has no section {SECTION!r}"
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.S | re.M)
    return found


def examples() -> list[str]:
    """The Python code of the section, one file of tests each."""
    found = blocks("python")
    if find_spec("aiohttp") is None:  # the extra `control`
        return [example for example in found if "--control" not in example]
    return found


@pytest.mark.slow
def test_the_examples_are_tests_that_pass(tmp_path: Path) -> None:
    for number, example in enumerate(examples()):
        (tmp_path / f"test_example_{number}.py").write_text(example)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pykbroker.testing.plugin"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    tests = sum(len(re.findall(r"^def test_", example, re.M)) for example in examples())
    assert f"{tests + 1} passed" in done.stdout, "one has two parameters"


def test_the_example_in_yaml_is_a_seed() -> None:
    pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    from pykbroker.seeding.yaml_file import parse_yaml

    (example,) = blocks("yaml")
    seed = parse_yaml(example)
    assert seed.topics["prices"].configs == {"cleanup.policy": "compact"}
    assert [record.value for record in seed.records] == [b'{"euro": 20}', b"2"]
