"""AddPartitionsToTxn: which partitions are part of a transaction, told and asked.

Source: KIP-98, KIP-890; Kafka's TransactionCoordinator.handleAddPartitionsToTransaction and
handleVerifyPartitionsInTransaction.
"""

from pykbroker.coordinator.transaction.metadata import TopicPartition, TransactionMetadata
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch, check_producer
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.coordinator.transaction.step import TransactionStep
from pykbroker.protocol.errors import ErrorCode


def add_partitions(
    known: TransactionMetadata | None,
    step: TransactionStep,
    producer: ProducerIdAndEpoch,
    added: frozenset[TopicPartition],
    client_version: int,
) -> None:
    """Make partitions part of the producer's transaction; the first ones begin it.

    Raises:
        KafkaError: See `check_producer` and `TransactionStep.check_client_version`.
    """
    known = check_producer(known, producer)
    if not has_partitions(known, added):
        step.check_client_version(client_version)
        step.write(known.with_partitions(added, client_version, step.now_ms))


def verify_partition(
    known: TransactionMetadata | None, producer: ProducerIdAndEpoch, partition: TopicPartition
) -> ErrorCode:
    """Say whether a partition is part of the producer's transaction.

    TRANSACTION_ABORTABLE if it is not.

    Raises:
        KafkaError: See `check_producer`.
    """
    known = check_producer(known, producer)
    is_part = has_partitions(known, frozenset({partition}))
    return ErrorCode.NONE if is_part else ErrorCode.TRANSACTION_ABORTABLE


def has_partitions(known: TransactionMetadata, partitions: frozenset[TopicPartition]) -> bool:
    """Whether all of them are part of the transaction that goes on."""
    return known.state is TransactionState.ONGOING and partitions <= known.partitions
