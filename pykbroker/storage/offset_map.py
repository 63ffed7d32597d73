"""The latest offset of each key in the part of a log that a compaction looks at (pure).

Kafka's `SkimpyOffsetMap` keeps a 16-byte hash and an offset for each key in one buffer. Here it is
a dict: keys of up to 31 bytes as they are, longer ones as their 32-byte BLAKE2b digest, which no
short key can be equal to. So unlike Kafka's MD5, two keys are never taken for one.

A dict needs more memory than a flat buffer. `log.cleaner.dedupe.buffer.size` bounds what it really
takes: an entry counts with its key object, its offset object and its share of the hash table at the
worst moment, when the table has just grown and the old one is still there.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import compress, repeat
from operator import ge
from typing import Final

_DIGEST_BYTES: Final = 32
_LONGEST_PLAIN_KEY_BYTES: Final = _DIGEST_BYTES - 1
_TABLE_BYTES: Final = 90  # three slots of 20 bytes, one and a half of them twice
_OFFSET_BYTES: Final = 32
_OBJECT_BYTES: Final = 33  # a bytes object without its content
_GRANULE_BYTES: Final = 16  # what the allocator rounds up to


def entry_bytes(key_bytes: int) -> int:
    """Return the most memory that the entry of a key of this size takes."""
    size_bytes = _OBJECT_BYTES + min(key_bytes, _DIGEST_BYTES)
    rounded = -(-size_bytes // _GRANULE_BYTES) * _GRANULE_BYTES
    return rounded + _OFFSET_BYTES + _TABLE_BYTES


class OffsetMap:
    """Key -> latest offset, for the offsets up to `latest_offset`.

    Args:
        max_bytes: Memory that it may take; one key fits in any case.

    Attributes:
        latest_offset: Everything up to this offset is in the map; -1 for nothing. What lies behind
            is not known, so nothing there may be removed.
    """

    __slots__ = ("_max_bytes", "_offsets", "_used_bytes", "latest_offset")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._offsets: dict[bytes | None, int] = {}
        self.latest_offset = -1

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def utilization(self) -> float:
        """Which part of its memory is used, from 0 to 1."""
        return min(1.0, self._used_bytes / self._max_bytes) if self._max_bytes else 1.0

    def put(
        self, keys: Sequence[bytes | None], offsets: Sequence[int], longest_key_bytes: int
    ) -> bool:
        """Put the keys of records in.

        Args:
            keys: Records without a key are passed over.
            offsets: The offset of each, ascending, and above those that were put in before.
            longest_key_bytes: No key is longer.

        Returns:
            False when the map is full: `latest_offset` is that of the last key it took.
        """
        known = self._offsets
        if longest_key_bytes > _LONGEST_PLAIN_KEY_BYTES:
            keys = [_short(key) for key in keys]
        size_bytes = entry_bytes(longest_key_bytes)
        if self._used_bytes + len(keys) * size_bytes <= self._max_bytes:
            count = len(known)
            known.update(zip(keys, offsets, strict=True))
            known.pop(None, None)
            self._used_bytes += (len(known) - count) * size_bytes
            self.latest_offset = offsets[-1]
            return True
        for key, offset in zip(keys, offsets, strict=True):
            if key is None:
                continue
            if key not in known:
                size_bytes = entry_bytes(len(key))
                if known and self._used_bytes + size_bytes > self._max_bytes:
                    return False
                self._used_bytes += size_bytes
            known[key] = offset
            self.latest_offset = offset
        return True

    def retained(
        self, keys: Sequence[bytes | None], offsets: Sequence[int], longest_key_bytes: int
    ) -> bytearray:
        """Tell which records are the latest of their key, or behind what the map knows.

        Args:
            keys: The key of each; those without any are not retained.
            offsets: The offset of each, ascending.
            longest_key_bytes: No key is longer.

        Returns:
            One byte for each: 1 to retain it, or 0.
        """
        if longest_key_bytes > _LONGEST_PLAIN_KEY_BYTES:
            keys = [_short(key) for key in keys]
        flags = bytearray(map(ge, offsets, map(self._offsets.get, keys, repeat(-1))))
        latest_offset = self.latest_offset
        if None in keys:
            for index in compress(range(len(keys)), (key is None for key in keys)):
                flags[index] = 0
        if offsets[-1] > latest_offset:
            first = next(i for i, offset in enumerate(offsets) if offset > latest_offset)
            flags[first:] = b"\1" * (len(flags) - first)
        return flags


def _short(key: bytes | None) -> bytes | None:
    if key is None or len(key) <= _LONGEST_PLAIN_KEY_BYTES:
        return key
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()
