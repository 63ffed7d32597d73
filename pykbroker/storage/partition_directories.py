"""The directories in a data directory: which are partitions, and how others are put out of the way.

    <topic>-<partition>                          a partition; its id is in `partition.metadata`
    <topic>-<partition>.<32 hex digits>-delete   deleted, to be removed
    <topic>-<partition>.<32 hex digits>-stray    belongs to no topic; left to an operator
    <topic>-<partition>.<32 hex digits>-future   Kafka's, on its way to another data directory
    __cluster_metadata-0                         Kafka's metadata log

The names are those of Kafka's `UnifiedLog`: the topic is cut where the whole would get longer than
a file name may be.
"""

import enum
import logging
import os
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from pykbroker.clock import Clock
from pykbroker.storage.checkpoint import CheckpointFormatError, parse_partition_metadata
from pykbroker.storage.data_directory import DataDirectory, DataDirectoryError
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.partition_files import PARTITION_METADATA
from pykbroker.storage.segment import LOG_SUFFIX

NO_TOPIC_ID: Final = bytes(16)
DELETE_SUFFIX: Final = "-delete"
STRAY_SUFFIX: Final = "-stray"
_FUTURE_SUFFIX: Final = "-future"
_CLUSTER_METADATA: Final = "__cluster_metadata-0"
_PARTITION_DIRECTORY: Final = re.compile(
    r"(?P<topic>[a-zA-Z0-9._-]+)-(?P<partition>0|[1-9][0-9]{0,9})"
)
_MAX_NAME_CHARACTERS: Final = 255
_MAX_TOPIC_NAME_CHARACTERS: Final = 249
_MAX_PARTITION: Final = 2**31 - 1

_logger = logging.getLogger(__name__)


class Fate(enum.Enum):
    """What becomes of a partition's directory at the start."""

    STRAY = enum.auto()
    """Renamed: what is in it belongs to no topic, and nobody but an operator may remove it."""
    REMAINS = enum.auto()
    """Removed: a crash has left it of a topic that was deleted."""
    IGNORED = enum.auto()
    """Left as it is."""


class Judgement(NamedTuple):
    """What becomes of a directory, and why, for the one who reads the log."""

    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True)
class FoundPartition:
    """The directory of a partition.

    Attributes:
        directory: The data directory that it is in.
        path: Where it is.
        topic: Name of the topic.
        partition: Number of the partition.
        topic_id: What `partition.metadata` says, or `NO_TOPIC_ID`.
    """

    directory: DataDirectory
    path: Path
    topic: str
    partition: int
    topic_id: bytes

    @property
    def key(self) -> tuple[str, int]:
        """The partition."""
        return self.topic, self.partition

    def holds_a_log(self) -> bool:
        """Whether there is anything in it that only a partition's directory holds."""
        return self.topic_id != NO_TOPIC_ID or any(self.path.glob(f"*{LOG_SUFFIX}"))


Judge: TypeAlias = Callable[[Sequence[FoundPartition]], Mapping[Path, Judgement]]


@dataclass(slots=True)
class DirectoryListing:
    """What is in a data directory.

    Attributes:
        partitions: The partitions, by the names of their directories.
        deleted: Directories that are to be removed.
        ignored: The other directories, and why each is left alone.
    """

    partitions: list[FoundPartition] = field(default_factory=list)
    deleted: list[Path] = field(default_factory=list)
    ignored: list[tuple[Path, str]] = field(default_factory=list)


def list_directory(
    directory: DataDirectory, topics: frozenset[str] | None = None
) -> DirectoryListing:
    """Sort what is in a data directory.

    Args:
        directory: The data directory.
        topics: List partitions of these only; None for all.

    Raises:
        OSError: The disk failed.
    """
    listing = DirectoryListing()
    with os.scandir(directory.path) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for name in names:
        path = directory.path / name
        match = _PARTITION_DIRECTORY.fullmatch(name)
        if name.endswith(DELETE_SUFFIX):
            listing.deleted.append(path)
        elif match is None or not _may_be_partition(match["topic"], int(match["partition"])):
            listing.ignored.append((path, _why_ignored(name)))
        elif name == _CLUSTER_METADATA:
            listing.ignored.append((path, "Kafka's own metadata log"))
        elif topics is None or match["topic"] in topics:
            listing.partitions.append(
                FoundPartition(
                    directory,
                    path,
                    match["topic"],
                    int(match["partition"]),
                    _read_topic_id(path),
                )
            )
    return listing


def refuse_twins(partitions: Sequence[FoundPartition]) -> None:
    """Refuse to choose between two directories of one partition.

    Raises:
        DataDirectoryError: There are two.
    """
    paths: dict[tuple[str, int], Path] = {}
    for found in partitions:
        if found.key in paths:
            raise DataDirectoryError(
                f"{found.path} and {paths[found.key]} hold the same partition; move one away"
            )
        paths[found.key] = found.path


class DirectoryRemover:
    """Makes room for partitions: renames the directories of others, and removes them in time.

    Args:
        files: The file system.
        clock: Wall time.
    """

    __slots__ = ("_clock", "_due", "_files")

    def __init__(self, files: FileLayer, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        # When, and which. A deque, as its ends are atomic: the event loop and a worker thread
        # both delete, and a worker thread removes.
        self._due: deque[tuple[int, Path]] = deque()

    def remove_soon(self, paths: Iterable[Path]) -> None:
        """Have directories removed that an earlier run has renamed."""
        now_ms = self._clock.now_ms()
        self._due.extend((now_ms, path) for path in paths)

    def delete(self, path: Path, partition: tuple[str, int], delay_ms: int) -> Path:
        """Rename a partition's directory, and have it removed later; give its new name.

        Raises:
            OSError: It cannot be renamed; nothing has changed.
        """
        target = self._rename(path, partition, DELETE_SUFFIX)
        self._due.append((self._clock.now_ms() + delay_ms, target))
        return target

    def set_aside(self, path: Path, partition: tuple[str, int], reason: str) -> None:
        """Rename a directory that may not be removed, and tell why.

        Raises:
            OSError: It cannot be renamed; nothing has changed.
        """
        target = self._rename(path, partition, STRAY_SUFFIX)
        _logger.error("directory set aside path=%s now=%s reason=%s", path, target.name, reason)

    def make_directory(self, path: Path, partition: tuple[str, int]) -> None:
        """Make a partition's directory; one that was put there meanwhile is set aside.

        Raises:
            OSError: The disk refused; what was put there is still there.
        """
        try:
            self._files.make_directory(path)
            return
        except FileExistsError:
            if not any(path.iterdir()):
                return
        self.set_aside(path, partition, "it is in the place of a new partition")
        self._files.make_directory(path)

    def execute(self, judgement: Judgement, found: FoundPartition) -> None:
        """Do what was judged about a partition's directory.

        Raises:
            OSError: It cannot be renamed; nothing has changed.
        """
        if judgement.fate is Fate.REMAINS:
            target = self.delete(found.path, found.key, 0)
            _logger.info("directory of a deleted topic path=%s now=%s", found.path, target.name)
        elif judgement.fate is Fate.STRAY:
            self.set_aside(found.path, found.key, judgement.reason)
        else:
            _logger.warning("directory ignored path=%s reason=%s", found.path, judgement.reason)

    def is_due(self, now_ms: int) -> bool:
        """Whether the time of a directory has come; quick."""
        return any(due_ms <= now_ms for due_ms, _ in self._due.copy())

    def remove_due(self, now_ms: int) -> None:
        """Remove the directories whose time has come; blocks on the disk."""
        # Each is taken out before it is looked at: others may be added meanwhile.
        for _ in range(len(self._due)):
            due_ms, path = self._due.popleft()
            if due_ms > now_ms:
                self._due.append((due_ms, path))
                continue
            try:
                self._files.remove_directory(path)
            except OSError as error:
                _logger.error("cannot remove path=%s error=%s", path, error)

    def _rename(self, path: Path, partition: tuple[str, int], suffix: str) -> Path:
        topic, number = partition
        tail = f"-{number}.{uuid.uuid4().hex}{suffix}"
        target = path.with_name(topic[: _MAX_NAME_CHARACTERS - len(tail)] + tail)
        self._files.rename(path, target)
        return target


def _may_be_partition(topic: str, partition: int) -> bool:
    return (
        partition <= _MAX_PARTITION
        and len(topic) <= _MAX_TOPIC_NAME_CHARACTERS
        and topic not in (".", "..")
    )


def _why_ignored(name: str) -> str:
    if name.endswith(STRAY_SUFFIX):
        return "it was set aside; move it away, or remove it when it is not needed"
    if name.endswith(_FUTURE_SUFFIX):
        return "a partition that Kafka was moving here; the whole one is where it came from"
    return "not the name of a partition"


def _read_topic_id(path: Path) -> bytes:
    """Return the topic id in a partition's directory; the null id where it has none."""
    try:
        return parse_partition_metadata((path / PARTITION_METADATA).read_bytes())
    except (FileNotFoundError, CheckpointFormatError):
        return NO_TOPIC_ID
