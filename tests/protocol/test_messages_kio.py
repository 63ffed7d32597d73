"""Byte equality with kio, an implementation of the protocol that is made from Kafka's schemas.

kio 0.6.5 carries the schemas of Kafka 4.3: one class for each version, where ours is one for all.
Both directions are compared: what we write, kio reads to the last byte and writes again as the
same bytes; and what kio writes (the same bytes, shown equal), we read back as the same value.

Known limits of kio, not differences on the wire:
- It has no records of internal topics (`__consumer_offsets`, `__transaction_state`).
- It reads times as `datetime` and error codes as an enum, so values outside of them are not made
  (`tests/harness/protocol_values.py`); the round trips of `test_messages.py` have them.
"""

from importlib import import_module
from io import BytesIO
from random import Random
from typing import Any

import pytest
from kio.schema.index import api_key_map, schema_name_map
from kio.serial import entity_reader, entity_writer

from pykbroker.protocol.messages import API_SCHEMAS
from tests.harness.protocol_values import MESSAGES, MessageCase, encoded, random_value

SEEDS = range(1)
CASES = [case for case in MESSAGES if case.message.role not in ("key", "value")]


def kio_type(case: MessageCase, version: int) -> Any:
    role = case.message.role
    return getattr(import_module(f"kio.schema.{case.stem}.v{version}.{role}"), case.name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kio_reads_and_writes_the_same_bytes(case: MessageCase) -> None:
    for version in case.versions():
        read, write = entity_reader(kio_type(case, version)), entity_writer(kio_type(case, version))
        for seed in SEEDS:
            value = random_value(case, version, Random(f"{case.name} {version} {seed}"))
            ours = encoded(value, version)

            entity, size = read(ours, 0)
            theirs = BytesIO()
            write(theirs, entity)

            assert size == len(ours), f"version {version}, seed {seed}"
            assert theirs.getvalue() == ours, f"version {version}, seed {seed}"
            again = case.type.decode(memoryview(theirs.getvalue()), version)
            assert again == value, f"version {version}, seed {seed}"


def test_kio_knows_every_api_and_version_of_ours() -> None:
    for key, schema in API_SCHEMAS.items():
        versions = set(schema_name_map[api_key_map[key]])
        assert versions >= set(range(schema.min_version, schema.max_version + 1)), schema.name
        # The one version more is marked as unstable by Kafka 4.3.
        assert max(versions) - schema.max_version == (1 if schema.name == "InitProducerId" else 0)
