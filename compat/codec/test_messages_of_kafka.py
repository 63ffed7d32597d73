"""Apache Kafka's own classes read what we write and write the same bytes again."""

import subprocess
from pathlib import Path
from random import Random

import pytest

from compat.runtimes import require
from compat.targets import TargetUnavailable, kafka_libs
from tests.harness.protocol_values import MESSAGES, encoded, random_value

SEEDS = range(6)
PROGRAM = Path(__file__).parent / "EchoMessages.java"


def test_kafka_reads_and_writes_the_same_bytes() -> None:
    java = require("java")
    try:
        class_path = f"{kafka_libs()}/*"
    except TargetUnavailable as error:
        pytest.skip(str(error))
    ours = [
        f"{case.name} {version} "
        + encoded(
            random_value(case, version, Random(f"{case.name} {version} {seed}")), version
        ).hex()
        for case in MESSAGES
        for version in case.versions()
        for seed in SEEDS
    ]

    result = subprocess.run(
        [java, "-Xmx512m", "-cp", class_path, str(PROGRAM)],
        input="\n".join(ours) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    different = [
        (mine, theirs)
        for mine, theirs in zip(ours, result.stdout.splitlines(), strict=True)
        if mine != theirs
    ]
    assert not different
