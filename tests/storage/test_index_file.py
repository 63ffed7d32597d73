"""Index files: what is saved when, and what happens without space."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.index_file import DamagedIndexError
from pykbroker.storage.offset_index import OffsetIndex
from tests.harness.logs import FaultyFiles


def an_index(path: Path, files: FileLayer | None = None, saved: int | None = None) -> OffsetIndex:
    return OffsetIndex(
        files or FileLayer(), path / "a.index", 0, max_bytes=1 << 20, saved_bytes=saved
    )


def test_a_size_of_no_whole_entries_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedIndexError):
        an_index(tmp_path, saved=9)


def test_entries_go_to_the_file_in_blocks(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    for number in range(1, 513):
        assert not index.path.exists()
        index.append(number, number)

    assert index.path.stat().st_size == 512 * 8
    assert not index.is_unsaved
    index.append(600, 600)
    assert index.is_unsaved


def test_saving_makes_the_file_even_without_entries(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    assert index.is_unsaved

    index.save()

    assert not index.is_unsaved
    assert index.path.read_bytes() == b""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
def test_without_what_the_disk_needs_entries_wait_in_memory(tmp_path: Path, code: int) -> None:
    files = FaultyFiles()
    index = an_index(tmp_path, files)
    files.failures["pwrite"] = code
    for number in range(1, 600):
        index.append(number, number)
    assert index.floor(550) == (550, 550)

    files.failures.clear()
    index.append(600, 600)

    assert index.path.stat().st_size == 600 * 8
    assert index.floor(550) == (550, 550)


def test_another_failure_is_not_hidden(tmp_path: Path) -> None:
    files = FaultyFiles()
    index = an_index(tmp_path, files)
    files.failures["pwrite"] = errno.EIO

    with pytest.raises(OSError, match="injected"):
        for number in range(1, 513):
            index.append(number, number)


def test_clearing_empties_the_file(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    index.clear()
    index.append(1, 1)
    index.save()
    index.clear()

    assert index.entry_count == 0
    assert index.path.read_bytes() == b""


def test_a_file_that_shrank_is_damage(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    index.append(1, 1)
    index.save()
    index.release()
    index.path.write_bytes(b"")

    with pytest.raises(DamagedIndexError):
        index.last_entry()
