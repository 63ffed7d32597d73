"""The process that compacts: `python -m pykbroker.storage.compaction_worker PARENT_PID`.

Walking over records takes processor time that the broker's event loop must not wait for, so it is
done in a process of its own. It reads a job on a line of standard input and answers with lines:

    {"cleaned": {...}}   a segment whose files are complete; goes on after a line {"go": true}
    {"summary": {...}}   the pass is over
    {"error": {...}}     it failed:
        {"kind": "damaged", "path", "position", "reason"}   what is in a source cannot be right
        {"kind": "vanished", "path", "message", "errno"}    a source file is not there any more
        {"kind": "disk", "path", "message", "errno"}        the disk refused

Then it waits for the next job. It ends with its input, and when the process that started it is
gone. The fields are those of `cleaning_job`. `compaction_client` is the other side.

It runs with a lower priority than the broker, for the processor and, as Linux derives the one from
the other, for the disk.
"""

import ctypes
import errno
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleaning_job import CleaningJob, job_from_json, to_json
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.segment_cleaner import clean
from pykbroker.storage.throttler import Throttler

_NICENESS: Final = 10
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LONGEST_SLEEP_SECONDS: Final = 1.0


class _AbandonedError(Exception):
    """Nobody waits for the answer any more."""


class CompactionWorker:
    """Reads jobs and does them.

    Args:
        jobs: Where the jobs and the permissions to go on come from.
        answers: Where the answers go.
        is_orphaned: Whether the process that wants the answers is gone.
        monotonic: A clock in seconds.
        sleep: Waits for a number of seconds.
    """

    __slots__ = ("_answers", "_is_orphaned", "_jobs", "_monotonic", "_sleep")

    def __init__(
        self,
        jobs: TextIO,
        answers: TextIO,
        *,
        is_orphaned: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._jobs = jobs
        self._answers = answers
        self._is_orphaned = is_orphaned
        self._monotonic = monotonic
        self._sleep = sleep

    def run(self) -> None:
        """Do all jobs until there is no more input, or nobody there who wants them done."""
        try:
            while line := self._jobs.readline():
                self._do(job_from_json(json.loads(line)))
        except (_AbandonedError, BrokenPipeError):
            return

    def _do(self, job: CleaningJob) -> None:
        try:
            lock = _lock(job.directory)
        except OSError as error:
            self._answer({"error": _describe(error)})
            return
        try:
            self._clean(job, lock)
        finally:
            os.close(lock)

    def _clean(self, job: CleaningJob, lock: int) -> None:
        throttler = Throttler(
            job.io_max_bytes_per_second, monotonic=self._monotonic, sleep=self._sleep_in_parts
        )

        def throttle(size_bytes: int) -> None:
            self._check()
            if not _is_same(job.directory, lock):
                # The topic was deleted, and made anew: what is there now is none of our business.
                raise FileNotFoundError(errno.ENOENT, "was replaced", job.directory)
            throttler.note(size_bytes)

        files = FileLayer(fsync_enabled=job.fsync_enabled)
        cleaning = clean(job, files, throttle=throttle, monotonic=self._monotonic)
        while True:
            try:
                cleaned = next(cleaning)
            except StopIteration as end:
                self._answer({"summary": to_json(end.value)})
                return
            except (DamagedSegmentError, OSError) as error:
                self._answer({"error": _describe(error)})
                return
            self._answer({"cleaned": to_json(cleaned)})
            if not self._jobs.readline():
                raise _AbandonedError

    def _answer(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def _sleep_in_parts(self, seconds: float) -> None:
        while seconds > 0:
            self._check()
            self._sleep(min(seconds, _LONGEST_SLEEP_SECONDS))
            seconds -= _LONGEST_SLEEP_SECONDS

    def _check(self) -> None:
        if self._is_orphaned():
            raise _AbandonedError


def _lock(directory: str) -> int:
    """Keep other processes like this one out of a partition's directory; returns a descriptor.

    One whose broker was killed may be at work for a moment, when the next broker starts its own.

    Raises:
        BlockingIOError: Another one is at work there.
        FileNotFoundError: The directory is gone.
    """
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise BlockingIOError(error.errno, "another process compacts it", directory) from error
    return lock


def _is_same(directory: str, descriptor: int) -> bool:
    """Whether a name is still that of an open directory."""
    try:
        return os.path.samestat(os.stat(directory), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _end_with_parent(parent_id: int) -> None:
    """End when the thread that started this process does; Linux sees to that at once."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_id:  # it was too late
        sys.exit()


def _describe(error: DamagedSegmentError | OSError) -> dict[str, Any]:
    if isinstance(error, DamagedSegmentError):
        return {
            "kind": "damaged",
            "path": str(error.path),
            "position": error.position,
            "reason": error.reason,
        }
    return {
        "kind": "vanished" if isinstance(error, FileNotFoundError) else "disk",
        "path": None if error.filename is None else str(error.filename),
        "message": error.strerror or str(error),
        "errno": error.errno,
    }


def main() -> None:
    """Work for the process whose id is the only argument."""
    parent_id = int(sys.argv[1])
    # An interrupt at the terminal goes to all processes; the broker decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    _end_with_parent(parent_id)
    CompactionWorker(sys.stdin, sys.stdout, is_orphaned=lambda: os.getppid() != parent_id).run()


if __name__ == "__main__":
    main()
