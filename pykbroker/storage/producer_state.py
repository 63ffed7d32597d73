"""What a partition remembers of its idempotent and transactional producers (pure).

Per producer id: the epoch, the last five batches (sequences and offsets) and the first offset of
the open transaction. A batch with a producer id is checked against that before it is written
(Kafka's `ProducerAppendInfo`, `ProducerStateEntry`, `ProducerStateManager`):

- one of the last five batches again (same epoch, same first and last sequence): a duplicate, to
  be answered with the original offsets;
- an epoch below the last one: INVALID_PRODUCER_EPOCH;
- a new epoch must start at sequence 0, the same epoch must go on where the last batch ended,
  2147483647 being followed by 0: else OUT_OF_ORDER_SEQUENCE_NUMBER;
- an unknown producer (expired, or its records deleted) may start anywhere.

Before the first batch of a transaction is written, the transaction coordinator is asked whether it
knows of the partition (KIP-890). From then until something of the transaction is written, no batch
behind the lowest sequence that was asked for is taken: the lower one may have to be sent again. And
where the coordinator bumps the epoch with every transaction, a producer of which no batch is known
must start at sequence 0.

A marker ends the producer's transaction. Up to transaction version 1 it has the epoch of what it
ends, or a later one where the producer was fenced. From version 2 on (KIP-890, KIP-1228) it has the
next epoch, so one of the known epoch is stale: INVALID_PRODUCER_EPOCH, unless no transaction is
open, which makes it a repetition.

Snapshot format (`<next offset>.snapshot`, Kafka's ProducerSnapshot v1), big-endian:

    0  int16   version, 1
    2  uint32  CRC-32C of bytes 6 to the end
    6  int32   number of producers, then for each, 46 bytes:
       int64 producer id, int16 epoch, int32 last sequence, int64 last offset,
       int32 offset delta (last - first offset of the last batch), int64 timestamp,
       int32 coordinator epoch, int64 first offset of the open transaction (-1 none)

A snapshot holds only the last batch of each producer. Such a producer is marked `is_restored`, and
the log supplies the four before it when they are asked for.
"""

import enum
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pykbroker.protocol import crc
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import MAX_SEQUENCE, RecordBatch

BATCHES_REMEMBERED: Final = 5
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
# The transaction version whose markers have an epoch of their own.
FIRST_VERSION_WITH_BUMPED_MARKERS: Final = 2

_SNAPSHOT_HEADER: Final = struct.Struct(">hIi")
_SNAPSHOT_ENTRY: Final = struct.Struct(">qhiqiqiq")
_SNAPSHOT_VERSION: Final = 1
_CRC_START: Final = 6
_MARKER_KEY: Final = struct.Struct(">hh")
_MARKER_VALUE: Final = struct.Struct(">hi")
_MARKER_ABORT: Final = 0
_MARKER_COMMIT: Final = 1
_MARKER_MAX_BYTES: Final = 1024


class AppendOrigin(enum.Enum):
    """Who wrote a batch, which decides how much of it is checked."""

    CLIENT = enum.auto()  # everything
    COORDINATOR = enum.auto()  # epochs only: its batches carry no sequences
    REPLICATION = enum.auto()  # nothing: it has been checked (recovery, other brokers)


class DamagedSnapshotError(ValueError):
    """The snapshot file cannot be used; an older one and the log can replace it."""


class ProducedBatch(NamedTuple):
    """A batch that a producer has written."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp: int


class CompletedTransaction(NamedTuple):
    """A transaction whose marker has been written."""

    producer_id: int
    first_offset: int
    last_offset: int
    is_aborted: bool


class Verification:
    """A transaction of which nothing is written here yet, and the coordinator is asked for it."""

    __slots__ = ("begun_ms", "epoch", "is_epoch_bumped", "lowest_sequence")

    def __init__(self, epoch: int, sequence: int, begun_ms: int, *, is_epoch_bumped: bool) -> None:
        self.epoch = epoch
        self.lowest_sequence = sequence
        self.begun_ms = begun_ms
        self.is_epoch_bumped = is_epoch_bumped

    def note(self, epoch: int, sequence: int) -> None:
        """Note another batch that waits for the coordinator's answer."""
        if epoch > self.epoch:
            self.epoch, self.lowest_sequence = epoch, sequence
        elif epoch == self.epoch:
            self.lowest_sequence = min(self.lowest_sequence, sequence)


class ProducerEntry:
    """The state of one producer id."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "is_restored",
        "last_timestamp",
        "producer_id",
        "transaction_first_offset",
    )

    def __init__(self, producer_id: int) -> None:
        self.producer_id = producer_id
        self.epoch = NO_PRODUCER_EPOCH
        self.coordinator_epoch = -1
        self.last_timestamp = -1
        self.transaction_first_offset: int | None = None
        self.batches: deque[ProducedBatch] = deque(maxlen=BATCHES_REMEMBERED)
        self.is_restored = False  # older batches may be in the log

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record, or -1 where no batch is known."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    def find_duplicate(
        self, epoch: int, first_sequence: int, last_sequence: int
    ) -> ProducedBatch | None:
        """Return the remembered batch with exactly this epoch and sequence range."""
        if epoch == self.epoch:
            for batch in self.batches:
                if batch.first_sequence == first_sequence and batch.last_sequence == last_sequence:
                    return batch
        return None

    def restore_older(self, older: Iterable[ProducedBatch]) -> None:
        """Put batches before the remembered ones as far as their sequences chain up to them.

        Args:
            older: Batches of the same producer and epoch, in the order of the log.
        """
        self.is_restored = False
        for batch in reversed(list(older)):
            first = self.batches[0] if self.batches else None
            if first is None or len(self.batches) == BATCHES_REMEMBERED:
                return
            if batch.last_offset >= first.first_offset:
                continue
            if first.first_sequence != next_sequence(batch.last_sequence):
                return
            self.batches.appendleft(batch)

    def _begin_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.batches.clear()
            self.epoch = epoch
            self.is_restored = False


def next_sequence(sequence: int) -> int:
    """Return the sequence after `sequence`; it wraps to 0."""
    return 0 if sequence == MAX_SEQUENCE else sequence + 1


class ProducerStateManager:
    """The producers of one partition, and its open transactions."""

    __slots__ = ("_open_transactions", "_verifications", "producers")

    def __init__(self) -> None:
        self.producers: dict[int, ProducerEntry] = {}
        # First offset -> producer id, in the order of the offsets, as they are opened in it.
        self._open_transactions: dict[int, int] = {}
        self._verifications: dict[int, Verification] = {}

    @property
    def first_unstable_offset(self) -> int | None:
        """First offset of the oldest open transaction."""
        return next(iter(self._open_transactions)) if self._open_transactions else None

    def has_open_transaction(self, producer_id: int, epoch: int) -> bool:
        """Whether the producer has written to a transaction in this epoch that is not ended."""
        entry = self.producers.get(producer_id)
        return (
            entry is not None
            and entry.transaction_first_offset is not None
            and entry.epoch == epoch
        )

    def begin_verification(
        self, producer_id: int, epoch: int, sequence: int, now_ms: int, *, is_epoch_bumped: bool
    ) -> bool:
        """Say whether the transaction coordinator must be asked before a batch is written.

        Args:
            producer_id: Whose transaction it is.
            epoch: That of the batch.
            sequence: The first one of the batch.
            now_ms: Wall time.
            is_epoch_bumped: Whether the producer gets a new epoch with every transaction.

        Raises:
            KafkaError: INVALID_PRODUCER_EPOCH.
        """
        entry = self.producers.get(producer_id)
        if entry is not None:
            if epoch < entry.epoch:
                raise _old_epoch(entry, epoch)
            if entry.epoch == epoch and entry.transaction_first_offset is not None:
                return False
        verification = self._verifications.get(producer_id)
        if verification is None:
            self._verifications[producer_id] = Verification(
                epoch, sequence, now_ms, is_epoch_bumped=is_epoch_bumped
            )
        else:
            verification.note(epoch, sequence)
        return True

    def check(
        self, batch: RecordBatch, origin: AppendOrigin, transaction_version: int = 0
    ) -> ProducedBatch | None:
        """Check a batch with a producer id before it is written; changes nothing.

        Args:
            batch: Has a producer id.
            origin: Who wrote it.
            transaction_version: Of the transaction that a marker ends.

        Returns:
            The batch written before that this one repeats, or None for a new one.

        Raises:
            KafkaError: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE
                (not transactional while the producer's transaction is open),
                TRANSACTION_COORDINATOR_FENCED (a marker of an older coordinator).
        """
        entry = self.producers.get(batch.producer_id)
        if origin is AppendOrigin.REPLICATION:
            return None
        if entry is None:
            if self._verifications and origin is AppendOrigin.CLIENT:
                self._check_verification(None, batch)
            return None
        if origin is AppendOrigin.CLIENT:
            duplicate = entry.find_duplicate(
                batch.producer_epoch, batch.base_sequence, batch.last_sequence
            )
            if duplicate is not None:
                return duplicate
        if batch.producer_epoch < entry.epoch:
            raise _old_epoch(entry, batch.producer_epoch)
        if batch.is_control:
            self._check_marker(entry, batch, transaction_version)
            return None
        if origin is AppendOrigin.CLIENT:
            if self._verifications:
                self._check_verification(entry, batch)
            _check_sequence(entry, batch)
        if entry.transaction_first_offset is not None and not batch.is_transactional:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE,
                f"producer {batch.producer_id} has an open transaction",
            )
        return None

    def record(self, batch: RecordBatch) -> CompletedTransaction | None:
        """Note a batch that has its final offsets and is in the log.

        Returns:
            The transaction that the batch completes, if it is the marker of a non-empty one.
        """
        entry = self.producers.get(batch.producer_id)
        if entry is None:
            entry = self.producers[batch.producer_id] = ProducerEntry(batch.producer_id)
        if self._verifications and batch.is_transactional:
            self._verifications.pop(batch.producer_id, None)
        if batch.is_control:
            return self._record_marker(entry, batch)
        if batch.producer_epoch != entry.epoch:
            entry._begin_epoch(batch.producer_epoch)
        base_offset = batch.base_offset
        entry.batches.append(
            ProducedBatch(
                batch.base_sequence,
                batch.last_sequence,
                base_offset,
                base_offset + batch.last_offset_delta,
                batch.max_timestamp,
            )
        )
        entry.last_timestamp = batch.max_timestamp
        if batch.is_transactional and entry.transaction_first_offset is None:
            entry.transaction_first_offset = base_offset
            self._open_transactions[base_offset] = batch.producer_id
        return None

    def last_stable_offset_after(self, completed: CompletedTransaction) -> int:
        """Return the last stable offset once `completed` is not open any more."""
        for first_offset in self._open_transactions:
            if first_offset != completed.first_offset:
                return first_offset
        return completed.last_offset + 1

    def remove_expired(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers that wrote nothing for `expiration_ms` and have no open transaction.

        Returns:
            How many were forgotten.
        """
        expired = [
            producer_id
            for producer_id, entry in self.producers.items()
            if entry.transaction_first_offset is None
            and now_ms - entry.last_timestamp >= expiration_ms
        ]
        for producer_id in expired:
            del self.producers[producer_id]
        for producer_id, verification in list(self._verifications.items()):
            if now_ms - verification.begun_ms >= expiration_ms:
                del self._verifications[producer_id]
        return len(expired)

    def clear(self) -> None:
        """Forget everything."""
        self.producers.clear()
        self._open_transactions.clear()
        self._verifications.clear()

    def encode_snapshot(self) -> bytes:
        """Return the content of a snapshot file."""
        body = bytearray(_SNAPSHOT_HEADER.pack(_SNAPSHOT_VERSION, 0, len(self.producers)))
        for entry in self.producers.values():
            last = entry.batches[-1] if entry.batches else None
            first_open = entry.transaction_first_offset
            body += _SNAPSHOT_ENTRY.pack(
                entry.producer_id,
                entry.epoch,
                last.last_sequence if last else NO_SEQUENCE,
                last.last_offset if last else -1,
                last.last_offset - last.first_offset if last else 0,
                entry.last_timestamp,
                entry.coordinator_epoch,
                -1 if first_open is None else first_open,
            )
        checksum = crc.crc32c(memoryview(body)[_CRC_START:])
        _SNAPSHOT_HEADER.pack_into(body, 0, _SNAPSHOT_VERSION, checksum, len(self.producers))
        return bytes(body)

    def load_snapshot(self, data: bytes) -> None:
        """Replace the state by that of a snapshot file.

        Raises:
            DamagedSnapshotError: Unknown version, wrong size or CRC; the state is unchanged.
        """
        entries = list(_decode_snapshot(data))
        self.clear()
        for entry in entries:
            self.producers[entry.producer_id] = entry
        open_transactions = [
            (entry.transaction_first_offset, entry.producer_id)
            for entry in entries
            if entry.transaction_first_offset is not None
        ]
        self._open_transactions = dict(sorted(open_transactions))

    def _check_verification(self, entry: ProducerEntry | None, batch: RecordBatch) -> None:
        verification = self._verifications.get(batch.producer_id)
        if verification is None:
            return
        sequence = batch.base_sequence
        must_be_0 = verification.is_epoch_bumped and (entry is None or not entry.batches)
        if sequence > (0 if must_be_0 else verification.lowest_sequence):
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"producer {batch.producer_id} sent sequence {sequence}, and nothing before it of "
                "a transaction that is to begin",
            )

    def _check_marker(
        self, entry: ProducerEntry, batch: RecordBatch, transaction_version: int
    ) -> None:
        if (
            transaction_version >= FIRST_VERSION_WITH_BUMPED_MARKERS
            and batch.producer_epoch == entry.epoch
            and entry.transaction_first_offset is not None
        ):
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"the marker has epoch {entry.epoch}, which producer {batch.producer_id} still has",
            )
        marker = _read_marker(batch)
        if marker is not None and marker[1] < entry.coordinator_epoch:
            raise KafkaError(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"coordinator epoch {marker[1]} is older than {entry.coordinator_epoch}",
            )

    def _record_marker(
        self, entry: ProducerEntry, batch: RecordBatch
    ) -> CompletedTransaction | None:
        marker = _read_marker(batch)
        if marker is None:  # compacted away, or a marker that is not about transactions
            return None
        kind, coordinator_epoch = marker
        entry._begin_epoch(batch.producer_epoch)
        entry.coordinator_epoch = coordinator_epoch
        entry.last_timestamp = batch.max_timestamp
        first_offset = entry.transaction_first_offset
        if first_offset is None:
            return None
        entry.transaction_first_offset = None
        self._open_transactions.pop(first_offset, None)
        return CompletedTransaction(
            entry.producer_id, first_offset, batch.last_offset, kind == _MARKER_ABORT
        )


def _old_epoch(entry: ProducerEntry, epoch: int) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"producer {entry.producer_id} has epoch {entry.epoch}, not {epoch}",
    )


def _check_sequence(entry: ProducerEntry, batch: RecordBatch) -> None:
    sequence = batch.base_sequence
    if batch.producer_epoch != entry.epoch:
        if sequence != 0 and entry.epoch != NO_PRODUCER_EPOCH:
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"producer {batch.producer_id} must start its new epoch "
                f"{batch.producer_epoch} at sequence 0, not {sequence}",
            )
    elif sequence != next_sequence(entry.last_sequence):
        raise KafkaError(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"producer {batch.producer_id} sent sequence {sequence} after {entry.last_sequence}",
        )


def _read_marker(batch: RecordBatch) -> tuple[int, int] | None:
    """Return (kind, coordinator epoch) of a transaction marker."""
    for record in batch.records(_MARKER_MAX_BYTES):
        key, value = record.key, record.value
        if key is None or value is None or len(key) < _MARKER_KEY.size:
            return None
        _, kind = _MARKER_KEY.unpack_from(key)
        if kind not in (_MARKER_ABORT, _MARKER_COMMIT) or len(value) < _MARKER_VALUE.size:
            return None
        _, coordinator_epoch = _MARKER_VALUE.unpack_from(value)
        return kind, coordinator_epoch
    return None


def _decode_snapshot(data: bytes) -> Iterator[ProducerEntry]:
    if len(data) < _SNAPSHOT_HEADER.size:
        raise DamagedSnapshotError("too short")
    version, checksum, count = _SNAPSHOT_HEADER.unpack_from(data)
    if version != _SNAPSHOT_VERSION:
        raise DamagedSnapshotError(f"unknown version {version}")
    if checksum != crc.crc32c(memoryview(data)[_CRC_START:]):
        raise DamagedSnapshotError("CRC mismatch")
    if len(data) != _SNAPSHOT_HEADER.size + count * _SNAPSHOT_ENTRY.size:
        raise DamagedSnapshotError(f"{count} producers do not fill {len(data)} bytes")
    for fields in _SNAPSHOT_ENTRY.iter_unpack(memoryview(data)[_SNAPSHOT_HEADER.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator, first = (
            fields
        )
        entry = ProducerEntry(producer_id)
        entry.epoch = epoch
        entry.coordinator_epoch = coordinator
        entry.last_timestamp = timestamp
        entry.transaction_first_offset = first if first >= 0 else None
        if last_offset >= 0:
            # Sequences wrap, so the first one is counted back modulo 2^31.
            first_sequence = (last_sequence - delta) & MAX_SEQUENCE
            entry.batches.append(
                ProducedBatch(
                    first_sequence, last_sequence, last_offset - delta, last_offset, timestamp
                )
            )
            entry.is_restored = True
        yield entry
