"""Real processes under test: their lines as they come, waits with a deadline, and a sure end.

Brokers, group members and command line clients all run as processes of their own, because a
kill of one of them is a thing that only a real process can suffer.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

# Far longer than anything takes, even on a busy machine: only a failure waits for so long.
DEADLINE_SECONDS = 60.0


class ProcessError(Exception):
    """A process ended, or stayed silent, where a test needed a line from it."""


class LineProcess:
    """A child process whose output lines (stdout, and stderr after it) can be waited for.

    Lines are kept, so that a wait also sees what was printed before it began. `seen` counts the
    lines that earlier waits have consumed: each wait looks only at later ones.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        text_input: str | None = None,
        takes_lines: bool = False,
    ) -> None:
        """Args:
        text_input: All of its standard input.
        takes_lines: Keep standard input open for `send_line`.
        """
        self.command = list(command)
        self.lines: list[str] = []
        self.seen = 0
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE if takes_lines or text_input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(env) if env is not None else None,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if text_input is not None:
            assert self._process.stdin is not None
            self._process.stdin.write(text_input)
            self._process.stdin.close()

    def send_line(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def return_code(self) -> int | None:
        """The exit status, None while the process runs."""
        return self._process.poll()

    def wait_for(
        self,
        parse: Callable[[str], T | None],
        *,
        seconds: float = DEADLINE_SECONDS,
        what: str = "a line",
    ) -> T:
        """The first result other than None that `parse` makes of a line not yet consumed.

        Raises:
            ProcessError: The deadline passed, or the process ended, without such a line.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    self.seen += 1
                    result = parse(line)
                    if result is not None:
                        return result
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise ProcessError(f"no {what} within {seconds} s: {self.describe()}")
                if not self._reader.is_alive() and self.seen == len(self.lines):
                    raise ProcessError(f"ended before {what}: {self.describe()}")
                self._changed.wait(min(remaining, 1.0))

    def wait(self, *, seconds: float = DEADLINE_SECONDS) -> int:
        """The exit status, once the process has ended by itself.

        Raises:
            ProcessError: It still runs at the deadline; it was killed then.
        """
        try:
            return_code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessError(f"still ran after {seconds} s: {self.describe()}") from None
        self._close()
        return return_code

    def stop(self, *, seconds: float = DEADLINE_SECONDS) -> int:
        """End it with SIGTERM and give its exit status."""
        if self.return_code is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def kill(self) -> None:
        """End it with SIGKILL: no code of its own runs any more."""
        self._process.kill()
        self._process.wait()
        self._close()

    def describe(self) -> str:
        """Command, status and last lines, for a failure's message."""
        tail = "\n  ".join(self.lines[-40:])
        return f"{' '.join(self.command)} (status {self.return_code})\n  {tail}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _close(self) -> None:
        self._reader.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def eventually(
    attempt: Callable[[], T | None],
    *,
    seconds: float = DEADLINE_SECONDS,
    what: str = "the condition",
) -> T:
    """Call `attempt` until it gives something true, at most for `seconds`.

    For states that a client can only ask for again and again. Raises AssertionError at the
    deadline.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        result = attempt()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s: {result!r}"
        pause.wait(0.05)
