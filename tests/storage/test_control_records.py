import struct

import pytest

from pykbroker.storage.control_records import ControlRecord, marker_batch, read_control_record
from tests.harness.batches import NOW_MS, a_record


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


@pytest.mark.parametrize(
    ("is_commit", "crc", "kind"), [(False, "32332055", 0), (True, "c60df61d", 1)]
)
def test_a_marker_has_kafkas_bytes(is_commit: bool, crc: str, kind: int) -> None:
    """As MemoryRecords.withEndTransactionMarker of Kafka 4.3.1 writes it."""
    batch = marker_batch(7, 3, is_commit=is_commit, coordinator_epoch=5, now_ms=NOW_MS)

    assert bytes(batch.data).hex(" ", -4) == bytes.fromhex(
        "0000000000000000 00000042 ffffffff 02"  # offset 0, 66 bytes, no leader epoch, magic 2
        f"{crc} 0030 00000000"  # transactional, control; one record
        "0000018bcfe56800 0000018bcfe56800"
        "0000000000000007 0003 ffffffff 00000001"  # producer, epoch, no sequence, one record
        f"20 00 00 00 08 0000 {kind:04x} 0c 0000 00000005 00"  # key: version, type; coordinator 5
    ).hex(" ", -4)


def test_a_marker_may_have_the_brokers_time() -> None:
    batch = marker_batch(
        7, 3, is_commit=True, coordinator_epoch=5, now_ms=NOW_MS, is_append_time=True
    )

    assert batch.is_log_append_time
    assert batch.max_timestamp == NOW_MS
    assert batch.is_crc_valid()
