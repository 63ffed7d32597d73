"""Questions to Apache Kafka's own classes: AskKafka.java says what can be asked."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from compat.jvm import compiled, java_command
from compat.runtimes import require
from compat.targets import TargetUnavailable, kafka_libs

PROGRAM = Path(__file__).parent / "AskKafka.java"


def kafka_says(questions: Iterable[dict[str, Any]]) -> list[Any]:
    """The answers to some questions, all asked of one JVM."""
    require("java")
    try:
        libs = kafka_libs()
    except TargetUnavailable as error:
        pytest.skip(str(error))
    classes = compiled("ask-kafka", [PROGRAM], libs)
    result = subprocess.run(
        java_command("AskKafka", class_path=[f"{libs}/*", classes]),
        input="".join(json.dumps(question) + "\n" for question in questions),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]
