"""The `.txnindex` file of a segment: the aborted transactions whose marker is in it.

Format (Kafka's `AbortedTxn`), big-endian, 34 bytes an entry, in the order of the markers:

    0   int16  version, 0
    2   int64  producer id
    10  int64  first offset of the transaction
    18  int64  last offset: that of the abort marker
    26  int64  last stable offset when the marker was written

The file is made with its first entry.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pykbroker.storage.file_layer import FileLayer

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


class TransactionIndex:
    """Appends and reads the entries of one segment; nothing is kept in memory."""

    __slots__ = ("_files", "_pinned", "path")

    def __init__(self, files: FileLayer, path: Path) -> None:
        self._files = files
        self._pinned: list[AbortedTransaction] | None = None
        self.path = path

    def append(self, aborted: AbortedTransaction) -> None:
        """Add an entry."""
        handle = self._files.open(self.path, create=True)
        end = os.fstat(handle.fd).st_size // ENTRY_BYTES * ENTRY_BYTES
        entry = ENTRY.pack(
            _VERSION,
            aborted.producer_id,
            aborted.first_offset,
            aborted.last_offset,
            aborted.last_stable_offset,
        )
        self._files.write_fully(handle, entry, end)

    def pin(self) -> None:
        """Keep the entries in memory from now on; see `Segment.pin`."""
        self._pinned = list(self.entries())

    def entries(self) -> Iterator[AbortedTransaction]:
        """Yield the entries; none where there is no file."""
        if self._pinned is not None:
            yield from self._pinned
            return
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        for _, *fields in ENTRY.iter_unpack(data[: len(data) // ENTRY_BYTES * ENTRY_BYTES]):
            yield AbortedTransaction(*fields)

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

    def clear(self) -> None:
        """Remove the file."""
        self._files.remove(self.path)
