"""kafkajs: `faults.test.mjs`, run by node's own test runner."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from compat.faults_over_http.conftest import ControlledBroker
from compat.node_clients.workspace import node_modules
from compat.runtimes import require

FOLDER = Path(__file__).parent
SCRIPT = "faults.test.mjs"
SECONDS = 120
TESTS = (
    "an error that passes is tried again",
    "a refusal for good is not tried again",
    "an answer lost after the append, idempotent true",
    "an answer lost after the append, idempotent false",
    "a broker that is away for a while",
    "a full disk takes records again when there is room",
    "a member that was cut off until its session has expired joins again",
    "a coordinator that moves keeps what was committed",
    "a transaction that has timed out is gone",
)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside kafkajs."""
    directory = tmp_path_factory.mktemp("faults_over_http")
    (directory / "node_modules").symlink_to(node_modules())
    for script in FOLDER.glob("*.mjs"):
        shutil.copy(script, directory)
    return directory


@pytest.fixture(scope="session")
def outcomes(workspace: Path, controlled_broker: ControlledBroker) -> dict[str, str]:
    """What node said of each test, from its outcome to the next one's."""
    environment = {
        **os.environ,
        "KAFKA": controlled_broker.address,
        "CONTROL": controlled_broker.control,
    }
    ran = subprocess.run(
        [require("node"), "--test", "--test-reporter=tap", workspace / SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    parts = re.split(r"^ *# Subtest: (.+)$", ran.stdout, flags=re.MULTILINE)
    return {"everything": ran.stdout, **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize("test", TESTS)
def test_kafkajs(test: str, outcomes: dict[str, str]) -> None:
    assert test in outcomes, outcomes["everything"]
    assert re.match(rf"\s*ok \d+ - {test}$", outcomes[test], re.MULTILINE), outcomes[test]
