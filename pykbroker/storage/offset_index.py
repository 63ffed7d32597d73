"""The `.index` file of a segment: offset -> position of the batch that ends with it.

Format (Kafka's `OffsetIndex`), big-endian, 8 bytes an entry:

    0  int32  last offset of a batch, relative to the segment's base offset
    4  int32  position in bytes of that batch in the `.log` file

Both columns ascend strictly. The index is sparse: one entry per `index.interval.bytes`, none for
the first batch.
"""

import struct
from pathlib import Path
from typing import Final

from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.index_file import IndexFile

ENTRY: Final = struct.Struct(">ii")
ENTRY_BYTES: Final = ENTRY.size


class OffsetIndex(IndexFile):
    """Offset -> position, both ascending."""

    __slots__ = ()

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

    @property
    def is_full(self) -> bool:
        """Whether the segment must be rolled because no entry fits any more."""
        return self.entry_count >= self.max_entries

    def append(self, last_offset: int, position: int) -> None:
        """Add an entry for the batch at `position` that ends with `last_offset`."""
        self._append(last_offset - self.base_offset, position)

    def floor(self, offset: int) -> tuple[int, int]:
        """Return (offset, position) of the last entry whose offset is at most `offset`.

        (base offset, 0) where there is none: the first batch is at position 0.
        """
        entry = self._floor(0, offset - self.base_offset)
        if entry is None:
            return self.base_offset, 0
        relative, position = entry
        return self.base_offset + relative, position

    def floor_position(self, position: int) -> int:
        """Return the offset of the last entry whose position is at most `position`.

        The base offset where there is none.
        """
        entry = self._floor(1, position)
        return self.base_offset + (entry[0] if entry is not None else 0)

    def offset_from_position(self, position: int) -> int | None:
        """Return the offset of the first entry whose position is at least `position`, if any."""
        entry = self._following(1, position)
        return self.base_offset + entry[0] if entry is not None else None

    def last_entry(self) -> tuple[int, int]:
        """Return (offset, position) of the last entry, or (base offset, 0)."""
        count = self.entry_count
        if not count:
            return self.base_offset, 0
        relative, position = self._get(count - 1)
        return self.base_offset + relative, position
