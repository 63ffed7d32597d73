"""kcat's own scripts, which say by their exit status whether the broker did as they expect."""

import os
import shutil
from pathlib import Path

import pytest

from compat.debian_sources import unpack_source
from compat.outside import cached
from compat.processes import LineProcess
from compat.runtimes import require
from compat.targets import Target

VERSION = "1.7.1"
SECONDS = 120


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    """The scripts write to partitions 0 and 1 of topics that are made on demand."""
    return {"num.partitions": "4"}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The directory of the scripts; they call `../kcat`."""
    fetched = cached(f"kcat-{VERSION}-source", _fetch)
    (tmp_path / "kcat").symlink_to(require("kcat"))
    return Path(shutil.copytree(fetched / "tests", tmp_path / "tests"))


def _fetch(directory: Path) -> None:
    unpack_source("kafkacat", f"{VERSION}-2", "bookworm", directory)


@pytest.mark.parametrize("script", ["0001-exit_eof", "0002-delim"])
def test_script_passes(fresh_broker: Target, scripts: Path, script: str) -> None:
    # Without a terminal kcat takes itself for a producer where it should consume.
    terminal = [str(require("script")), "--quiet", "--return", "--command"]
    command = ["env", "--chdir", str(scripts), *terminal, f"bash ./{script}.sh", "/dev/null"]
    process = LineProcess(command, env={**os.environ, "BROKERS": fresh_broker.address})

    status = process.wait(seconds=SECONDS)

    assert status == 0, process.describe()
