from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.records import (
    decode_record,
    encode_record,
    metadata_of,
    record_of,
    tombstone_of,
)
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.transaction_log_record import TransactionLogValue

ONGOING = TransactionMetadata(
    "id",
    producer_id=9,
    timeout_ms=60_000,
    last_update_ms=7,
    state=TransactionState.ONGOING,
    producer_epoch=3,
    previous_producer_id=8,
    next_producer_id=10,
    partitions=frozenset({("u", 0), ("t", 1), ("t", 0)}),
    start_ms=5,
    client_version=2,
)
KEY = bytes.fromhex("0000 0002 6964".replace(" ", ""))


def back(key: bytes, value: bytes | None) -> TransactionMetadata:
    record = decode_record(key, value)
    assert record is not None
    assert isinstance(record.value, TransactionLogValue)
    return metadata_of("id", record.value)


def test_version_0_in_bytes() -> None:
    key, value = encode_record(record_of(ONGOING, 0))
    assert key == KEY
    assert value is not None
    assert value.hex(" ") == (
        "00 00 "  # version
        "00 00 00 00 00 00 00 09 "  # producer id
        "00 03 "  # epoch
        "00 00 ea 60 "  # timeout
        "01 "  # Ongoing
        "00 00 00 02 "  # topics
        "00 01 74 00 00 00 02 00 00 00 00 00 00 00 01 "  # t: 0, 1
        "00 01 75 00 00 00 01 00 00 00 00 "  # u: 0
        "00 00 00 00 00 00 00 07 "  # last update
        "00 00 00 00 00 00 00 05"  # start
    )
    read = back(key, value)
    assert read.partitions == ONGOING.partitions
    assert (read.previous_producer_id, read.next_producer_id, read.client_version) == (-1, -1, 0)


def test_version_1_says_everything() -> None:
    key, value = encode_record(record_of(ONGOING, 1))
    assert value is not None
    assert value[:2] == b"\x00\x01"
    assert back(key, value) == ONGOING


def test_an_empty_state_has_no_partitions() -> None:
    empty = TransactionMetadata("id", 9, 1, 2, producer_epoch=0)
    record = record_of(empty, 0)
    assert isinstance(record.value, TransactionLogValue)
    assert record.value.transaction_partitions is None
    assert back(*encode_record(record)) == empty


def test_a_tombstone_has_no_value() -> None:
    assert encode_record(tombstone_of("id")) == (KEY, None)
    record = decode_record(KEY, None)
    assert record == tombstone_of("id")


def test_what_is_not_a_transaction_is_told_apart() -> None:
    assert decode_record(b"\x00\x01\x00\x00", b"") is None
    with pytest.raises(ProtocolError):
        decode_record(b"\x00", None)
    with pytest.raises(ProtocolError):
        decode_record(KEY, b"\x00\x02")
    _, value = encode_record(record_of(ONGOING, 0))
    assert value is not None
    dead = value[:16] + b"\x06" + value[17:]
    with pytest.raises(ProtocolError, match="state 6"):
        decode_record(KEY, dead)
