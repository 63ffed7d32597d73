"""The process that compacts, with its input and output in memory; and what it imports."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pykbroker.storage import compaction_worker
from pykbroker.storage.cleaning_job import CleaningJob, to_json
from pykbroker.storage.compaction_worker import CompactionWorker, main
from tests.harness.compaction import a_job, keyed, values_of, write_segment

ROOT = Path(__file__).parent.parent.parent
GO = '{"go": true}\n'


def a_small_job(path: Path, **changes: Any) -> CleaningJob:
    segments = [
        write_segment(path, 0, [keyed(0, ("a", "1"), ("b", "2"))]),
        write_segment(path, 2, [keyed(2, ("a", "3"))]),
    ]
    return a_job(path, *segments, fsync_enabled=False, **{"segment_bytes": 80, **changes})


def a_long_job(path: Path, **changes: Any) -> CleaningJob:
    """More than is read between two looks at the throttle."""
    segment = write_segment(path, 0, [keyed(n, (f"k{n}", "x" * 50_000)) for n in range(4)])
    return a_job(path, segment, fsync_enabled=False, **changes)


def line(job: CleaningJob) -> str:
    return json.dumps(to_json(job)) + "\n"


def answers(*lines: str, **options: Any) -> list[dict[str, Any]]:
    """What a worker answers to these lines."""
    out = io.StringIO()
    CompactionWorker(io.StringIO("".join(lines)), out, **options).run()
    return [json.loads(text) for text in out.getvalue().splitlines()]


def test_each_segment_waits_for_permission(tmp_path: Path) -> None:
    job = line(a_small_job(tmp_path))

    (only,) = answers(job)
    assert only["cleaned"]["sources"] == [0]
    first, second = answers(job, GO)
    assert (first, second["cleaned"]["sources"]) == (only, [2])
    *cleaned, last = answers(job, GO, GO)
    assert cleaned == [first, second]
    assert last["summary"]["clean_end_offset"] == 3
    assert last["summary"]["stats"]["records_kept"] == 2


def test_jobs_follow_each_other(tmp_path: Path) -> None:
    job = line(a_small_job(tmp_path, segment_bytes=1000))

    assert [list(answer) for answer in answers(job, GO, job, GO)] == [
        ["cleaned"], ["summary"], ["cleaned"], ["summary"]
    ]  # fmt: skip


def test_errors_are_told_apart_and_the_next_job_is_done(tmp_path: Path) -> None:
    job = a_small_job(tmp_path, segment_bytes=1000)
    log = tmp_path / f"{2:020d}.log"
    data = log.read_bytes()

    log.write_bytes(data[:-1] + b"!")
    (damaged,) = answers(line(job))
    assert damaged["error"] == {
        "kind": "damaged", "path": str(log), "position": 0, "reason": "the checksum is wrong"
    }  # fmt: skip

    log.unlink()
    (vanished,) = answers(line(job))
    assert vanished["error"]["kind"] == "vanished"
    assert vanished["error"]["path"] == str(log)

    log.mkdir()
    (disk,) = answers(line(job))
    assert (disk["error"]["kind"], disk["error"]["errno"]) == ("disk", 21)

    log.rmdir()
    good = tmp_path / "good"
    good.mkdir()
    assert len(answers(line(job), line(a_small_job(good)), GO, GO)) == 4


def test_the_directory_of_a_topic_made_anew_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "table-0"
    path.mkdir()
    job = a_small_job(path)

    class Replacing(io.StringIO):
        """Gives permission to go on once the topic is another one."""

        def readline(self, *_: Any) -> Any:
            given = super().readline()
            if given == GO:
                path.rename(tmp_path / "deleted")
                shutil.copytree(tmp_path / "deleted", path)
                for file in path.glob("*.cleaned"):
                    file.unlink()
            return given

    out = io.StringIO()
    CompactionWorker(Replacing(line(job) + GO), out).run()

    assert json.loads(out.getvalue().splitlines()[-1])["error"]["kind"] == "vanished"
    assert not list(path.glob("*.cleaned"))


def test_two_do_not_work_in_one_directory(tmp_path: Path) -> None:
    job = a_small_job(tmp_path)
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    (refused,) = answers(line(job))
    os.close(lock)

    assert refused["error"]["errno"] == errno.EAGAIN
    assert len(answers(line(job), GO, GO)) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells at once")
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, os\n"
        "worker = [sys.executable, '-m', 'pykbroker.storage.compaction_worker', str(os.getpid())]\n"
        "with subprocess.Popen(worker, stdin=0, stdout=subprocess.PIPE) as process:\n"
        "    print(process.pid, process.stdout.readline(), flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line(a_small_job(tmp_path)))
        process.stdin.flush()
        worker_id = int(process.stdout.readline().split()[0])  # and it waits for permission

        process.kill()  # the worker's input stays open

        deadline = time.monotonic() + 20
        while is_alive(worker_id):
            assert time.monotonic() < deadline


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_keeps_to_the_rate(tmp_path: Path) -> None:
    now, slept = [0.0], list[float]()

    def monotonic() -> float:
        now[0] += 0.4
        return now[0]

    answers(
        line(a_long_job(tmp_path, io_max_bytes_per_second=40_000.0)),
        monotonic=monotonic,
        sleep=slept.append,
    )

    assert sum(slept) > 8, "some 600 kB were read and written"
    assert max(slept) <= 1.0


def orphaned_after(looks: int) -> Callable[[], bool]:
    left = iter([False] * looks)
    return lambda: next(left, True)


@pytest.mark.parametrize("looks", [0, 2])
def test_it_ends_when_nobody_wants_the_answer(tmp_path: Path, looks: int) -> None:
    job = line(a_long_job(tmp_path))

    assert answers(job, GO, job, is_orphaned=orphaned_after(looks)) == []
    assert [path.name for path in tmp_path.glob("*.cleaned")] == []


def test_it_ends_while_it_waits_for_the_rate(tmp_path: Path) -> None:
    job = a_long_job(tmp_path, io_max_bytes_per_second=1.0)
    times = iter(range(1000))

    found = answers(
        line(job),
        is_orphaned=orphaned_after(4),
        monotonic=lambda: float(next(times)),
        sleep=lambda seconds: None,
    )

    assert found == []


def test_the_program_does_a_job_and_ends_with_its_input(tmp_path: Path) -> None:
    job = a_small_job(tmp_path, segment_bytes=1000)

    # Its parent is this process.
    done = subprocess.run(
        [sys.executable, "-m", "pykbroker.storage.compaction_worker", str(os.getpid())],
        input=line(job) + GO,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )

    assert done.stderr == ""
    assert [list(json.loads(text)) for text in done.stdout.splitlines()] == [
        ["cleaned"], ["summary"]
    ]  # fmt: skip
    assert len(values_of(tmp_path)) == 3, "nothing but .cleaned files was touched"


def test_it_is_modest_and_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    niceness: list[int] = []
    followed: list[int] = []
    out = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["worker", str(os.getppid())])
    monkeypatch.setattr(sys, "stdin", io.StringIO(line(a_long_job(tmp_path)) + GO))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(os, "nice", niceness.append)
    # The kernel would kill the process of this test instead.
    monkeypatch.setattr(compaction_worker, "_end_with_parent", followed.append)
    before = signal.getsignal(signal.SIGINT)
    try:
        main()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

    assert niceness == [10]
    assert followed == [os.getppid()]
    assert len(out.getvalue().splitlines()) == 2


def test_it_imports_little() -> None:
    """It starts within the pause of a broker that wants to compact, and is small."""
    code = (
        "import sys; import pykbroker.storage.compaction_worker;"
        "print(*(m for m in ('asyncio', 'logging', 'ssl', 'uvloop', 'click', 'pykbroker.broker',"
        " 'pykbroker.config', 'pykbroker.storage.partition_log', 'pykbroker.protocol.messages')"
        " if m in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")
