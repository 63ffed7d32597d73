"""Outside code that suites run: fetched or built on first use, and kept.

What lies in the cache is whole: it is built aside, under a lock, and renamed when it is done. An
interrupted build leaves nothing that a later one would take for its result.
"""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CACHE_ENV = "PYKBROKER_COMPAT_CACHE"
"""Environment variable: the directory of the cache, in place of compat/.cache."""

LAST_LINES = 30


class BuildError(Exception):
    """Outside code could not be fetched or built; the message says which command said what."""


def cache_directory() -> Path:
    """Where outside code is kept."""
    return Path(os.environ.get(CACHE_ENV) or Path(__file__).parent / ".cache").absolute()


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The directory `name` of the cache, which `build` has filled once.

    Args:
        name: One path component; holds the version of what it names, so that a new version is
            built anew.
        build: Gets an empty directory to fill. It has another path until the build is done, so
            nothing in it may name its own place. Whatever it raises passes through.
    """
    assert name == Path(name).name, f"{name} is not one path component"
    place = cache_directory() / name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():  # Another process may have built it meanwhile.
            aside = place.with_name(f".{name}.partial")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            build(aside)
            aside.rename(place)
    return place


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = 1800,
) -> str:
    """Run one step of a build and give what it printed.

    Args:
        env: Variables on top of this process's own.

    Raises:
        BuildError: It failed or took too long.
    """
    said = " ".join(map(str, command))
    # A group of its own, so that what it has started ends with it.
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise BuildError(f"{said}: still ran after {seconds} s") from None
            raise
    if process.returncode != 0:
        tail = "\n  ".join(output.splitlines()[-LAST_LINES:])
        raise BuildError(f"{said}: status {process.returncode}\n  {tail}")
    return output
