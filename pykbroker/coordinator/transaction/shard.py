"""All transactional ids of one partition of __transaction_state.

This is the coordinator that the runtime drives. Operations return a `Transition`; `replay` takes
over records that are in the log, in live work and at start alike.

Source: KIP-98; Kafka's TransactionCoordinator and TransactionStateManager.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pykbroker.coordinator.transaction import admin
from pykbroker.coordinator.transaction.end import End, abort_fenced, end_transaction
from pykbroker.coordinator.transaction.epochs import LastEpochs
from pykbroker.coordinator.transaction.init_producer import InitProducer, init_producer
from pykbroker.coordinator.transaction.metadata import TopicPartition, TransactionMetadata
from pykbroker.coordinator.transaction.partitions import add_partitions
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.records import (
    decode_record,
    encode_record,
    metadata_of,
    tombstone_of,
)
from pykbroker.coordinator.transaction.state import AT_REST, ENDING, TransactionState
from pykbroker.coordinator.transaction.step import TransactionStep
from pykbroker.coordinator.transition import (
    ComputationKey,
    CoordinatorRecord,
    TimerKey,
    Transition,
)
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_transactions import TransactionState as ListedState
from pykbroker.protocol.messages.transaction_log_record import (
    TransactionLogKey,
    TransactionLogValue,
)


@dataclass(slots=True)
class TransactionShard:
    """The state of one coordinator partition and the operations on it.

    Attributes:
        transactions: What is known, by transactional id.
        record_offsets: Where the last record of each transactional id is.
        open_ids: Those whose transaction goes on or is ending, the one last changed at the end.
        last_epochs: Soft state, see there.
    """

    transactions: dict[str, TransactionMetadata] = field(default_factory=dict)
    record_offsets: dict[str, int] = field(default_factory=dict)
    open_ids: dict[str, None] = field(default_factory=dict)
    last_epochs: LastEpochs = field(default_factory=LastEpochs)

    @staticmethod
    def encode(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
        """Return the key and value bytes that go into the log."""
        return encode_record(record)

    @staticmethod
    def decode(key: bytes, value: bytes | None) -> CoordinatorRecord | None:
        """Read a record back."""
        return decode_record(key, value)

    def __len__(self) -> int:
        return len(self.transactions)

    # Requests

    def init_producer(
        self, step: TransactionStep, request: InitProducer
    ) -> Transition[ProducerIdAndEpoch | None]:
        """Handle InitProducerId; None when an open transaction is aborted first."""
        known = self.transactions.get(request.transactional_id)
        producer = init_producer(known, self.last_epochs, step, request)
        if producer is not None:
            step.log(
                f"producer_initialized transactional_id={request.transactional_id} "
                f"producer_id={producer.producer_id} epoch={producer.epoch}"
            )
        return step.done(producer)

    def add_partitions(
        self,
        step: TransactionStep,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        added: frozenset[TopicPartition],
        client_version: int,
    ) -> Transition[None]:
        """Handle AddPartitionsToTxn and AddOffsetsToTxn, and what writes imply of them."""
        known = self.transactions.get(transactional_id)
        add_partitions(known, step, producer, added, client_version)
        return step.done(None)

    def end(self, step: TransactionStep, end: End) -> Transition[ProducerIdAndEpoch]:
        """Handle EndTxn."""
        known = self.transactions.get(end.transactional_id)
        return step.done(end_transaction(known, self.last_epochs, step, end))

    def list_transactions(
        self, step: TransactionStep, filters: admin.ListFilters
    ) -> list[ListedState]:
        """Handle ListTransactions for this partition."""
        return admin.list_transactions(self.transactions.values(), filters, step.now_ms)

    # Transactions that are ending

    def ending(self) -> list[str]:
        """Return the ids whose transaction's end is decided, but not carried out everywhere."""
        return [each.transactional_id for each in self._open() if each.state in ENDING]

    def complete(self, step: TransactionStep, transactional_id: str) -> Transition[None]:
        """Every marker of a decided transaction is on the disk."""
        prepared = self.transactions[transactional_id]
        completed = prepared.completed(step.now_ms)
        if completed.producer_id != prepared.producer_id:
            step.log(
                f"producer_id_changed transactional_id={transactional_id} "
                f"old={prepared.producer_id} new={completed.producer_id}"
            )
        step.write(completed)
        return step.done(None)

    # Time

    def timed_out(self, now_ms: int) -> list[str]:
        """Return the ids whose transaction has gone on for longer than its producer allowed."""
        return [
            each.transactional_id
            for each in self._open()
            if each.state is TransactionState.ONGOING and each.start_ms + each.timeout_ms < now_ms
        ]

    def abort_timed_out(self, step: TransactionStep, transactional_id: str) -> Transition[None]:
        """Abort a transaction that has timed out, and fence its producer."""
        known = self.transactions[transactional_id]
        prepared = abort_fenced(known, self.last_epochs, step)
        step.log(
            f"transaction_timed_out transactional_id={transactional_id} "
            f"producer_id={known.producer_id} epoch={known.producer_epoch} "
            f"new_epoch={prepared.producer_epoch} timeout_ms={known.timeout_ms}"
        )
        return step.done(None)

    def expire_ids(self, step: TransactionStep) -> Transition[None]:
        """Drop what has outlived `transactional.id.expiration.ms`."""
        oldest_ms = step.now_ms - step.settings.id_expiration_ms
        expired = [
            each.transactional_id
            for each in self.transactions.values()
            if each.state in AT_REST and each.last_update_ms <= oldest_ms
        ]
        step.records.extend(map(tombstone_of, expired))
        for transactional_id in expired:
            step.log(f"transactional_id_expired transactional_id={transactional_id}")
        return step.done(None)

    # What the runtime asks of every shard

    def replay(
        self, record: CoordinatorRecord, record_offset: int, now_ms: int, producer_id: int = -1
    ) -> None:
        """Take over one record of the log; the only place where hard state changes."""
        key, value = record.key, record.value
        assert isinstance(key, TransactionLogKey)
        transactional_id = key.transactional_id
        self.open_ids.pop(transactional_id, None)
        if value is None:
            self.transactions.pop(transactional_id, None)
            self.record_offsets.pop(transactional_id, None)
            self.last_epochs.forget(transactional_id)
            return
        assert isinstance(value, TransactionLogValue)
        metadata = metadata_of(transactional_id, value)
        self.transactions[transactional_id] = metadata
        self.record_offsets[transactional_id] = record_offset
        if metadata.state not in AT_REST:
            self.open_ids[transactional_id] = None

    def end_transaction(self, producer_id: int, *, is_committed: bool) -> None:
        """A marker; nobody writes to this topic in transactions, so there is nothing to end."""

    def loaded(self, step: TransactionStep) -> Transition[None]:
        """The whole log has been replayed."""
        return step.done(None)

    def expire(self, step: TransactionStep, key: TimerKey) -> Transition[None]:
        """A timer ran out; no operation here sets one."""
        return step.done(None)

    def computed(
        self, step: TransactionStep, key: ComputationKey, result: object | None
    ) -> Transition[None]:
        """A computation has ended; no operation here asks for one."""
        return step.done(None)

    def undo(
        self, step: TransactionStep, failed: object, error_code: ErrorCode
    ) -> Transition[None]:
        """Records could not be written; no soft state here needs to be put right."""
        return step.done(None)

    def _open(self) -> Iterator[TransactionMetadata]:
        return (self.transactions[transactional_id] for transactional_id in self.open_ids)
