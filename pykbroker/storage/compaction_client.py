"""The broker's side of `compaction_worker`: a process that cleans one log after the other.

Synchronous: a thread of its own waits for the answers.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

import pykbroker
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleaning_job import (
    CleanedSegment,
    CleaningJob,
    CleaningSummary,
    cleaned_from_json,
    summary_from_json,
    to_json,
)

_WORKER: Final = "pykbroker.storage.compaction_worker"
_PACKAGE_PARENT: Final = Path(pykbroker.__file__).parent.parent


class CompactionProcessError(Exception):
    """The process ended while it was needed, or could not be started."""


class CompactionProcess:
    """A process that is started with the first job and again after it died.

    One job at a time. `close` may be called from another thread.
    """

    __slots__ = ("_is_closed", "_lock", "_process")

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._lock = threading.RLock()

    def run(self, job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        """Clean a log, see `segment_cleaner.clean`, whose generator this one is like.

        If it is closed before its end, the process is killed, and files named `.cleaned` may stay.

        Raises:
            DamagedSegmentError: What is in a source cannot be right.
            FileNotFoundError: A source is not there any more.
            OSError: The disk refused.
            CompactionProcessError: The process died, or `close` was called.
        """
        process = self._started()
        is_over = False
        try:
            self._send(process, to_json(job))
            while True:
                answer = self._receive(process)
                if "cleaned" in answer:
                    yield cleaned_from_json(answer["cleaned"])
                    self._send(process, {"go": True})
                    continue
                is_over = True
                if "error" in answer:
                    raise _error_of(answer["error"])
                return summary_from_json(answer["summary"])
        finally:
            if not is_over:
                self._end(process)

    def close(self) -> None:
        """Kill the process and wait until it has gone; no job can be run any more."""
        with self._lock:
            self._is_closed = True
            process = self._process
        if process is not None:
            self._end(process)

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_closed:
                raise CompactionProcessError("the process that compacts was closed")
            process = self._process
            if process is not None:
                if process.poll() is None:
                    return process
                self._end(process)
            paths = [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
            try:
                process = subprocess.Popen(  # noqa: S603
                    # Without -P, modules of the working directory would come first.
                    [sys.executable, "-P", "-m", _WORKER, str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                )
            except OSError as error:
                raise CompactionProcessError(f"cannot start a process: {error}") from error
            self._process = process
            return process

    def _send(self, process: "subprocess.Popen[bytes]", message: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:  # the pipe is broken, or closed
            raise self._died(process) from error

    def _receive(self, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
        except ValueError as error:
            raise self._died(process) from error
        if not line.endswith(b"\n"):
            raise self._died(process)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self, process: "subprocess.Popen[bytes]") -> CompactionProcessError:
        self._end(process)
        return CompactionProcessError(
            f"the process that compacts ended with code {process.returncode}"
        )

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what is left to write has no reader
                    pipe.close()
        with self._lock:
            if self._process is process:
                self._process = None


def _error_of(fields: Mapping[str, Any]) -> Exception:
    if fields["kind"] == "damaged":
        return DamagedSegmentError(Path(fields["path"]), fields["position"], fields["reason"])
    # Python makes a FileNotFoundError of it by the number.
    return OSError(fields["errno"] or errno.EIO, fields["message"], fields["path"])
