"""Records of __transaction_state, in Apache Kafka 4.3's own formats.

The key is an int16 0 and the transactional id. The value is an int16 version and its fields; no
value is a tombstone. Version 1, written from transaction version 1 on, has the producer ids before
and after this one and the version of the client besides; in version 0 they are not known.
Source: the schemas of Kafka's transaction-coordinator, TransactionLog.
"""

import struct
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.transaction_log_record import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)

_INT16: Final = struct.Struct(">h")
_KEY_VERSION: Final = 0
FIRST_VERSION_WITH_TAGS: Final = 1
RECORDED_STATES: Final[Mapping[int, TransactionState]] = {
    state: state
    for state in TransactionState
    if state not in (TransactionState.DEAD, TransactionState.PREPARE_EPOCH_FENCE)
}


def encode_record(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
    """Return the key and value bytes that go into the log."""
    key = _INT16.pack(record.key.RECORD_TYPE) + b"".join(record.key.encode(_KEY_VERSION))
    if record.value is None:
        return key, None
    version = record.value_version
    return key, _INT16.pack(version) + b"".join(record.value.encode(version))


def decode_record(key: bytes, value: bytes | None) -> CoordinatorRecord | None:
    """Read a record back; None for a key of another type.

    Raises:
        ProtocolError: The bytes are not what their type says.
    """
    if _leading_int16(key) != TransactionLogKey.RECORD_TYPE:
        return None
    decoded_key = TransactionLogKey.decode(memoryview(key), _KEY_VERSION, _INT16.size)
    if value is None:
        return CoordinatorRecord(decoded_key, None)
    version = _leading_int16(value)
    decoded = TransactionLogValue.decode(memoryview(value), version, _INT16.size)
    if decoded.transaction_status not in RECORDED_STATES:
        raise ProtocolError(f"a transaction of unknown state {decoded.transaction_status}")
    return CoordinatorRecord(decoded_key, decoded, version)


def record_of(metadata: TransactionMetadata, value_version: int) -> CoordinatorRecord:
    """Describe a transactional id as it stands."""
    by_topic = groupby(sorted(metadata.partitions), key=itemgetter(0))
    partitions = [
        PartitionsSchema(topic, [partition for _, partition in group]) for topic, group in by_topic
    ]
    value = TransactionLogValue(
        producer_id=metadata.producer_id,
        producer_epoch=metadata.producer_epoch,
        transaction_timeout_ms=metadata.timeout_ms,
        transaction_status=metadata.state,
        transaction_partitions=None if metadata.state is TransactionState.EMPTY else partitions,
        transaction_last_update_timestamp_ms=metadata.last_update_ms,
        transaction_start_timestamp_ms=metadata.start_ms,
    )
    if value_version >= FIRST_VERSION_WITH_TAGS:
        value.previous_producer_id = metadata.previous_producer_id
        value.next_producer_id = metadata.next_producer_id
        value.client_transaction_version = metadata.client_version
    return CoordinatorRecord(TransactionLogKey(metadata.transactional_id), value, value_version)


def tombstone_of(transactional_id: str) -> CoordinatorRecord:
    """Say that a transactional id has expired."""
    return CoordinatorRecord(TransactionLogKey(transactional_id), None)


def metadata_of(transactional_id: str, value: TransactionLogValue) -> TransactionMetadata:
    """What a record says of its transactional id."""
    return TransactionMetadata(
        transactional_id,
        producer_id=value.producer_id,
        timeout_ms=value.transaction_timeout_ms,
        last_update_ms=value.transaction_last_update_timestamp_ms,
        state=RECORDED_STATES[value.transaction_status],
        producer_epoch=value.producer_epoch,
        previous_producer_id=value.previous_producer_id,
        next_producer_id=value.next_producer_id,
        partitions=frozenset(
            (each.topic, partition)
            for each in value.transaction_partitions or ()
            for partition in each.partition_ids
        ),
        start_ms=value.transaction_start_timestamp_ms,
        client_version=value.client_transaction_version,
    )


def _leading_int16(data: bytes) -> int:
    if len(data) < _INT16.size:
        raise ProtocolError("a record of __transaction_state is shorter than its type")
    (number,) = _INT16.unpack_from(data)
    return int(number)
