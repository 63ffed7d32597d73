"""Who may speak for a transactional id."""

from typing import NamedTuple

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.state import ENDING
from pykbroker.protocol.errors import ErrorCode, KafkaError


class ProducerIdAndEpoch(NamedTuple):
    """A producer as it names itself."""

    producer_id: int
    epoch: int


def check_producer(
    known: TransactionMetadata | None, producer: ProducerIdAndEpoch
) -> TransactionMetadata:
    """Make sure that a producer holds the transactional id and may go on with a transaction.

    Raises:
        KafkaError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED; CONCURRENT_TRANSACTIONS while
            its last transaction is ending.
    """
    if known is not None and known.state in ENDING and producer == (known.next_producer_id, 0):
        # It knows already which id the end of the transaction gives it.
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    if known is None or known.producer_id != producer.producer_id:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if known.producer_epoch != producer.epoch:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if known.state in ENDING:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    return known
