"""What librdkafka's tests ask of the broker, and Kafka's scripts that some of them call."""

from pathlib import Path

import pytest

from compat.runtimes import require
from compat.targets import COMPAT_DIR, TargetUnavailable, kafka_libs

# The scripts that the tests call, and what Kafka's own ones of these names start.
SCRIPTS = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--idempotent",
        action="store_true",
        help="every producer of librdkafka_runner is idempotent",
    )


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    return {
        "num.partitions": "4",
        # Kafka's default. With less, members that start one after the other see a rebalance more
        # than 0089 and 0118 count on.
        "group.initial.rebalance.delay.ms": "3000",
    }


@pytest.fixture(scope="session")
def kafka_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like that of an installed Kafka, as far as the tests look into it."""
    java = require("java")
    try:
        libs = kafka_libs()
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    directory = tmp_path_factory.mktemp("kafka")
    (directory / "bin").mkdir()
    logging = COMPAT_DIR / "kafka" / "log4j2.properties"
    options = f"-Xmx300m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile='{logging}'"
    for name, started in SCRIPTS.items():
        script = directory / "bin" / name
        script.write_text(f"#!/bin/sh\nexec '{java}' {options} -cp '{libs}/*' {started} \"$@\"\n")
        script.chmod(0o755)
    return directory
