"""Which epoch a producer had before the one it has now, so that a retry is known for one.

Soft state, lost by a restart: a record of __transaction_state has no place for it. A note counts
only while the producer id and epoch are those that it was made for, so it does no harm when the
record of its operation could not be written.
"""

from dataclasses import dataclass, field

from pykbroker.coordinator.transaction.metadata import NO_PRODUCER_EPOCH, TransactionMetadata


@dataclass(slots=True)
class LastEpochs:
    """The last epoch of producers by transactional id."""

    _notes: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def note(self, metadata: TransactionMetadata, last_epoch: int) -> None:
        """Remember which epoch came before the one of `metadata`."""
        key = metadata.producer_id, metadata.producer_epoch, last_epoch
        self._notes[metadata.transactional_id] = key

    def last_epoch(self, metadata: TransactionMetadata) -> int:
        """Return the epoch before the present one, NO_PRODUCER_EPOCH where it is not known."""
        producer_id, epoch, last_epoch = self._notes.get(
            metadata.transactional_id, (0, 0, NO_PRODUCER_EPOCH)
        )
        is_current = (producer_id, epoch) == (metadata.producer_id, metadata.producer_epoch)
        return last_epoch if is_current else NO_PRODUCER_EPOCH

    def forget(self, transactional_id: str) -> None:
        """Drop what is known of a transactional id."""
        self._notes.pop(transactional_id, None)
