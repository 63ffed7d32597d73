"""The integration tests that kafka-python's source archive holds, run against a broker that runs.

The archive lacks one module that they import, `test/service.py`, which would start brokers.
`external_service.py` takes its place. Each version has a virtual environment of its own.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import dataclass
from pathlib import Path

from compat.outside import cached, run
from compat.targets import Target

STAND_IN = Path(__file__).parent / "external_service.py"
REQUIREMENTS = (
    "pytest==9.2.0",
    "pytest-mock==3.17.0",
    "pytest-timeout==2.4.0",
    "py==1.11.0",
    "lz4==4.4.5",
    "zstandard==0.25.0",
    "python-snappy==0.7.3",
    "cramjam==2.14.0",
    "xxhash==4.1.0",
    "crc32c==2.9.post0",
)

# What the tests expect of their broker: replicas on node 0, topics with four partitions, an
# address that it was told.
BROKER_SETTINGS = {
    "node.id": "0",
    "num.partitions": "4",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:{port}",
}


@dataclass(frozen=True)
class Outcome:
    """What came of one test: "passed", "failed" or "skipped", and why."""

    kind: str
    reason: str = ""


@dataclass(frozen=True)
class OwnTests:
    """The tests of one version.

    Attributes:
        speaks: The broker version that the client is told to expect.
        ignored: Files that start brokers of their own.
        left_out: Tests that are not run, as "file::test".
        must_pass: All others.
    """

    version: str
    speaks: str
    ignored: tuple[str, ...]
    left_out: frozenset[str]
    must_pass: tuple[str, ...]

    def run(self, broker: Target, directory: Path) -> dict[str, Outcome]:
        """Run them all; gives "file::test" -> outcome.

        Args:
            directory: For the report and the output.
        """
        installed = cached(f"kafka-python-{self.version}-tests-{self._digest()}", self._install)
        report, log = directory / "report.xml", directory / "output.log"
        command = [str(installed / "venv" / "bin" / "python"), "-m", "pytest", "test/integration"]
        command += ["-o", "addopts=", "-o", "log_level=WARNING", "-q", "-p", "no:cacheprovider"]
        command += ["--timeout", "120", "--timeout-method=signal", f"--junitxml={report}"]
        command += [f"--ignore=test/integration/{name}.py" for name in self.ignored]
        for test in sorted(self.left_out):
            name, _, function = test.partition("::")
            command += ["--deselect", f"test/integration/{name}.py::{function}"]
        environment = {
            **os.environ,
            "KAFKA_ROOT": str(directory),
            "KAFKA_VERSION": self.speaks,
            "KAFKA_URI": f"tcp://{broker.address}",
        }
        with log.open("w") as output:
            done = subprocess.run(
                command,
                cwd=installed / "source",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        assert report.exists(), f"status {done.returncode}: {log.read_text()[-4000:]}"
        return dict(map(_outcome, ElementTree.parse(report).getroot().iter("testcase")))

    def _digest(self) -> str:
        """Changes with all that is installed beside kafka-python itself."""
        return f"{zlib.crc32(' '.join(REQUIREMENTS).encode() + STAND_IN.read_bytes()):08x}"

    def _install(self, directory: Path) -> None:
        archives = directory / "archives"
        download = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(archives)]
        run([*download, "--no-binary=kafka-python", f"kafka-python=={self.version}"])
        (archive,) = archives.iterdir()
        with tarfile.open(archive) as packed:
            packed.extractall(directory, filter="data")
        source = directory / "source"
        archive_name = archive.name.removesuffix(".tar.gz")
        (directory / archive_name).rename(source)
        shutil.rmtree(archives)
        (source / "test" / "__init__.py").touch()
        shutil.copy(STAND_IN, source / "test" / "service.py")
        run([sys.executable, "-m", "venv", directory / "venv"])
        # As a module: pip's own script would name the place where it was built.
        python = directory / "venv" / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS])


def _outcome(case: ElementTree.Element) -> tuple[str, Outcome]:
    file = (case.get("classname") or "").split(".")[-1]
    name = f"{file}::{case.get('name')}"
    for kind, tag in (("failed", "failure"), ("failed", "error"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            text = found.text if kind == "failed" else found.get("message")
            return name, Outcome(kind, text or "")
    return name, Outcome("passed")
