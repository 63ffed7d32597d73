"""Putting a cleaned segment in the place of its sources so that a crash at any step loses nothing.

The cleaner leaves whole, synced files named `<base offset>.log.cleaned` and so on. Then (Kafka's
`LocalLog.replaceSegments`, `LogLoader`):

1. each `.cleaned` is renamed to `.swap`, the `.log` last, and the directory is synced. From then on
   the sources are not needed any more;
2. the sources are renamed to `.deleted`, and the directory is synced: a source beside the segment
   that replaces it would be taken for a part of the log;
3. each `.swap` gets its final name, `.index` first and `.log` last.

What a start finds tells how far that went. `.cleaned` files are dropped, together with a `.swap` of
the same segment or a later one: step 1 was not over. With a `.log.swap` steps 2 and 3 are done
again; as long as its `.index.swap` is there too, no index has its final name yet, so those with a
final name are the source's. Other `.swap` files only miss step 3.

So nothing of a swap that came to nothing may be left when the next one begins.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pykbroker.storage.batch_scan import scan_headers
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.segment import (
    CLEANED_SUFFIX,
    INDEX_SUFFIXES,
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    SEGMENT_SUFFIXES,
    file_name,
)

SWAP_SUFFIX: Final = ".swap"
# The order of the renames: a `.log` comes last, its `.index` is the first of the others.
_RENAME_ORDER: Final = (*INDEX_SUFFIXES, LOG_SUFFIX)


def begin_swap(files: FileLayer, directory: Path, base_offset: int) -> None:
    """Rename the `.cleaned` files of a segment to `.swap`.

    The caller syncs the directory; then the sources may go.

    Raises:
        OSError: The disk refused, or there is no such segment.
    """
    for suffix in _RENAME_ORDER:
        cleaned = directory / (file_name(base_offset, suffix) + CLEANED_SUFFIX)
        if suffix == LOG_SUFFIX or cleaned.exists():
            files.rename(cleaned, _swap_path(directory, base_offset, suffix))


def finish_swap(files: FileLayer, directory: Path, base_offset: int) -> None:
    """Give the `.swap` files of a segment, whose sources are gone, their final names.

    The caller syncs the directory.

    Raises:
        OSError: The disk refused.
    """
    for suffix in _RENAME_ORDER:
        swap = _swap_path(directory, base_offset, suffix)
        if swap.exists():
            files.rename(swap, directory / file_name(base_offset, suffix))


def discard_unfinished(files: FileLayer, directory: Path) -> None:
    """Remove what a cleaning has left that ended before its sources went.

    Raises:
        OSError: The disk refused.
    """
    left = {name for name in os.listdir(directory) if name.endswith((CLEANED_SUFFIX, SWAP_SUFFIX))}
    if not left:
        return
    # As long as a `.log.cleaned` is there, a start drops all of these.
    logs = {name for name in left if f"{LOG_SUFFIX}." in name}
    for name in logs:
        if name.endswith(SWAP_SUFFIX):
            files.rename(directory / name, directory / _as_cleaned(name))
    files.sync_path(directory)
    for name in left - logs:
        files.remove(directory / name)
    files.sync_path(directory)
    for name in logs:
        files.remove(directory / _as_cleaned(name))


def recover_swaps(files: FileLayer, directory: Path, names: Iterable[str]) -> bool:
    """Finish or undo what a crash has interrupted; before the segments are opened.

    Args:
        files: The file system.
        directory: The partition's directory.
        names: The files in it.

    Returns:
        Whether anything was changed.

    Raises:
        DamagedSegmentError: The `.log.swap` of a segment is no chain of batches.
        OSError: The disk failed.
    """
    names = set(names)
    cleaned = {name for name in names if name.endswith(CLEANED_SUFFIX)}
    swaps = {name for name in names if name.endswith(SWAP_SUFFIX)}
    if not cleaned and not swaps:
        return False
    # Kafka rule KAFKA-6264: a segment that is not wholly renamed takes the later ones with it.
    first_incomplete = min((_base_of(name) for name in cleaned), default=None)
    if first_incomplete is not None:
        cleaned |= {name for name in swaps if _base_of(name) >= first_incomplete}
    # The `.log.swap` goes last: as long as it is there, this is done again.
    for name in sorted(cleaned, key=lambda name: f"{LOG_SUFFIX}." in name):
        files.remove(directory / name)
    swaps -= cleaned
    for base_offset in sorted({_base_of(name) for name in swaps}):
        if file_name(base_offset, LOG_SUFFIX) + SWAP_SUFFIX in swaps:
            _remove_sources(files, directory, base_offset, names)
        finish_swap(files, directory, base_offset)
    files.sync_path(directory)
    return True


def _remove_sources(files: FileLayer, directory: Path, base_offset: int, names: set[str]) -> None:
    """Remove the segments that the `.log.swap` at `base_offset` stands for."""
    end_offset = _end_offset(files, _swap_path(directory, base_offset, LOG_SUFFIX), base_offset)
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix in SEGMENT_SUFFIXES and base_offset < _base_of(stem) < end_offset:
            files.remove(directory / name)
    if _swap_path(directory, base_offset, OFFSET_INDEX_SUFFIX).exists():
        for suffix in INDEX_SUFFIXES:
            files.remove(directory / file_name(base_offset, suffix))
    files.sync_path(directory)


def _end_offset(files: FileLayer, path: Path, base_offset: int) -> int:
    end_offset = base_offset
    for header in scan_headers(files.open(path), path, 0, path.stat().st_size):
        end_offset = header.last_offset + 1
    return end_offset


def _swap_path(directory: Path, base_offset: int, suffix: str) -> Path:
    return directory / (file_name(base_offset, suffix) + SWAP_SUFFIX)


def _as_cleaned(name: str) -> str:
    return name.removesuffix(SWAP_SUFFIX).removesuffix(CLEANED_SUFFIX) + CLEANED_SUFFIX


def _base_of(name: str) -> int:
    """Return the base offset that a file is named by; -1 where it is named otherwise."""
    digits = name.partition(".")[0]
    return int(digits) if digits.isdecimal() else -1
