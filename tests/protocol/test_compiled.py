from __future__ import annotations

import sys
from importlib.util import source_hash
from pathlib import Path
from types import ModuleType

import pytest

from pykbroker import protocol
from pykbroker.protocol import compiled, record_walk

NAME = "_compiled_record_walk"


def a_copy_of(source: bytes, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in the place of the compiled copy, as if it were made of this source."""
    copy = ModuleType(NAME)
    vars(copy).update(walk=record_walk.walk, SOURCE_HASH=source_hash(source))
    monkeypatch.setitem(sys.modules, f"pykbroker.protocol.{NAME}", copy)
    monkeypatch.setattr(protocol, NAME, copy, raising=False)
    return copy


def test_a_copy_of_this_source_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = a_copy_of(Path(record_walk.__file__).read_bytes(), monkeypatch)

    assert compiled._load() == (copy.walk, "compiled")


def test_a_copy_of_another_source_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    a_copy_of(Path(record_walk.__file__).read_bytes() + b"\n", monkeypatch)

    assert compiled._load() == (None, "python compiled=outdated")


def test_a_copy_without_a_source_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a_copy_of(b"", monkeypatch)
    monkeypatch.setattr(record_walk, "__file__", str(tmp_path / "gone.py"))

    assert compiled._load() == (None, "python compiled=outdated")


def test_without_a_copy_records_are_checked_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"pykbroker.protocol.{NAME}", None)
    monkeypatch.delattr(protocol, NAME, raising=False)

    assert compiled._load() == (None, "python compiled=missing")
