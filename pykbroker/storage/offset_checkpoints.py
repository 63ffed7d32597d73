"""What is written down of logs for the next start: recovery points, high watermarks, starts.

The files are those of Kafka's `LogManager` and `ReplicaManager`, see `data_directory`.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from pykbroker.protocol.errors import ErrorCode, KafkaError
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


def start_offsets_of(logs: Sequence[PartitionLog]) -> list[Checkpoint]:
    """Return where logs start.

    Kafka leaves out what starts with its first segment. But a power cut may bring back segments
    that were deleted before it.
    """
    starts = {
        (log.topic, log.partition): log.log_start_offset for log in logs if log.log_start_offset
    }
    return [(LOG_START_OFFSETS, starts)]


def all_of(logs: Sequence[PartitionLog]) -> list[Checkpoint]:
    """Return all that is written down at a clean stop."""
    return progress_of(logs) + start_offsets_of(logs)


def is_behind(log: PartitionLog) -> bool:
    """Whether a start after a crash would read a whole segment that is durable."""
    if log.directory.failure is not None:
        return False
    known = log.directory.checkpointed(RECOVERY_POINTS, (log.topic, log.partition)) or 0
    return log.is_checkpoint_due(known)


class OffsetCheckpoints:
    """The offset checkpoints of one data directory.

    It is what `durability.GroupCommit` takes for a log: the moves of log start offsets are counted
    like offsets, `flush` writes them all, and `recovery_point` says how many are on the disk.

    Args:
        directory: The data directory.
        logs: Returns the logs in it.
        keep: Returns the partitions whose entries must stay: damaged logs, which must not lose
            their recovery points, or the next start would cut what this one refused.

    Attributes:
        recovery_point: How many moves are durable.
        is_closed: Never; the data directory may be offline.
    """

    __slots__ = ("_keep", "_logs", "_moves", "directory", "is_closed", "recovery_point")

    def __init__(
        self,
        directory: DataDirectory,
        logs: Callable[[], Sequence[PartitionLog]],
        keep: Callable[[], Collection[tuple[str, int]]],
    ) -> None:
        self.directory = directory
        self._logs = logs
        self._keep = keep
        self._moves = 0
        self.recovery_point = 0
        self.is_closed = False

    def note_move(self) -> int:
        """Count a move of a log start offset; return the `recovery_point` that covers it."""
        self._moves += 1
        return self._moves

    def flush(self) -> None:
        """Make the log start offsets durable; in a worker thread.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR, they are not.
        """
        moves = self._moves
        if self.directory.failure is not None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.directory.failure)
        try:
            self.save(start_offsets_of)
        except OSError as error:
            self._refused(error)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        self.recovery_point = max(self.recovery_point, moves)

    def save(self, gather: Callable[[Sequence[PartitionLog]], Sequence[Checkpoint]]) -> None:
        """Write what `gather` finds of the logs; in a worker thread.

        Raises:
            OSError: The disk refused.
        """
        self.directory.write_checkpoints(lambda: gather(self._logs()), self._keep())

    def try_save(
        self, gather: Callable[[Sequence[PartitionLog]], Sequence[Checkpoint]], now_ms: int
    ) -> None:
        """Write what `gather` finds of the logs, if possible; in a worker thread.

        What is there still holds if it is not: recovery takes a bit longer.
        """
        if self.directory.failure is not None:
            return
        try:
            self.save(gather)
        except OSError as error:
            self._refused(error)
            times = self.directory.repeats.count("checkpoint", now_ms)
            if times and self.directory.failure is None:
                _logger.error(
                    "checkpoint failed directory=%s error=%s times=%d",
                    self.directory.path, error, times,
                )  # fmt: skip

    def finish(self, *, is_complete: bool) -> bool:
        """Write what tells the next start that it need not recover anything.

        With a log that was refused the next start has to look again: one that believes in a clean
        stop reads no batches, and would serve the damage.

        Args:
            is_complete: Whether all logs of the directory were closed.

        Returns:
            False if that was not the case, or the disk has refused.
        """
        reason = self.directory.failure or ("" if is_complete else "not all logs were closed")
        if not reason:
            try:
                self.save(all_of)
                if not self._keep():
                    self.directory.write_clean_shutdown()
            except OSError as error:
                reason = str(error)
        if reason:
            _logger.error("stop not clean directory=%s reason=%s", self.directory.path, reason)
        return not reason

    def _refused(self, error: OSError) -> None:
        """Take the directory offline, unless only room or a descriptor is missing."""
        if error.errno not in PASSING_ERRNOS:
            self.directory.fail(f"cannot write checkpoints in {self.directory.path}: {error}")
