"""Reading index files from the first entry to the last, a piece at a time, without writing.

Look-ups are `index_file`'s matter. Kafka makes the indexes of the segment that it writes to in
their full size and cuts them when it closes the segment, so entries of zeros up to the end are
room that was not used.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pykbroker.storage import offset_index, time_index, transaction_index
from pykbroker.storage.transaction_index import AbortedTransaction

_ENTRIES_A_READ: Final = 4096


def iter_offset_entries(path: Path, base_offset: int) -> Iterator[tuple[int, int, int]]:
    """Yield (slot, offset, position) of an `.index` file up to its unused room."""
    for slot, (relative, position) in _iter_used(path, offset_index.ENTRY):
        yield slot, base_offset + relative, position


def iter_time_entries(path: Path, base_offset: int) -> Iterator[tuple[int, int, int]]:
    """Yield (slot, timestamp, offset) of a `.timeindex` file up to its unused room."""
    for slot, (timestamp, relative) in _iter_used(path, time_index.ENTRY):
        yield slot, timestamp, base_offset + relative


def iter_aborted(path: Path) -> Iterator[tuple[int, int, AbortedTransaction]]:
    """Yield (slot, version, transaction) of a `.txnindex` file."""
    for slot, (version, *fields) in _iter_all(path, transaction_index.ENTRY):
        yield slot, version, AbortedTransaction(*fields)


def _iter_used(path: Path, entry: struct.Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the entries but for zeros that reach to the end; of others, the first one of a row."""
    first_of_zeros: int | None = None
    for slot, fields in _iter_all(path, entry):
        if not any(fields):
            first_of_zeros = slot if first_of_zeros is None else first_of_zeros
            continue
        if first_of_zeros is not None:
            yield first_of_zeros, (0,) * len(fields)
            first_of_zeros = None
        yield slot, fields


def _iter_all(path: Path, entry: struct.Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the whole entries; bytes behind the last one are left out."""
    slot = 0
    with path.open("rb") as file:
        while data := file.read(entry.size * _ENTRIES_A_READ):
            for fields in entry.iter_unpack(data[: len(data) // entry.size * entry.size]):
                yield slot, fields
                slot += 1
