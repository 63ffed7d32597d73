"""What the offset index and the time index share: fixed-size entries, appended and searched.

New entries collect in memory and go to the file in blocks, at a roll and at a close. A crash loses
them, which is harmless: recovery rebuilds the indexes of every segment that may have changed since
the recovery point. Look-ups read the file by binary search, the last steps in one block, so an
index costs no memory; only what is not saved yet is kept.

A look-up may run in another thread while entries are appended: the pair (saved entries, unsaved
bytes) is replaced as a whole, and its bytes only ever grow.
"""

import contextlib
import os
import struct
from pathlib import Path
from typing import Final

from pykbroker.storage.file_layer import PASSING_ERRNOS, FileLayer, KeptFile

_SAVE_AT_ENTRIES: Final = 512
_BLOCK_ENTRIES: Final = 256


class DamagedIndexError(Exception):
    """The index cannot be right; it must be rebuilt from the log."""


class IndexFile:
    """A file of fixed-size big-endian entries that ascend by their search key.

    Args:
        files: Where to write.
        path: The file; made when first saved.
        base_offset: Offsets are stored relative to this one.
        entry: Layout of one entry.
        max_bytes: `segment.index.bytes`, rounded down to whole entries.
        saved_bytes: Size of the file at opening; None where there is none.

    Raises:
        DamagedIndexError: The size is not a whole number of entries.
    """

    __slots__ = (
        "_block",
        "_entry",
        "_entry_bytes",
        "_file",
        "_files",
        "_is_made",
        "_state",
        "base_offset",
        "max_entries",
        "path",
    )

    def __init__(
        self,
        files: FileLayer,
        path: Path,
        base_offset: int,
        *,
        entry: struct.Struct,
        max_bytes: int,
        saved_bytes: int | None,
    ) -> None:
        self._is_made = saved_bytes is not None
        saved_bytes = saved_bytes or 0
        if saved_bytes % entry.size:
            raise DamagedIndexError(f"{path}: {saved_bytes} bytes are not whole entries")
        self._files = files
        self.path = path
        self.base_offset = base_offset
        self.max_entries = max_bytes // entry.size
        self._entry_bytes = entry.size
        self._entry = entry
        self._state: tuple[int, bytearray] = (saved_bytes // entry.size, bytearray())
        self._file = KeptFile(files, path)
        self._block = b""  # the saved entries that the last look-up ended in

    @property
    def entry_count(self) -> int:
        """Entries saved and not yet saved."""
        saved, unsaved = self._state
        return saved + len(unsaved) // self._entry_bytes

    @property
    def saved_bytes(self) -> int:
        """Size of what is in the file."""
        saved, _ = self._state
        return saved * self._entry.size

    @property
    def is_unsaved(self) -> bool:
        """Whether `save` would change the file."""
        _, unsaved = self._state
        return bool(unsaved) or not self._is_made

    def save(self) -> None:
        """Write what is not in the file yet, making the file where there is none."""
        saved, unsaved = self._state
        handle = self._file.open(create=True)
        self._is_made = True
        if unsaved:
            self._files.write_fully(handle, bytes(unsaved), saved * self._entry.size)
            self._state = (saved + len(unsaved) // self._entry.size, bytearray())

    def clear(self) -> None:
        """Drop all entries, in the file too."""
        self._state = (0, bytearray())
        self._block = b""
        with contextlib.suppress(FileNotFoundError):
            self._files.truncate(self._file.open(), 0)

    def pin(self) -> None:
        """Keep the file open for as long as the index is used; see `Segment.pin`."""
        self._file.is_pinned = True
        if self._is_made:
            self._file.open()

    def release(self) -> None:
        """Let go of the file; it is opened again when needed."""
        self._file.release()
        if not self._file.is_pinned:
            self._block = b""

    def _append(self, *fields: int) -> None:
        _, unsaved = self._state
        unsaved += self._entry.pack(*fields)
        if len(unsaved) >= _SAVE_AT_ENTRIES * self._entry.size:
            try:
                self.save()
            except OSError as error:
                # The entries stay in memory and go out with a later one, when there is room. The
                # batch is in the log already, so this must not fail its append.
                if error.errno not in PASSING_ERRNOS:
                    raise

    def _read(self, first: int, count: int) -> bytes:
        """Return `count` entries from slot `first` on, all of which exist."""
        size = self._entry.size
        saved, unsaved = self._state
        if first >= saved:
            start = (first - saved) * size
            return bytes(unsaved[start : start + count * size])
        in_file = min(count, saved - first)
        data = os.pread(self._file.open().fd, in_file * size, first * size)
        if len(data) != in_file * size:
            raise DamagedIndexError(f"{self.path}: shorter than it was")
        if in_file < count:
            data += unsaved[: (count - in_file) * size]
        return data

    def _get(self, slot: int) -> tuple[int, ...]:
        return self._entry.unpack(self._read(slot, 1))

    def _floor(self, field: int, target: int) -> tuple[int, ...] | None:
        """Return the last entry whose `field` is at most `target`, or None."""
        saved, unsaved = self._state
        unpack_from, size = self._entry.unpack_from, self._entry.size
        if unsaved and unpack_from(unsaved, 0)[field] <= target:
            return self._search(unsaved, len(unsaved) // size, field, target)
        block = self._block
        # A reader that goes on asks for the neighbourhood of what it asked for before.
        if not block or not (
            unpack_from(block, 0)[field] <= target < unpack_from(block, len(block) - size)[field]
        ):
            low, high = 0, saved
            while high - low > _BLOCK_ENTRIES:
                middle = (low + high) // 2
                if self._get(middle)[field] <= target:
                    low = middle
                else:
                    high = middle
            if low == high:
                return None
            block = self._block = self._read(low, high - low)
        return self._search(block, len(block) // size, field, target)

    def _following(self, field: int, target: int) -> tuple[int, ...] | None:
        """Return the first entry whose `field` is at least `target`, or None."""
        unpack_from, size = self._entry.unpack_from, self._entry_bytes
        block = self._block
        # It is asked for what lies a little behind what `_floor` has found.
        if block and (
            unpack_from(block, 0)[field] < target <= unpack_from(block, len(block) - size)[field]
        ):
            low, high = 0, len(block) // size - 1
            while low < high:
                middle = (low + high) // 2
                if unpack_from(block, middle * size)[field] < target:
                    low = middle + 1
                else:
                    high = middle
            return unpack_from(block, low * size)
        low, high = 0, self.entry_count
        # Mostly there is none, as it is the end of the log that is read.
        if not high or self._get(high - 1)[field] < target:
            return None
        while low < high:
            middle = (low + high) // 2
            if self._get(middle)[field] < target:
                low = middle + 1
            else:
                high = middle
        return self._get(low)

    def _search(
        self, entries: bytes | bytearray, count: int, field: int, target: int
    ) -> tuple[int, ...] | None:
        unpack_from, size = self._entry.unpack_from, self._entry.size
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if unpack_from(entries, middle * size)[field] <= target:
                low = middle + 1
            else:
                high = middle
        return unpack_from(entries, (low - 1) * size) if low else None
