"""Loading a log that somebody else has written: nothing in it may be lost."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from pykbroker.storage.recovery import DamagedLogError, LoadedLog, LogLoader
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.logs import BATCH_BYTES, FaultyFiles, a_config, a_filled_log

KAFKAS_INDEX_BYTES = 10_485_760 // 8 * 8


def loaded(path: Path, *, is_foreign: bool = True) -> LoadedLog:
    loader = LogLoader(FaultyFiles(), path, a_config(), now_ms=NOW_MS, is_foreign=is_foreign)
    return loader.load()


def a_directory(path: Path, batches: int = 6, **settings: int) -> Path:
    """A partition's directory that was left by a kill."""
    log = a_filled_log(path, batches, **settings)
    log.abandon()
    return log.path


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.log")}


def an_old_message(magic: int) -> bytes:
    """A message as Kafka wrote them before 0.11, with neither key nor value."""
    timestamp = struct.pack(">q", NOW_MS) if magic else b""
    content = struct.pack(">bb", magic, 0) + timestamp + struct.pack(">ii", -1, -1)
    return struct.pack(">qiI", 0, len(content) + 4, zlib.crc32(content)) + content


def test_gaps_are_no_damage(tmp_path: Path) -> None:
    """A follower of a compacted topic has them in its last segment too."""
    path = tmp_path / "orders-0"
    path.mkdir()
    for base_offsets in ([0, 3], [10, 12, 40]):
        batches = b"".join(bytes(a_batch(offset).data) for offset in base_offsets)
        (path / f"{base_offsets[0]:020d}.log").write_bytes(batches)

    log = loaded(path)

    assert (len(log.segments), log.log_end_offset, log.cut_bytes) == (2, 41, 0)


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("is_foreign", [True, False])
def test_old_messages_are_refused_and_kept(tmp_path: Path, magic: int, is_foreign: bool) -> None:
    path = tmp_path / "orders-0"
    path.mkdir()
    old = an_old_message(magic) + an_old_message(magic)
    (path / f"{0:020d}.log").write_bytes(old)

    with pytest.raises(DamagedLogError, match=rf"messages of format {magic} from byte 0 on"):
        loaded(path, is_foreign=is_foreign)

    assert contents(path) == {f"{0:020d}.log": old}


@pytest.mark.parametrize("records_in_last", [True, False])
def test_indexes_of_a_killed_kafka_end_in_zeros(tmp_path: Path, records_in_last: bool) -> None:
    path = a_directory(tmp_path, segment_bytes=3 * BATCH_BYTES)
    if not records_in_last:
        (path / f"{12:020d}.log").touch()
    bases = (0, 6) if records_in_last else (0, 6, 12)
    for base in bases:
        for suffix, entry_bytes in ((".index", 8), (".timeindex", 12)):
            file = path / f"{base:020d}{suffix}"
            data = file.read_bytes() if file.exists() else b""
            size_bytes = KAFKAS_INDEX_BYTES // entry_bytes * entry_bytes
            file.write_bytes(data.ljust(size_bytes, b"\0"))

    log = loaded(path)

    assert log.log_end_offset == 12
    for segment in log.segments:
        assert segment.offset_index.entry_count < 10
        assert segment.time_index.entry_count < 10
    place = log.segments[0].locate(5)
    assert place is not None
    assert place.last_offset == 5
