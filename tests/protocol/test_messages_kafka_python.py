"""Byte equality with kafka-python, whose codec works from Kafka's schema files at run time.

Its schemas reach as far as its client goes; `test_messages_kio.py` covers the rest.

One difference, which is none of the schema: kafka-python reads an ApiVersions response with an
error always as version 0, because a broker that does not know the version answers so (KIP-511).
"""

import warnings
from importlib import import_module
from random import Random
from typing import Any

import pytest

from tests.harness.protocol_values import MESSAGES, MessageCase, encoded, random_value

SEEDS = range(1)


def known_classes() -> dict[str, Any]:
    """The message classes of kafka-python by name."""
    with warnings.catch_warnings():
        # It reads its schema files with a function that Python 3.11 calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        for package in ("admin", "consumer", "metadata", "producer", "sasl"):
            import_module(f"kafka.protocol.{package}")
    base = import_module("kafka.protocol.api_message").ApiMessage
    return {each.__name__: each for each in base.__subclasses__()}


KNOWN = known_classes()
CASES = [case for case in MESSAGES if case.name in KNOWN]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kafka_python_reads_and_writes_the_same_bytes(case: MessageCase) -> None:
    theirs = KNOWN[case.name]
    assert theirs.max_version >= case.type.MAX_VERSION
    for version in case.versions():
        for seed in SEEDS:
            value = random_value(case, version, Random(f"{case.name} {version} {seed}"))
            if case.name == "ApiVersionsResponse":
                value.error_code = 0
            ours = encoded(value, version)
            message = theirs.decode(ours, version=version)
            message._header = None
            assert bytes(message.encode(version=version)) == ours, f"version {version}, seed {seed}"
            assert case.type.decode(memoryview(ours), version) == value


def test_kafka_python_reaches_most_messages() -> None:
    assert len(CASES) > 100
