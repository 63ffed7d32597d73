"""Both versions of the walk over records: Python's, and the compiled copy where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykbroker.protocol import records
from pykbroker.protocol.compiled import RECORDS_CHECKED_BY, Walk, compiled_walk
from pykbroker.protocol.record_walk import walk

VERSIONS = ("python", "compiled")


def walk_of(version: str) -> Walk:
    """The walk of this version; skips the test if there is none."""
    if version == "python":
        return walk
    if compiled_walk is None:
        pytest.skip(
            f"records checked_by={RECORDS_CHECKED_BY}: `pip install -e .` or `python"
            " hatch_build.py` compile it, given a C compiler"
        )
    return compiled_walk


def check_records_with(version: str) -> Iterator[None]:
    """Have `check_record_framing` use this version until the iteration goes on."""
    chosen = walk_of(version)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "compiled_walk", None if version == "python" else chosen)
        yield
