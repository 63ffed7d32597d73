"""What is written down of logs for the next start: recovery points, high watermarks, starts.

The files are those of Kafka's `LogManager` and `ReplicaManager`, see `data_directory`.
"""

import logging
from collections.abc import Sequence
from typing import TypeAlias

from pykbroker.storage.data_directory import (
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    RECOVERY_POINTS,
    DataDirectory,
)
from pykbroker.storage.file_layer import PASSING_ERRNOS
from pykbroker.storage.partition_log import PartitionLog

# The name of a checkpoint file, and what is to be in it.
Checkpoint: TypeAlias = tuple[str, dict[tuple[str, int], int]]

_logger = logging.getLogger(__name__)


def progress_of(logs: Sequence[PartitionLog]) -> list[Checkpoint]:
    """Return how far each log is durable, and how far it may be read."""
    recovery_points = {(log.topic, log.partition): log.recovery_point for log in logs}
    high_watermarks = {(log.topic, log.partition): log.high_watermark for log in logs}
    return [(RECOVERY_POINTS, recovery_points), (HIGH_WATERMARKS, high_watermarks)]


def start_offsets_of(logs: Sequence[PartitionLog]) -> Checkpoint:
    """Return where logs start that do not start at 0.

    Kafka leaves those out that start with their first segment. But a power cut may bring back the
    segments that were before it.
    """
    return LOG_START_OFFSETS, {
        (log.topic, log.partition): log.log_start_offset for log in logs if log.log_start_offset
    }


def is_behind(log: PartitionLog) -> bool:
    """Whether a start after a crash would read a whole segment that is durable."""
    if log.directory.failure is not None:
        return False
    known = log.directory.checkpointed(RECOVERY_POINTS, (log.topic, log.partition)) or 0
    return log.is_checkpoint_due(known)


def write_all(directory: DataDirectory, logs: Sequence[PartitionLog]) -> None:
    """Write all checkpoints of a directory, as a clean stop does.

    Raises:
        OSError: The disk refused.
    """
    directory.write_checkpoints([*progress_of(logs), start_offsets_of(logs)])


def write(directory: DataDirectory, checkpoints: Sequence[Checkpoint], now_ms: int) -> None:
    """Write some checkpoints of a directory; in a worker thread.

    A directory that cannot be written goes offline, unless only room or a descriptor is missing:
    then the checkpoints that are there still hold, and recovery takes a bit longer.
    """
    try:
        directory.write_checkpoints(checkpoints)
    except OSError as error:
        if error.errno not in PASSING_ERRNOS:
            directory.fail(f"cannot write checkpoints in {directory.path}: {error}")
            return
        times = directory.repeats.count("checkpoint", now_ms)
        if times:
            _logger.error(
                "checkpoint failed directory=%s error=%s times=%d", directory.path, error, times
            )
