"""node-rdkafka's end-to-end tests, one process for each file of them."""

import json
import os
import re
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from compat.node_addons import node_modules
from compat.processes import eventually
from compat.runtimes import require
from compat.targets import Target

kafka_admin = pytest.importorskip("kafka.admin")
kafka_errors = pytest.importorskip("kafka.errors")

FOLDER = Path(__file__).parent
FILE_SECONDS = 150

Results = dict[str, dict[str, Any]]


def allowed() -> list[tuple[str, str]]:
    """File and title of each test in `tests.allow`, where a file's titles follow its [name]."""
    found, file = [], ""
    for line in (FOLDER / "tests.allow").read_text().splitlines():
        if heading := re.fullmatch(r"\[([\w-]+)\]", line):
            file = heading.group(1)
        elif line:
            found.append((file, line))
    return found


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    # One partition of __consumer_offsets: when one group has its coordinator, all have it.
    return {"num.partitions": "1", "offsets.topic.num.partitions": "1"}


@pytest.fixture(scope="session")
def modules() -> Path:
    return node_modules(FOLDER, "node-rdkafka")


@pytest.fixture(scope="session")
def warm_broker(fresh_broker: Target) -> Target:
    """A broker with the topic that all files use, because consumers make none, and with a
    coordinator that answers, because some tests count on it at once.
    """
    with closing(kafka_admin.KafkaAdminClient(bootstrap_servers=fresh_broker.address)) as admin:
        admin.create_topics({"test": {"num_partitions": 1}}, wait_for_metadata=True)
        eventually(lambda: _has_coordinator(admin), what="a coordinator")
    return fresh_broker


def _has_coordinator(admin: Any) -> bool:
    try:
        admin.list_group_offsets("first")
    except (
        kafka_errors.CoordinatorNotAvailableError,
        kafka_errors.CoordinatorLoadInProgressError,
        kafka_errors.NotCoordinatorError,
    ):
        return False
    return True


@pytest.fixture(scope="session")
def results() -> dict[str, Results]:
    """What mocha has said of each file so far."""
    return {}


def run_file(modules: Path, broker: Target, file: str) -> Results:
    """What mocha says of each test of a file, by its title."""
    report = broker.directory / f"{file}.json"
    mocha = modules / "mocha" / "bin" / "mocha.js"
    command: list[str | Path] = [
        require("node"),
        mocha,
        "--exit",
        "--timeout",
        "60000",
        f"e2e/{file}.spec.js",
    ]
    command += ["--reporter", "json", "--reporter-option", f"output={report}"]
    process = subprocess.Popen(
        command,
        cwd=modules / "node-rdkafka",
        env={**os.environ, "KAFKA_HOST": broker.address},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=FILE_SECONDS)
    finally:
        if process.poll() is None:  # Addons have been seen to hang after the last test.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = json.loads(report.read_text())
    return {test["fullTitle"].strip(): test for test in said["passes"] + said["failures"]}


@pytest.mark.parametrize(("file", "title"), allowed())
def test_end_to_end(
    modules: Path, warm_broker: Target, results: dict[str, Results], file: str, title: str
) -> None:
    if file not in results:
        results[file] = run_file(modules, warm_broker, file)
    found = results[file].get(title)
    assert found is not None, f"it did not run; these did: {list(results[file])}"
    assert found["err"] == {}, found["err"]
