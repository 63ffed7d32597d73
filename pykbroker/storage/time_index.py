"""The `.timeindex` file of a segment: timestamp -> offset.

Format (Kafka's `TimeIndex`), big-endian, 12 bytes an entry:

    0  int64  largest timestamp of the segment so far
    8  int32  last offset of the batch that holds it, relative to the segment's base offset

Timestamps ascend strictly. An entry is added with each entry of the offset index if the timestamp
has grown, and at a roll or close, so that the last entry of a closed segment is its maximum.
"""

import struct
from pathlib import Path
from typing import Final

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.index_file import IndexFile

ENTRY: Final = struct.Struct(">qi")
ENTRY_BYTES: Final = ENTRY.size
NO_TIMESTAMP: Final = -1


class TimeIndex(IndexFile):
    """Timestamp -> offset, both ascending."""

    __slots__ = ("_last_timestamp",)

    def __init__(
        self,
        files: FileLayer,
        path: Path,
        base_offset: int,
        *,
        max_bytes: int,
        saved_bytes: int | None = None,
    ) -> None:
        super().__init__(
            files, path, base_offset, entry=ENTRY, max_bytes=max_bytes, saved_bytes=saved_bytes
        )
        self._last_timestamp: int | None = None if saved_bytes else NO_TIMESTAMP

    @property
    def is_full(self) -> bool:
        """Whether the segment must be rolled; one slot is kept for the entry of the roll."""
        return self.entry_count >= self.max_entries - 1

    def maybe_append(self, timestamp: int, offset: int) -> None:
        """Add an entry if `timestamp` is larger than the last one."""
        last_timestamp = self._last_timestamp
        if last_timestamp is None:
            last_timestamp, _ = self.last_entry()
        if timestamp > last_timestamp:
            self._append(timestamp, offset - self.base_offset)
            self._last_timestamp = timestamp

    def clear(self) -> None:
        """Drop all entries, in the file too."""
        super().clear()
        self._last_timestamp = NO_TIMESTAMP

    def floor(self, timestamp: int) -> tuple[int, int]:
        """Return (timestamp, offset) of the last entry at or before `timestamp`.

        (-1, base offset) where there is none.
        """
        entry = self._floor(0, timestamp)
        if entry is None:
            return NO_TIMESTAMP, self.base_offset
        found, relative = entry
        return found, self.base_offset + relative

    def last_entry(self) -> tuple[int, int]:
        """Return (timestamp, offset) of the last entry, or (-1, base offset)."""
        count = self.entry_count
        if not count:
            return NO_TIMESTAMP, self.base_offset
        found, relative = self._get(count - 1)
        return found, self.base_offset + relative
