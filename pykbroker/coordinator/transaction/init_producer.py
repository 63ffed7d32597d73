"""InitProducerId: a producer comes, or comes back, and whoever held its id before is fenced.

Source: KIP-98, KIP-360 (the producer tells which id and epoch it had), KIP-890; Kafka's
TransactionCoordinator.handleInitProducerId.
"""

from typing import NamedTuple

from pykbroker.coordinator.transaction.end import abort_fenced
from pykbroker.coordinator.transaction.epochs import LastEpochs
from pykbroker.coordinator.transaction.metadata import (
    LAST_CLIENT_EPOCH,
    MAX_EPOCH,
    NO_PRODUCER_EPOCH,
    TransactionMetadata,
)
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.state import ENDING, TransactionState
from pykbroker.coordinator.transaction.step import TransactionStep
from pykbroker.protocol.errors import ErrorCode, KafkaError


class InitProducer(NamedTuple):
    """What a producer asks for; `expected` is the id and epoch that it has, if it has one."""

    transactional_id: str
    timeout_ms: int
    expected: ProducerIdAndEpoch | None = None


def init_producer(
    known: TransactionMetadata | None,
    last_epochs: LastEpochs,
    step: TransactionStep,
    request: InitProducer,
) -> ProducerIdAndEpoch | None:
    """Give a producer its id and epoch; None when it has to come again.

    That is so when it finds a transaction open: this one is aborted first, under an epoch that
    nobody is given.

    Raises:
        KafkaError: PRODUCER_FENCED; CONCURRENT_TRANSACTIONS while a transaction is ending.
        NoProducerIdError: A producer id is needed.
    """
    expected = request.expected
    if known is None:
        known = TransactionMetadata(
            request.transactional_id, step.new_producer_id(), request.timeout_ms, step.now_ms
        )
    if expected is not None and not _may_be_the_holder(known, expected):
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if known.state in ENDING:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    if known.state is TransactionState.ONGOING:
        abort_fenced(known, last_epochs, step)
        return None
    is_retry = False
    last_epoch = NO_PRODUCER_EPOCH if expected is None else known.producer_epoch
    if expected is not None and not known.is_new and expected.epoch != known.producer_epoch:
        # It may have asked before and missed the answer.
        is_retry = expected.epoch == last_epochs.last_epoch(known)
        if not is_retry:
            raise KafkaError(ErrorCode.PRODUCER_FENCED)
        last_epoch = expected.epoch
    # The highest epoch is for fencing, and no client's; then there was no answer to miss.
    if is_retry and known.producer_epoch != MAX_EPOCH:
        producer = ProducerIdAndEpoch(known.producer_id, known.producer_epoch)
    elif known.is_epoch_exhausted:
        producer = ProducerIdAndEpoch(step.new_producer_id(), 0)
    else:
        producer = ProducerIdAndEpoch(known.producer_id, known.producer_epoch + 1)
    renewed = known.renewed(*producer, request.timeout_ms, step.now_ms)
    last_epochs.note(renewed, last_epoch)
    step.write(renewed)
    return producer


def _may_be_the_holder(known: TransactionMetadata, expected: ProducerIdAndEpoch) -> bool:
    """Whether a producer that says it has this id may have it; its epoch is looked at later.

    One whose epochs ran out may have missed that its id was changed.
    """
    return (
        known.is_new
        or expected.producer_id == known.producer_id
        or (
            expected.producer_id == known.previous_producer_id
            and expected.epoch >= LAST_CLIENT_EPOCH
        )
    )
