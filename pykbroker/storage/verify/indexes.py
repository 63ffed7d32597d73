"""Comparing the index files of a segment with its batches, in step with the walk over them.

Each check is told of every batch in the order of the log and reads its file as far as that. Of the
wrong entries of a file, the first is reported when it is found, the others are counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage import offset_index, time_index, transaction_index
from pykbroker.storage.index_entries import iter_aborted, iter_offset_entries, iter_time_entries
from pykbroker.storage.time_index import NO_TIMESTAMP
from pykbroker.storage.transaction_index import AbortedTransaction

MAX_INFLATED_BYTES: Final = 256 << 20


class Complain(Protocol):
    """Where a check says what is wrong."""

    def __call__(
        self, path: Path, text: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        """Report something about a file, a byte of it, an offset of the log."""


class _IndexCheck:
    """What the three checks share: where the entries are, and how one is complained about."""

    entry_bytes: int

    def __init__(self, path: Path, complain: Complain) -> None:
        self.path = path
        self._complain = complain
        self._wrong = 0
        extra = path.stat().st_size % self.entry_bytes
        if extra:
            self._wrong_entry(
                path.stat().st_size // self.entry_bytes,
                f"{path.stat().st_size} bytes are not whole entries of {self.entry_bytes}",
                None,
            )

    def _wrong_entry(self, slot: int, text: str, offset: int | None) -> None:
        self._wrong += 1
        if self._wrong == 1:
            self._complain(self.path, text, position=slot * self.entry_bytes, offset=offset)

    def _ascending_in_both(
        self, entries: Iterator[tuple[int, int, int]], fields: tuple[str, str]
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the (slot, field, field) that ascend in both fields; complain about the others."""
        offset_at = fields.index("offset")
        last_first = last_second = -1
        for slot, first, second in entries:
            if first <= last_first or second <= last_second:
                text = f"entry {slot} ({fields[0]} {first}, {fields[1]} {second}) does not ascend"
                self._wrong_entry(slot, text, (first, second)[offset_at])
                continue
            last_first, last_second = first, second
            yield slot, first, second

    def finish(self) -> None:
        """Note that the walk is over."""
        if self._wrong > 1:
            self._complain(self.path, f"{self._wrong - 1} more of its entries are wrong")


class OffsetIndexCheck(_IndexCheck):
    """`.index`: each entry names the last offset of the batch at its position."""

    entry_bytes = offset_index.ENTRY_BYTES

    def __init__(self, path: Path, base_offset: int, complain: Complain, warn: Complain) -> None:
        super().__init__(path, complain)
        self._warn = warn
        self._entries = self._ascending_in_both(
            iter_offset_entries(path, base_offset), ("offset", "position")
        )
        self._next = next(self._entries, None)
        self._spanning: tuple[int, int, int] | None = None

    def on_batch(self, position: int, batch: RecordBatch) -> None:
        """Compare with the next batch of the log."""
        self._close_span(batch.last_offset)
        while self._next is not None and self._next[2] <= position:
            slot, offset, at = self._next
            if at != position:
                self._wrong_entry(
                    slot, f"no batch starts at byte {at}, as entry {slot} says", offset
                )
            elif offset > batch.last_offset:
                self._spanning = self._next
            elif offset < batch.last_offset:
                self._refuse(slot, offset, at)
            self._next = next(self._entries, None)

    def on_bad_bytes(self, end: int) -> None:
        """Leave out what points into a stretch that is no batch."""
        self._spanning = None
        while self._next is not None and self._next[2] < end:
            self._next = next(self._entries, None)

    def finish(self) -> None:
        """Note that the walk is over."""
        if self._spanning is not None:
            self._refuse(*self._spanning)
        while self._next is not None:
            slot, offset, position = self._next
            text = f"entry {slot} points to byte {position}, behind the last batch"
            self._wrong_entry(slot, text, offset)
            self._next = next(self._entries, None)
        super().finish()

    def _close_span(self, last_offset: int) -> None:
        """Judge an entry that names a later offset than its batch has.

        Brokers before Kafka 4.0 wrote one for several batches that they appended together: the
        position of the first, the last offset of the last. It leads readers right.
        """
        if self._spanning is None or last_offset < self._spanning[1]:
            return
        slot, offset, position = self._spanning
        self._spanning = None
        if offset == last_offset:
            self._warn(
                self.path,
                f"entry {slot} is for several batches from byte {position} on, as Kafka before 4.0"
                " wrote it",
                position=slot * self.entry_bytes,
                offset=offset,
            )
        else:
            self._refuse(slot, offset, position)

    def _refuse(self, slot: int, offset: int, position: int) -> None:
        text = (
            f"the batch at byte {position} does not end with offset {offset}, as entry {slot} says"
        )
        self._wrong_entry(slot, text, offset)


class TimeIndexCheck(_IndexCheck):
    """`.timeindex`: each entry is the largest timestamp so far and where it is."""

    entry_bytes = time_index.ENTRY_BYTES

    def __init__(self, path: Path, base_offset: int, complain: Complain) -> None:
        super().__init__(path, complain)
        self._entries = self._ascending_in_both(
            iter_time_entries(path, base_offset), ("timestamp", "offset")
        )
        self._next = next(self._entries, None)
        self._highest = NO_TIMESTAMP
        self._last_entry = NO_TIMESTAMP
        self._is_sure = True

    def on_batch(self, batch: RecordBatch) -> None:
        """Compare with the next batch of the log."""
        timestamp = batch.max_timestamp
        if timestamp <= self._highest:
            return
        self._highest = timestamp
        while self._next is not None and self._next[1] <= timestamp:
            slot, found, offset = self._next
            if found != timestamp or not _has_timestamp(batch, offset, timestamp):
                self._refuse(slot, found, offset)
            self._last_entry = found
            self._next = next(self._entries, None)

    def on_bad_bytes(self) -> None:
        """Believe the entries from here on: their batches may be among the bad bytes."""
        self._is_sure = False

    def finish(self, *, is_closed: bool = False) -> None:
        """Note that the walk is over.

        Args:
            is_closed: Whether the last entry must be the segment's largest timestamp.
        """
        while self._next is not None:
            self._refuse(*self._next)
            self._next = next(self._entries, None)
        if is_closed and self._is_sure and not self._wrong and self._last_entry < self._highest:
            self._complain(
                self.path,
                f"it ends with timestamp {self._last_entry}, but the segment has {self._highest}",
            )
        super().finish()

    def _refuse(self, slot: int, timestamp: int, offset: int) -> None:
        if self._is_sure:
            text = f"timestamp {timestamp} of entry {slot} is not the largest up to offset {offset}"
            self._wrong_entry(slot, text, offset)


def _has_timestamp(batch: RecordBatch, offset: int, timestamp: int) -> bool:
    """Whether an entry may name this offset for the batch.

    Kafka 4 names the last offset of the batch, some versions before it that of the record.
    """
    if offset == batch.last_offset:
        return True
    if not batch.base_offset <= offset < batch.last_offset:
        return False
    try:
        return any(
            record.offset == offset and record.timestamp == timestamp
            for record in batch.records(MAX_INFLATED_BYTES)
        )
    except CorruptBatchError:
        return True  # the batch itself is reported


class TransactionIndexCheck(_IndexCheck):
    """`.txnindex`: an entry for each abort marker of a transaction that wrote something."""

    entry_bytes = transaction_index.ENTRY_BYTES

    def __init__(self, path: Path, complain: Complain) -> None:
        self._entries: Iterator[tuple[int, int, AbortedTransaction]] = iter(())
        if path.exists():
            super().__init__(path, complain)
            self._entries = self._ascending(iter_aborted(path))
        else:
            self.path, self._complain, self._wrong = path, complain, 0
        self._next = next(self._entries, None)

    def _ascending(
        self, entries: Iterator[tuple[int, int, AbortedTransaction]]
    ) -> Iterator[tuple[int, int, AbortedTransaction]]:
        last_offset = -1
        for slot, version, entry in entries:
            if version != 0:
                self._wrong_entry(slot, f"entry {slot} has version {version}", entry.last_offset)
            elif (
                entry.last_offset <= last_offset or not 0 <= entry.first_offset <= entry.last_offset
            ):
                text = f"entry {slot} (offsets {entry.first_offset} to {entry.last_offset})"
                self._wrong_entry(slot, f"{text} does not ascend", entry.last_offset)
            else:
                last_offset = entry.last_offset
                yield slot, version, entry

    def on_abort(
        self, producer_id: int, offset: int, first_offset: int | None, stable_offset: int, *,
        start_offset: int,
    ) -> None:  # fmt: skip
        """Compare with the next abort marker of the log.

        Args:
            producer_id: Whose marker it is.
            offset: Its offset.
            first_offset: Of the first record that it aborts, None where none was seen.
            stable_offset: The last stable offset behind the marker, as far as was seen.
            start_offset: From where on everything was seen; what an entry says of offsets below is
                believed.
        """
        while self._next is not None and self._next[2].last_offset < offset:
            self._refuse(*self._next)
            self._next = next(self._entries, None)
        if self._next is None or self._next[2].last_offset != offset:
            if first_offset is not None:
                self._wrong_entry(
                    0,
                    f"there is no entry for the abort of producer {producer_id} at offset {offset};"
                    " read_committed consumers get its records",
                    offset,
                )
            return
        slot, _, entry = self._next
        self._next = next(self._entries, None)
        seen = offset if first_offset is None else first_offset
        if entry.producer_id != producer_id:
            text = f"entry {slot} is for producer {entry.producer_id}, the marker for {producer_id}"
            self._wrong_entry(slot, text, offset)
        elif entry.first_offset > seen or start_offset <= entry.first_offset < seen:
            text = f"entry {slot} starts at offset {entry.first_offset}, the transaction at {seen}"
            self._wrong_entry(slot, text, offset)
        elif (
            not 0 <= entry.last_stable_offset <= stable_offset
            or start_offset <= entry.last_stable_offset < stable_offset
        ):
            text = f"entry {slot} has the last stable offset {entry.last_stable_offset}"
            self._wrong_entry(slot, f"{text}, not {stable_offset}", offset)

    def skip_to(self, offset: int) -> None:
        """Leave out what is below an offset: its markers may be among bad bytes."""
        while self._next is not None and self._next[2].last_offset < offset:
            self._next = next(self._entries, None)

    def finish(self) -> None:
        """Note that the walk is over."""
        while self._next is not None:
            self._refuse(*self._next)
            self._next = next(self._entries, None)
        super().finish()

    def _refuse(self, slot: int, _: int, entry: AbortedTransaction) -> None:
        text = f"no abort marker of producer {entry.producer_id} at offset {entry.last_offset},"
        self._wrong_entry(slot, f"{text} as entry {slot} says", entry.last_offset)
