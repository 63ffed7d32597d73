"""The `.txnindex` file of a segment: the aborted transactions whose marker is in it.

Format (Kafka's `AbortedTxn`), big-endian, 34 bytes an entry, in the order of the markers:

    0   int16  version, 0
    2   int64  producer id
    10  int64  first offset of the transaction
    18  int64  last offset: that of the abort marker
    26  int64  last stable offset when the marker was written

Markers come one after the other, so the last offsets ascend, and the last stable offsets never go
back: what a fetch needs is found by binary search and read in blocks. The block read last is
remembered, as a consumer that goes along the log asks for it again and again.

The file is made with its first entry. An entry that the disk has no room for is kept in memory
until it has: its marker is in the log already.
"""

import errno
import os
import struct
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pykbroker.storage.file_layer import FileLayer, KeptFile
from pykbroker.storage.producer_state import CompletedTransaction, ProducerStateManager

ENTRY: Final = struct.Struct(">hqqqq")
ENTRY_BYTES: Final = ENTRY.size
# A fetch may need thousands of entries, and the version has been looked at.
_WITHOUT_VERSION: Final = struct.Struct(">2xqqqq")
_VERSION: Final = 0
_BLOCK_ENTRIES: Final = 64
_NO_OFFSET: Final = -1


class AbortedTransaction(NamedTuple):
    """A transaction that consumers with `read_committed` must skip."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class _Block(NamedTuple):
    """Entries that are in the file one after the other."""

    first_slot: int
    entries: list[AbortedTransaction]


_NO_BLOCK: Final = _Block(0, [])


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

    __slots__ = (
        "_file",
        "_files",
        "_last_offset",
        "_lock",
        "_pinned",
        "_recent",
        "_saved_bytes",
        "_unsaved",
        "path",
    )

    def __init__(self, files: FileLayer, path: Path) -> None:
        self._files = files
        self._file = KeptFile(files, path)
        self._lock = threading.Lock()  # the event loop appends, a worker thread may save
        self._pinned: list[AbortedTransaction] | None = None
        self._recent = _NO_BLOCK
        self._saved_bytes: int | None = None  # unknown until asked or appended
        self._last_offset: int | None = None  # likewise
        self._unsaved: list[AbortedTransaction] = []
        self.path = path

    @property
    def last_offset(self) -> int:
        """Offset of the last abort marker, -1 where there is no entry.

        Raises:
            OSError: The disk refused.
        """
        last_offset = self._last_offset
        if last_offset is None:
            with self._lock:
                count = self._count_saved()
                last_offset = self._read(count - 1, 1)[0].last_offset if count else _NO_OFFSET
                self._last_offset = last_offset
        return last_offset

    def append(self, aborted: AbortedTransaction) -> None:
        """Add an entry.

        Raises:
            OSError: The disk refused. The entry is known, and `save` writes it.
        """
        with self._lock:
            self._unsaved = [*self._unsaved, aborted]
            self._last_offset = aborted.last_offset
        self.save()

    def save(self) -> None:
        """Write what is not in the file yet.

        Raises:
            OSError: The disk refused.
        """
        if not self._unsaved:
            return
        with self._lock:
            handle = self._file.open(create=True)
            saved_bytes = self._count_saved() * ENTRY_BYTES
            data = b"".join(map(_encode, self._unsaved))
            self._files.write_fully(handle, data, saved_bytes)
            self._saved_bytes = saved_bytes + len(data)
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
        _ = self.last_offset  # the file of this name will be another one's
        self._pinned = list(self.entries())

    def release(self) -> None:
        """Let go of the file; it is opened again when needed."""
        self._file.release()
        self._recent = _NO_BLOCK

    def entries(self) -> Iterator[AbortedTransaction]:
        """Yield the entries; none where there is no file."""
        for block in self._blocks_from(_NO_OFFSET):
            yield from block

    def collect(self, fetch_offset: int, upper_bound: int) -> tuple[list[AbortedTransaction], bool]:
        """Find the aborted transactions that overlap [fetch offset, upper bound).

        Returns:
            The transactions, and whether later segments cannot hold more of them (Kafka's
            `TransactionIndex.collectAbortedTxns`).

        Raises:
            OSError: The disk refused.
        """
        block = _rest_of(self._recent, fetch_offset)
        if block and block[0].last_stable_offset >= upper_bound:
            # The usual case: the next marker is far behind what is read.
            return block[:1] if block[0].first_offset < upper_bound else [], True
        found: list[AbortedTransaction] = []
        for block in self._blocks_from(fetch_offset):
            is_complete = block[-1].last_stable_offset >= upper_bound
            if is_complete:
                block = block[: bisect_left(block, upper_bound, key=_stable_offset_of) + 1]
            found += [entry for entry in block if entry.first_offset < upper_bound]
            if is_complete:
                return found, True
        return found, False

    def _blocks_from(self, offset: int) -> Iterator[list[AbortedTransaction]]:
        """Yield the entries whose marker is at `offset` or behind, many at a time."""
        pinned = self._pinned
        if pinned is None:
            with self._lock:
                unsaved, count = self._unsaved, self._count_saved()
                slot, block = self._search(offset, count)
            while block:
                yield block
                with self._lock:
                    block = self._read(slot, min(_BLOCK_ENTRIES, count - slot))
                slot += len(block)
        else:
            unsaved = pinned
        rest = unsaved[bisect_left(unsaved, offset, key=_last_offset_of) :]
        if rest:
            yield rest

    def _search(self, offset: int, count: int) -> tuple[int, list[AbortedTransaction]]:
        """Find the entries whose marker is at `offset` or behind.

        Returns:
            The first block of them, and the slot behind it.
        """
        recent = self._recent
        block = _rest_of(recent, offset)
        if block:
            return recent.first_slot + len(recent.entries), block
        low, high = 0, count
        while high - low >= _BLOCK_ENTRIES:
            middle = (low + high) // 2
            (entry,) = self._read(middle, 1)
            if entry.last_offset < offset:
                low = middle + 1
            else:
                high = middle
        block = self._read(low, min(_BLOCK_ENTRIES, count - low))
        self._recent = _Block(low, block)
        return low + len(block), block[bisect_left(block, offset, key=_last_offset_of) :]

    def _count_saved(self) -> int:
        """Return how many entries the file has; a torn one is none, and overwritten."""
        if self._saved_bytes is None:
            try:
                self._saved_bytes = os.stat(self.path).st_size // ENTRY_BYTES * ENTRY_BYTES
            except FileNotFoundError:
                self._saved_bytes = 0
        return self._saved_bytes // ENTRY_BYTES

    def _read(self, first: int, count: int) -> list[AbortedTransaction]:
        """Return `count` entries from slot `first` on, all of which exist."""
        if not count:
            return []
        handle = self._file.open()
        data = os.pread(handle.fd, count * ENTRY_BYTES, first * ENTRY_BYTES)
        if len(data) != count * ENTRY_BYTES:
            raise OSError(errno.EIO, f"{self.path} is shorter than it was")
        return list(map(AbortedTransaction._make, _WITHOUT_VERSION.iter_unpack(data)))

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
        self._file.release()
        self._saved_bytes = self._last_offset = None
        self._recent = _NO_BLOCK


def _rest_of(block: _Block, offset: int) -> list[AbortedTransaction]:
    """Return the entries of a block whose marker is at `offset` or behind.

    Returns:
        Nothing where the first of them is not in this block.
    """
    first_slot, entries = block
    if not entries or offset > entries[-1].last_offset:
        return []
    if first_slot and offset <= entries[0].last_offset:
        return []
    return entries[bisect_left(entries, offset, key=_last_offset_of) :]


def _last_offset_of(aborted: AbortedTransaction) -> int:
    return aborted.last_offset


def _stable_offset_of(aborted: AbortedTransaction) -> int:
    return aborted.last_stable_offset


def _encode(aborted: AbortedTransaction) -> bytes:
    return ENTRY.pack(
        _VERSION,
        aborted.producer_id,
        aborted.first_offset,
        aborted.last_offset,
        aborted.last_stable_offset,
    )
