"""librdkafka from the source that Debian keeps, for suites that build against a new one.

`library` is the source tree with the built libraries; `installed` in it has what a program that
links against it needs. `runner` is the same tree with librdkafka's own tests, built.
"""

import os
import shutil
from pathlib import Path

import pytest

from compat.debian_sources import unpack_source
from compat.outside import cached, run
from compat.runtimes import missing

VERSION = "2.14.2"
DEBIAN_VERSION = f"{VERSION}-1"
DEBIAN_SUITE = "sid"
PREFIX = "/opt/librdkafka"
"""Where it would be installed; in fact below `installed`, which no path in it names."""

BUILD_PROGRAMS = ("apt-get", "gcc", "g++", "make", "pkg-config")


def library() -> Path:
    """The built source tree; skips the test where it cannot be built."""
    if lacking := missing(BUILD_PROGRAMS):
        pytest.skip(f"no {', '.join(lacking)} on this machine, to build librdkafka")
    return cached(f"librdkafka-{VERSION}", _build_library)


def runner() -> Path:
    """The directory of librdkafka's tests, `test-runner` among them; skips as `library` does."""
    source = library()

    def build(directory: Path) -> None:
        shutil.copytree(source, directory, dirs_exist_ok=True, symlinks=True)
        run(["make", "-C", "tests", _jobs(), "build"], cwd=directory)

    return cached(f"librdkafka-{VERSION}-tests", build) / "tests"


def installed() -> Path:
    """The directory with `include` and `lib`."""
    return library() / "installed" / PREFIX.removeprefix("/")


def _build_library(directory: Path) -> None:
    unpack_source("librdkafka", DEBIAN_VERSION, DEBIAN_SUITE, directory)
    options = ["--disable-gssapi", "--disable-curl", "--disable-debug-symbols"]
    run(["./configure", f"--prefix={PREFIX}", *options], cwd=directory)
    run(["make", _jobs(), "libs"], cwd=directory)
    run(["make", "install-subdirs", f"DESTDIR={directory / 'installed'}"], cwd=directory)


def _jobs() -> str:
    return f"-j{os.cpu_count() or 1}"
