"""EndTxn: it is decided how a transaction ends, by its producer, by its successor or by time.

By version 2 of transactions each end bumps the epoch, so a request that comes again is told from
the next one by its epoch. What each state answers to the current epoch and to the one before:

| state | abort, current | abort, again | commit, current | commit, again |
|---|---|---|---|---|
| Empty | bump | PRODUCER_FENCED | INVALID_TXN_STATE | PRODUCER_FENCED |
| Ongoing | abort | PRODUCER_FENCED | commit | PRODUCER_FENCED |
| PrepareAbort | PRODUCER_FENCED | CONCURRENT_TRANSACTIONS | PRODUCER_FENCED | INVALID_TXN_STATE |
| PrepareCommit | PRODUCER_FENCED | INVALID_TXN_STATE | PRODUCER_FENCED | CONCURRENT_TRANSACTIONS |
| CompleteAbort | bump | as before | INVALID_TXN_STATE | INVALID_TXN_STATE |
| CompleteCommit | bump | INVALID_TXN_STATE | INVALID_TXN_STATE | as before |

Before version 2 only the current epoch counts, and a request that asks for what has happened is
taken for the same one. Source: KIP-98, KIP-890; Kafka's TransactionCoordinator.endTransaction.
"""

from typing import Final, NamedTuple

from pykbroker.coordinator.transaction.epochs import LastEpochs
from pykbroker.coordinator.transaction.metadata import (
    FIRST_VERSION_WITH_EPOCH_BUMP,
    LAST_CLIENT_EPOCH,
    MAX_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    TransactionMetadata,
)
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.state import AT_REST, TransactionState
from pykbroker.coordinator.transaction.step import TransactionStep
from pykbroker.protocol.errors import ErrorCode, KafkaError

# How a transaction can have ended, or be about to: whether by a commit.
OUTCOMES: Final = {
    TransactionState.PREPARE_COMMIT: True,
    TransactionState.COMPLETE_COMMIT: True,
    TransactionState.PREPARE_ABORT: False,
    TransactionState.COMPLETE_ABORT: False,
}
ENDED: Final = frozenset({TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT})


class End(NamedTuple):
    """What a producer asks for; `client_version` is the version of transactions it works by."""

    transactional_id: str
    producer: ProducerIdAndEpoch
    is_commit: bool
    client_version: int


def end_transaction(
    known: TransactionMetadata | None, last_epochs: LastEpochs, step: TransactionStep, end: End
) -> ProducerIdAndEpoch:
    """Decide how a transaction ends; give the id and epoch by which the producer goes on.

    Raises:
        KafkaError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, INVALID_TXN_STATE;
            CONCURRENT_TRANSACTIONS while the same end is under way; UNSUPPORTED_VERSION while the
            version of transactions is 0, which no producer of version 2 can work by.
        NoProducerIdError: A producer id is needed.
    """
    bumps = end.client_version >= FIRST_VERSION_WITH_EPOCH_BUMP
    if known is None:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    is_retry = bumps and _is_retry(known, end.producer)
    if known.producer_id != end.producer.producer_id and not is_retry:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if not _has_right_epoch(known, end.producer.epoch, bumps=bumps, is_retry=is_retry):
        raise KafkaError(ErrorCode.PRODUCER_FENCED)

    if known.state is TransactionState.ONGOING:
        return _prepare(known, last_epochs, step, end)
    if bumps and not is_retry and not end.is_commit and known.state in AT_REST:
        return _prepare(known, last_epochs, step, end)
    if OUTCOMES.get(known.state) is not end.is_commit or (bumps and not is_retry):
        raise KafkaError(
            ErrorCode.INVALID_TXN_STATE,
            f"the transaction is in state {known.state.display_name}",
        )
    if known.state not in ENDED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    if known.producer_epoch == MAX_EPOCH:
        # Somebody else has ended it in the epoch that is for fencing, and is no client's.
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    return ProducerIdAndEpoch(known.producer_id, known.producer_epoch)


def abort_fenced(
    known: TransactionMetadata, last_epochs: LastEpochs, step: TransactionStep
) -> TransactionMetadata:
    """Abort the open transaction of a producer that must not go on.

    By version 2 of transactions the abort itself bumps the epoch, once (KAFKA-19367), and gives a
    new producer id where the epochs run out, as the producer's own end does.

    Raises:
        NoProducerIdError: A producer id is needed.
    """
    bumps = step.settings.version >= FIRST_VERSION_WITH_EPOCH_BUMP
    fenced = known if bumps else known.fenced()
    rotates = bumps and known.is_epoch_exhausted
    prepared = fenced.prepared(
        is_commit=False,
        client_version=step.settings.version if bumps else 0,
        next_producer_id=step.new_producer_id() if rotates else NO_PRODUCER_ID,
        now_ms=step.now_ms,
    )
    completed = prepared.completed(step.now_ms)
    last_epochs.note(completed, fenced.producer_epoch if bumps else NO_PRODUCER_EPOCH)
    step.write(prepared)
    return prepared


def _prepare(
    known: TransactionMetadata, last_epochs: LastEpochs, step: TransactionStep, end: End
) -> ProducerIdAndEpoch:
    step.check_client_version(end.client_version)
    bumps = end.client_version >= FIRST_VERSION_WITH_EPOCH_BUMP
    rotates = bumps and known.is_epoch_exhausted
    prepared = known.prepared(
        is_commit=end.is_commit,
        client_version=end.client_version,
        next_producer_id=step.new_producer_id() if rotates else NO_PRODUCER_ID,
        now_ms=step.now_ms,
    )
    step.write(prepared)
    completed = prepared.completed(step.now_ms)
    if bumps:
        # Of the two values the client sees but the second; no note is needed for the first.
        last_epochs.note(completed, known.producer_epoch)
    if not prepared.partitions:  # an abort of nothing: no marker keeps it from being complete
        step.write(completed)
    return ProducerIdAndEpoch(completed.producer_id, completed.producer_epoch)


def _is_retry(known: TransactionMetadata, producer: ProducerIdAndEpoch) -> bool:
    """Whether a producer says again what has led to the present epoch."""
    if known.producer_epoch == producer.epoch + 1 and known.producer_id == producer.producer_id:
        return True
    return (  # its epochs ran out, so it has a new id meanwhile
        known.previous_producer_id == producer.producer_id
        and producer.epoch == LAST_CLIENT_EPOCH
        and known.producer_epoch == 0
    )


def _has_right_epoch(
    known: TransactionMetadata, epoch: int, *, bumps: bool, is_retry: bool
) -> bool:
    is_current = epoch == known.producer_epoch
    if not bumps:
        return is_current
    if known.state in ENDED:
        return is_current or is_retry
    return is_retry if known.state in OUTCOMES else is_current
