"""The broker's side of the process that compacts: real processes, killed in all ways."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleaning_job import CleanedSegment, CleaningJob, CleaningSummary
from pykbroker.storage.compaction_client import CompactionProcess, CompactionProcessError
from tests.harness.compaction import a_job, keyed, swap_in, values_of, write_segment


@pytest.fixture
def process() -> Iterator[CompactionProcess]:
    process = CompactionProcess()
    yield process
    process.close()
    assert id_of(process) is None


def some_job(path: Path) -> CleaningJob:
    path.mkdir(exist_ok=True)
    segments = [
        write_segment(path, 0, [keyed(0, ("a", "1"), ("b", "2"))]),
        write_segment(path, 2, [keyed(2, ("a", "3"))]),
    ]
    return a_job(path, *segments, segment_bytes=80)


def finish(
    process: CompactionProcess, job: CleaningJob
) -> tuple[list[CleanedSegment], CleaningSummary]:
    cleaned: list[CleanedSegment] = []
    passes = process.run(job)
    while True:
        try:
            segment = next(passes)
        except StopIteration as end:
            return cleaned, end.value
        swap_in(job, segment)
        cleaned.append(segment)


def id_of(process: CompactionProcess) -> int | None:
    """The id of the process that runs; None for none."""
    return process._process.pid if process._process is not None else None


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_cleans_several_logs(tmp_path: Path, process: CompactionProcess) -> None:
    assert id_of(process) is None, "it is started when it is needed"

    cleaned, summary = finish(process, some_job(tmp_path / "a"))
    first = id_of(process)
    finish(process, some_job(tmp_path / "b"))

    assert id_of(process) == first
    assert [segment.sources for segment in cleaned] == [(0,), (2,)]
    assert summary.clean_end_offset == 3
    assert sorted(values_of(tmp_path / "a")) == [1, 2]


def test_an_interrupt_does_not_end_it(tmp_path: Path, process: CompactionProcess) -> None:
    job = some_job(tmp_path)
    passes = process.run(job)
    swap_in(job, next(passes))
    worker = id_of(process)
    assert worker is not None

    os.kill(worker, signal.SIGINT)

    swap_in(job, next(passes))
    with pytest.raises(StopIteration):
        next(passes)


def test_errors_arrive_as_what_they_were(tmp_path: Path, process: CompactionProcess) -> None:
    job = some_job(tmp_path)
    log = tmp_path / f"{2:020d}.log"
    log.write_bytes(log.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedSegmentError) as damaged:
        next(process.run(job))
    assert (damaged.value.path, damaged.value.position) == (log, 0)

    log.unlink()
    with pytest.raises(FileNotFoundError) as vanished:
        next(process.run(job))
    assert vanished.value.filename == str(log)

    log.mkdir()
    with pytest.raises(IsADirectoryError) as disk:
        next(process.run(job))
    assert disk.value.errno == errno.EISDIR
    finish(process, some_job(tmp_path / "good"))


def test_a_pass_that_is_given_up_takes_the_process_along(
    tmp_path: Path, process: CompactionProcess
) -> None:
    job = some_job(tmp_path)
    passes = process.run(job)
    next(passes)
    process_id = id_of(process)
    assert process_id is not None

    passes.close()

    assert not is_alive(process_id)
    assert id_of(process) is None
    finish(process, job)


def test_a_process_that_dies_is_noticed_and_replaced(
    tmp_path: Path, process: CompactionProcess
) -> None:
    job = some_job(tmp_path)
    passes = process.run(job)
    swap_in(job, next(passes))
    worker = id_of(process)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)

    with pytest.raises(CompactionProcessError, match="ended with code -9"):
        next(passes)
    finish(process, some_job(tmp_path / "good"))

    worker = id_of(process)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    finish(process, some_job(tmp_path / "other"))


def test_after_close_nothing_is_run(tmp_path: Path) -> None:
    process = CompactionProcess()
    process.close()
    job = some_job(tmp_path)
    with pytest.raises(CompactionProcessError, match="closed"):
        next(process.run(job))

    process = CompactionProcess()
    passes = process.run(job)
    next(passes)
    process.close()
    process.close()
    with pytest.raises(CompactionProcessError):
        next(passes)


def test_a_process_that_cannot_be_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(CompactionProcessError, match="cannot start"):
        next(CompactionProcess().run(some_job(tmp_path)))
