"""The small files of a partition: written now, synced and removed later."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.leader_epoch_cache import LeaderEpochCache
from pykbroker.storage.partition_files import PartitionFiles
from pykbroker.storage.producer_state import ProducerStateManager
from pykbroker.storage.segment import Segment
from tests.harness.batches import a_batch
from tests.harness.logs import FaultyFiles


class RecordingFiles(FaultyFiles):
    """Remembers what was synced, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: list[str] = []

    def sync_path(self, path: Path | str) -> None:
        if not Path(path).exists():
            raise FileNotFoundError(path)
        self.synced.append(Path(path).name)


@pytest.fixture
def layer() -> RecordingFiles:
    return RecordingFiles()


def a_segment(layer: FaultyFiles, path: Path, base_offset: int) -> Segment:
    segment = Segment(
        layer, path, base_offset, created_ms=0, max_index_bytes=800, index_interval_bytes=1
    )
    segment.append(a_batch(base_offset))
    return segment


def test_what_was_written_is_synced_once(tmp_path: Path, layer: RecordingFiles) -> None:
    files = PartitionFiles(DataDirectory(tmp_path, layer), tmp_path, [])
    files.save_snapshot(ProducerStateManager(), 7)
    files.save_snapshot(ProducerStateManager(), 7)
    files.save_epochs(LeaderEpochCache([(3, 0)]))
    files.save_indexes(a_segment(layer, tmp_path, 0))
    files.note_changed()
    assert layer.synced == []

    files.sync()
    files.sync()

    assert layer.synced == [
        "00000000000000000007.snapshot",
        tmp_path.name,
        "leader-epoch-checkpoint",
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
    ]
    assert files.has_snapshot(7)
    assert not files.has_snapshot(8)


def test_what_is_written_during_a_sync_is_synced_by_the_next(tmp_path: Path) -> None:
    class Busy(RecordingFiles):
        def sync_path(self, path: Path | str) -> None:
            super().sync_path(path)
            if len(self.synced) == 1:
                files.note_changed()  # the same directory, changed after it was synced

    layer = Busy()
    files = PartitionFiles(DataDirectory(tmp_path, layer), tmp_path, [])
    files.note_changed()

    files.sync()
    assert layer.synced == [tmp_path.name]
    files.sync()
    assert layer.synced == [tmp_path.name] * 2


def test_a_new_partition_is_synced_with_its_parent(tmp_path: Path, layer: RecordingFiles) -> None:
    path = tmp_path / "orders-0"
    path.mkdir()
    files = PartitionFiles(DataDirectory(tmp_path, layer), path, [])
    files.note_created()

    files.sync()

    assert layer.synced == ["orders-0", tmp_path.name], "partition.metadata is not there"


def test_a_retired_segment_is_removed_when_its_time_has_come(
    tmp_path: Path, layer: RecordingFiles
) -> None:
    files = PartitionFiles(DataDirectory(tmp_path, layer), tmp_path, [4])
    for base_offset in (0, 4):
        segment = a_segment(layer, tmp_path, base_offset)
        files.save_indexes(segment)
        if base_offset:
            files.save_snapshot(ProducerStateManager(), base_offset)
        files.retire(segment, due_ms=100 + base_offset)

    assert {path.suffix for path in tmp_path.iterdir()} == {".deleted"}
    assert not files.has_snapshot(4)
    files.remove_retired(103)
    assert {path.name[:20] for path in tmp_path.iterdir()} == {f"{4:020d}"}
    files.remove_retired(104)
    assert not list(tmp_path.iterdir())
