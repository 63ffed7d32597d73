"""Programs that a suite needs beside Python: java, go, node and the like."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest


def missing(programs: Iterable[str]) -> list[str]:
    """Those of the programs that this machine does not have."""
    return [program for program in programs if shutil.which(program) is None]


def require(program: str) -> Path:
    """The program's path; skips the test, with the reason, where there is none."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} on this machine")
    return Path(found)
