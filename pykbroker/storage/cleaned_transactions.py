"""Which transactions a compaction has seen, as it walks over a log from its start (pure).

Kafka's `CleanedTransactionMetadata`. It answers three questions:

- Is a batch of data part of an aborted transaction? Then it may go at once.
- Is a marker the last that is left of its transaction? Only then may it go, after its delete
  horizon: without an abort marker, aborted data would look as if it were still open or committed.
- Which entries of the `.txnindex` files are still needed: those of aborted transactions of which a
  batch was read, whose marker therefore stays. Others have lost their data in an earlier pass.
"""

import enum
from collections.abc import Iterable
from heapq import heapify, heappop
from struct import Struct
from typing import Final

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.transaction_index import AbortedTransaction

_MARKER_KEY: Final = Struct(">hh")  # version, type


class ControlType(enum.Enum):
    """What a control batch says, as far as it matters here."""

    ABORT = 0
    COMMIT = 1
    OTHER = -1
    EMPTY = -2  # its record has been removed


def control_type(batch: RecordBatch, max_bytes: int) -> ControlType:
    """Return what a control batch says.

    Raises:
        CorruptBatchError: Its record is malformed.
    """
    record = next(batch.records(max_bytes), None)
    if record is None:
        return ControlType.EMPTY
    if record.key is None or len(record.key) < _MARKER_KEY.size:
        return ControlType.OTHER
    _, number = _MARKER_KEY.unpack_from(record.key)
    return ControlType(number) if number in (0, 1) else ControlType.OTHER


class CleanedTransactions:
    """The transactions that are open at the current place of the walk.

    Args:
        aborted: All aborted transactions that overlap with what is walked over. More do no harm,
            as long as they lie behind.
    """

    __slots__ = ("_aborted", "_committed", "_retained", "_waiting")

    def __init__(self, aborted: Iterable[AbortedTransaction]) -> None:
        self._waiting = [
            (entry.first_offset, number, entry) for number, entry in enumerate(aborted)
        ]
        heapify(self._waiting)
        # Producer id -> the transaction, and whether a batch of it was read.
        self._aborted: dict[int, tuple[AbortedTransaction, bool]] = {}
        self._committed: set[int] = set()
        self._retained: list[AbortedTransaction] = []

    def on_data(self, batch: RecordBatch) -> bool:
        """Note a batch of data; returns whether it is part of an aborted transaction."""
        self._begin_up_to(batch.last_offset)
        if not batch.is_transactional:
            return False
        found = self._aborted.get(batch.producer_id)
        if found is None:
            self._committed.add(batch.producer_id)
            return False
        self._aborted[batch.producer_id] = found[0], True
        return True

    def on_control(self, batch: RecordBatch, kind: ControlType) -> bool:
        """Note a control batch; returns whether nothing needs it any more."""
        self._begin_up_to(batch.last_offset)
        match kind:
            case ControlType.ABORT:
                transaction, is_seen = self._aborted.pop(batch.producer_id, (None, False))
                if transaction is not None and is_seen:
                    self._retained.append(transaction)
                    return False
                return True
            case ControlType.COMMIT:
                if batch.producer_id in self._committed:
                    self._committed.remove(batch.producer_id)
                    return False
                return True
            case ControlType.EMPTY:
                return True
            case ControlType.OTHER:
                return False

    def take_retained(self) -> list[AbortedTransaction]:
        """Return the aborted transactions whose kept marker was read since the last call."""
        retained, self._retained = self._retained, []
        return retained

    def _begin_up_to(self, offset: int) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= offset:
            _, _, entry = heappop(waiting)
            self._aborted.setdefault(entry.producer_id, (entry, False))
