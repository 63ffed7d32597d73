import struct

import pytest

from pykbroker.storage.control_records import ControlRecord, read_control_record
from tests.harness.batches import a_record


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (0, struct.pack(">hi", 0, 7), ControlRecord("ABORT", 7)),
        (1, struct.pack(">hi", 0, 8), ControlRecord("COMMIT", 8)),
        (1, b"\0\0", None),
        (1, None, None),
        (2, b"anything", ControlRecord("LEADER_CHANGE", None)),
        (77, b"anything", ControlRecord("77", None)),
    ],
)
def test_the_key_names_the_type(
    kind: int, value: bytes | None, expected: ControlRecord | None
) -> None:
    record = a_record(key=struct.pack(">hh", 0, kind), value=value)

    assert read_control_record(record) == expected


@pytest.mark.parametrize("key", [None, b"", b"\0\0\0"])
def test_a_key_that_is_too_short_is_malformed(key: bytes | None) -> None:
    assert read_control_record(a_record(key=key)) is None
