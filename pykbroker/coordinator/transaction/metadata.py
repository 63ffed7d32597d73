"""What is known of one transactional id, and the steps that it can take.

An immutable value: a step gives the value after it. Each is what one record of __transaction_state
says, but for what is told in `TransactionMetadata`. Source: Kafka's TransactionMetadata.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from pykbroker.coordinator.transaction.state import AT_REST, ENTERED_FROM, TransactionState

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_TIME: Final = -1
MAX_EPOCH: Final = 32767
# The last epoch that a client is given; the one above it is left for fencing.
LAST_CLIENT_EPOCH: Final = MAX_EPOCH - 1
# From this version of transactions on, the end of each one bumps the producer's epoch (KIP-890).
FIRST_VERSION_WITH_EPOCH_BUMP: Final = 2

TopicPartition = tuple[str, int]


@dataclass(slots=True, frozen=True)
class TransactionMetadata:
    """The state of a transactional id.

    Attributes:
        previous_producer_id: The one before the last step; where ids were changed for want of
            epochs a client that missed the answer still has this one.
        next_producer_id: The one that the end of the transaction changes to, for want of epochs.
        start_ms: When the transaction began; kept after its end.
        client_version: The version of transactions by which the producer works.
    """

    transactional_id: str
    producer_id: int
    timeout_ms: int
    last_update_ms: int
    state: TransactionState = TransactionState.EMPTY
    producer_epoch: int = NO_PRODUCER_EPOCH
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    partitions: frozenset[TopicPartition] = frozenset()
    start_ms: int = NO_TIME
    client_version: int = 0

    @property
    def is_new(self) -> bool:
        """Whether no producer has been given an epoch yet."""
        return self.producer_epoch == NO_PRODUCER_EPOCH

    @property
    def is_epoch_exhausted(self) -> bool:
        """Whether the producer id has no epoch left that a client may have."""
        return self.producer_epoch >= LAST_CLIENT_EPOCH

    @property
    def bumps_epochs(self) -> bool:
        """Whether the producer's epoch is bumped by the end of each of its transactions."""
        return self.client_version >= FIRST_VERSION_WITH_EPOCH_BUMP

    def renewed(
        self, producer_id: int, producer_epoch: int, timeout_ms: int, now_ms: int
    ) -> "TransactionMetadata":
        """A producer has come, with this id and epoch from now on."""
        return self._entering(
            TransactionState.EMPTY,
            now_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            timeout_ms=timeout_ms,
            partitions=frozenset(),
            start_ms=NO_TIME,
        )

    def with_partitions(
        self, added: frozenset[TopicPartition], client_version: int, now_ms: int
    ) -> "TransactionMetadata":
        """Partitions join the transaction; the first ones begin it."""
        return self._entering(
            TransactionState.ONGOING,
            now_ms,
            partitions=self.partitions | added,
            start_ms=now_ms if self.state in AT_REST else self.start_ms,
            client_version=client_version,
        )

    def fenced(self) -> "TransactionMetadata":
        """The producer has lost the transaction; to be aborted in the same step."""
        return self._entering(
            TransactionState.PREPARE_EPOCH_FENCE,
            self.last_update_ms,
            producer_epoch=min(self.producer_epoch + 1, MAX_EPOCH),
        )

    def prepared(
        self, *, is_commit: bool, client_version: int, next_producer_id: int, now_ms: int
    ) -> "TransactionMetadata":
        """It is decided how the transaction ends.

        An abort of nothing (KIP-890) has no beginning either, so it begins now.
        """
        state = TransactionState.PREPARE_COMMIT if is_commit else TransactionState.PREPARE_ABORT
        epoch = self.producer_epoch
        if client_version >= FIRST_VERSION_WITH_EPOCH_BUMP:
            epoch = min(epoch + 1, MAX_EPOCH)
        return self._entering(
            state,
            now_ms,
            producer_epoch=epoch,
            next_producer_id=next_producer_id,
            start_ms=now_ms if self.state in AT_REST else self.start_ms,
            client_version=client_version,
        )

    def completed(self, now_ms: int) -> "TransactionMetadata":
        """Every marker is on the disk."""
        is_commit = self.state is TransactionState.PREPARE_COMMIT
        state = TransactionState.COMPLETE_COMMIT if is_commit else TransactionState.COMPLETE_ABORT
        rotates = self.bumps_epochs and self.next_producer_id != NO_PRODUCER_ID
        return self._entering(
            state,
            now_ms,
            producer_id=self.next_producer_id if rotates else self.producer_id,
            producer_epoch=0 if rotates else self.producer_epoch,
            next_producer_id=NO_PRODUCER_ID,
            partitions=frozenset(),
        )

    def _entering(
        self, state: TransactionState, now_ms: int, **changes: Any
    ) -> "TransactionMetadata":
        assert self.state in ENTERED_FROM[state], f"{state.name} after {self.state.name}"
        return replace(
            self,
            state=state,
            previous_producer_id=self.producer_id,
            last_update_ms=now_ms,
            **changes,
        )
