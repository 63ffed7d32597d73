"""A broker in a process of its own, for tests that kill it: `pykbroker serve` of this Python."""

import os
import re
import selectors
import subprocess
import sys
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pykbroker.config.broker import BrokerConfig
from pykbroker.testing.broker_log import LogFile
from pykbroker.testing.running import StartError

STOP_TIMEOUT_S: Final = 30.0
READY: Final = b"listening on "
CONTROL: Final = re.compile(rb"^control: http://([0-9.]+):([0-9]+)", re.M)
READ_BYTES: Final = 4096
LINES_OF_A_FAILURE: Final = 20


class ServerProcess:
    """Runs a server as a child of this process, which is killed if this one forgets it.

    Args:
        log: Where the server's log goes.
    """

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._control: tuple[str, int] | None = None
        self._forgotten: weakref.finalize[..., ServerProcess] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def control(self) -> tuple[str, int]:
        """Where its control interface listens.

        Raises:
            RuntimeError: It does not run, or cannot have one.
        """
        if self._process is None:
            raise RuntimeError("the broker does not run")
        if self._control is None:
            raise RuntimeError(
                "rules, time, taps and incidents of a broker in a process of its own need a "
                "library: pip install 'pykbroker[control]'"
            )
        return self._control

    def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted.

        Raises:
            ConfigError: A setting is unknown or malformed.
            StartError: It has ended, or is not ready in time; with the end of its log.
        """
        BrokerConfig.from_settings(settings)  # tells what is wrong better than a process can
        command = [sys.executable, "-m", "pykbroker", "serve"]
        if find_spec("aiohttp") is not None:
            command += ["--control", "127.0.0.1:0"]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        with self._log.path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                # Ctrl-C is for the tests, which then stop their broker.
                start_new_session=True,
            )
        self._process = process
        self._forgotten = weakref.finalize(self, _end, process)
        try:
            return self._wait_for_port(process, time.monotonic() + timeout_s)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the process to stop, and wait for it.

        Raises:
            TimeoutError: It does not stop; it is killed then.
        """
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the broker has not stopped in {STOP_TIMEOUT_S} s") from error
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process with SIGKILL, and wait until it has gone."""
        process = self._process
        if process is None:
            return
        _end(process)
        if self._forgotten is not None:
            self._forgotten.detach()
        self._process = self._forgotten = None

    def _wait_for_port(self, process: subprocess.Popen[bytes], deadline: float) -> int:
        """Read what the process prints up to the line that says where it listens."""
        assert process.stdout is not None
        printed = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                start = printed.find(READY)
                end = printed.find(b"\n", start)
                if start >= 0 and end >= 0:
                    found = CONTROL.search(printed)
                    self._control = found and (found[1].decode(), int(found[2]))
                    return int(printed[start:end].rpartition(b":")[2])
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise StartError(f"the broker was not ready in time\n{self._last_lines()}")
                read = os.read(process.stdout.fileno(), READ_BYTES)
                if not read:
                    status = process.wait()
                    raise StartError(f"the broker ended, status {status}\n{self._last_lines()}")
                printed += read

    def _last_lines(self) -> str:
        return "\n".join(self._log.since(0)[-LINES_OF_A_FAILURE:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _environment() -> dict[str, str]:
    """This process's, in which the child finds this very package also where it is not installed."""
    root = str(Path(__file__).parents[2])
    if root.endswith("-packages"):
        return dict(os.environ)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
