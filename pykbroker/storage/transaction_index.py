"""The `.txnindex` file of a segment: the aborted transactions whose marker is in it.

Format (Kafka's `AbortedTxn`), big-endian, 34 bytes an entry, in the order of the markers:

    0   int16  version, 0
    2   int64  producer id
    10  int64  first offset of the transaction
    18  int64  last offset: that of the abort marker
    26  int64  last stable offset when the marker was written

The file is made with its first entry. An entry that the disk has no room for is kept in memory
until it has: its marker is in the log already.
"""

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.producer_state import CompletedTransaction, ProducerStateManager

ENTRY: Final = struct.Struct(">hqqqq")
ENTRY_BYTES: Final = ENTRY.size
_VERSION: Final = 0


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """A transaction that consumers with `read_committed` must skip."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def aborted_by(
    completed: CompletedTransaction, producers: ProducerStateManager
) -> AbortedTransaction:
    """Return the entry of an aborted transaction whose marker the producers have just got."""
    return AbortedTransaction(
        completed.producer_id,
        completed.first_offset,
        completed.last_offset,
        producers.last_stable_offset_after(completed),
    )


class TransactionIndex:
    """Appends and reads the entries of one segment; only what is not in the file is in memory."""

    __slots__ = ("_files", "_lock", "_pinned", "_saved_bytes", "_unsaved", "path")

    def __init__(self, files: FileLayer, path: Path) -> None:
        self._files = files
        self._lock = threading.Lock()  # the event loop appends, a worker thread may save
        self._pinned: list[AbortedTransaction] | None = None
        self._saved_bytes: int | None = None  # as long as nothing was appended, all of the file
        self._unsaved: list[AbortedTransaction] = []
        self.path = path

    def append(self, aborted: AbortedTransaction) -> None:
        """Add an entry.

        Raises:
            OSError: The disk refused. The entry is known, and `save` writes it.
        """
        with self._lock:
            self._unsaved = [*self._unsaved, aborted]
        self.save()

    def save(self) -> None:
        """Write what is not in the file yet.

        Raises:
            OSError: The disk refused.
        """
        if not self._unsaved:
            return
        with self._lock:
            handle = self._files.open(self.path, create=True)
            if self._saved_bytes is None:
                self._saved_bytes = os.fstat(handle.fd).st_size // ENTRY_BYTES * ENTRY_BYTES
            data = b"".join(map(_encode, self._unsaved))
            self._files.write_fully(handle, data, self._saved_bytes)
            self._saved_bytes += len(data)
            self._unsaved = []

    def is_damaged(self, base_offset: int, next_offset: int) -> bool:
        """Whether the file cannot be that of the segment with these offsets."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return False
        if len(data) % ENTRY_BYTES:
            return True
        last = base_offset - 1
        for version, _, first_offset, last_offset, _ in ENTRY.iter_unpack(data):
            if version != _VERSION or not last < last_offset < next_offset:
                return True
            if first_offset >= last_offset:
                return True
            last = last_offset
        return False

    def pin(self) -> None:
        """Keep the entries in memory from now on; see `Segment.pin`."""
        self._pinned = list(self.entries())

    def entries(self) -> Iterator[AbortedTransaction]:
        """Yield the entries; none where there is no file."""
        if self._pinned is not None:
            yield from self._pinned
            return
        with self._lock:
            unsaved, saved_bytes = self._unsaved, self._saved_bytes
            try:
                data = self.path.read_bytes()[:saved_bytes]
            except FileNotFoundError:
                data = b""
        for _, *fields in ENTRY.iter_unpack(data[: len(data) // ENTRY_BYTES * ENTRY_BYTES]):
            yield AbortedTransaction(*fields)
        yield from unsaved

    def collect(self, fetch_offset: int, upper_bound: int) -> tuple[list[AbortedTransaction], bool]:
        """Find the aborted transactions that overlap [fetch offset, upper bound).

        Returns:
            The transactions, and whether later segments cannot hold more of them (Kafka's
            `TransactionIndex.collectAbortedTxns`).
        """
        found: list[AbortedTransaction] = []
        for entry in self.entries():
            if entry.last_offset >= fetch_offset and entry.first_offset < upper_bound:
                found.append(entry)
            if entry.last_stable_offset >= upper_bound:
                return found, True
        return found, False

    def replace(self, entries: Sequence[AbortedTransaction]) -> None:
        """Have the file hold these entries and no others, durably; after a crash.

        Raises:
            OSError: The disk refused.
        """
        data = b"".join(map(_encode, entries))
        try:
            if self.path.read_bytes() == data:
                return
        except FileNotFoundError:
            if not data:
                return
        self._files.replace_file(self.path, data)


def _encode(aborted: AbortedTransaction) -> bytes:
    return ENTRY.pack(
        _VERSION,
        aborted.producer_id,
        aborted.first_offset,
        aborted.last_offset,
        aborted.last_stable_offset,
    )
