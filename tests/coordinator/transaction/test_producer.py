from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch, check_producer
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.errors import ErrorCode
from tests.harness.transactions import code_of

KNOWN = TransactionMetadata("id", 9, 1, 2, producer_epoch=5)
ENDING = TransactionMetadata(
    "id",
    9,
    1,
    2,
    producer_epoch=5,
    next_producer_id=10,
    state=TransactionState.PREPARE_COMMIT,
)


@pytest.mark.parametrize(
    ("known", "producer", "code"),
    [
        (KNOWN, (9, 5), ErrorCode.NONE),
        (None, (9, 5), ErrorCode.INVALID_PRODUCER_ID_MAPPING),
        (KNOWN, (8, 5), ErrorCode.INVALID_PRODUCER_ID_MAPPING),
        (KNOWN, (9, 4), ErrorCode.PRODUCER_FENCED),
        (KNOWN, (9, 6), ErrorCode.PRODUCER_FENCED),
        (ENDING, (9, 5), ErrorCode.CONCURRENT_TRANSACTIONS),
        (ENDING, (9, 4), ErrorCode.PRODUCER_FENCED),
        (ENDING, (10, 0), ErrorCode.CONCURRENT_TRANSACTIONS),
        (ENDING, (10, 1), ErrorCode.INVALID_PRODUCER_ID_MAPPING),
    ],
)
def test_who_may_speak_for_an_id(
    known: TransactionMetadata | None, producer: tuple[int, int], code: ErrorCode
) -> None:
    assert code_of(lambda: check_producer(known, ProducerIdAndEpoch(*producer))) is code
