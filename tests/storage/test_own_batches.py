import pytest

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import NO_PRODUCER_ID, NO_SEQUENCE
from pykbroker.protocol.records import Record
from pykbroker.storage.own_batches import batch_of

RECORDS = [Record(n, 1_000, b"key", b"value" * 20) for n in range(3)]


def test_outside_of_transactions_a_batch_has_no_producer() -> None:
    batch = batch_of(RECORDS, Codec.GZIP, None, 1_000)
    assert (batch.producer_id, batch.base_sequence) == (NO_PRODUCER_ID, NO_SEQUENCE)
    assert batch_of(RECORDS, Codec.GZIP, None, 1_000, 0).base_sequence == 0
    assert (batch.is_transactional, batch.codec) == (False, Codec.GZIP)
    assert [record.value for record in batch.records(1_000)] == [r.value for r in RECORDS]


def test_within_a_transaction_it_is_its_producers() -> None:
    batch = batch_of(RECORDS, Codec.NONE, (7, 3), 1_000)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 3, 0)
    assert batch.is_transactional
    assert not batch.is_control


def test_a_batch_has_a_limit() -> None:
    size = batch_of(RECORDS, Codec.NONE, None, 1_000).size_bytes
    assert batch_of(RECORDS, Codec.NONE, None, size).size_bytes == size
    with pytest.raises(KafkaError) as refused:
        batch_of(RECORDS, Codec.NONE, None, size - 1)
    assert refused.value.code is ErrorCode.MESSAGE_TOO_LARGE
