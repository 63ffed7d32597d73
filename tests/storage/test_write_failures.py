"""What a failed write means for the client, the data directory and the log lines."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.write_failures import write_failed
from tests.harness.batches import NOW_MS
from tests.harness.logs import FaultyFiles


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path, FaultyFiles())


def test_a_full_disk_is_told_once_and_tried_again(
    directory: DataDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    full = OSError(errno.ENOSPC, "No space left on device")

    codes = {write_failed(directory, tmp_path, full, NOW_MS).code for _ in range(3)}

    assert codes == {ErrorCode.KAFKA_STORAGE_ERROR}
    assert directory.failure is None
    assert len(caplog.records) == 1


def test_damage_concerns_one_log_and_is_told_once(
    directory: DataDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    damage = DamagedSegmentError(tmp_path, 7, "torn")
    write_failed(directory, tmp_path, damage, NOW_MS)

    error = write_failed(directory, tmp_path, damage, NOW_MS)

    assert len(caplog.records) == 1

    assert error.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert "torn" in error.message
    assert directory.failure is None


def test_any_other_failure_takes_the_directory_offline(
    directory: DataDirectory, tmp_path: Path
) -> None:
    error = write_failed(directory, tmp_path, OSError(errno.EIO, "Input/output error"), NOW_MS)

    assert error.message == f"cannot write {tmp_path}: Input/output error"
    assert directory.failure == error.message
