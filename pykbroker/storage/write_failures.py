"""What a write to a log that did not succeed means, for its client and for the data directory.

Without space (or memory, or a file descriptor) the write is refused and the next one tried again.
Damage that was found before anything was written concerns this log only. Any other failure takes
the whole data directory offline for writing until the broker restarts and recovers.
"""

import logging
from pathlib import Path

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import PASSING_ERRNOS

_logger = logging.getLogger(__name__)


def write_failed(
    directory: DataDirectory, path: Path, error: DamagedSegmentError | OSError, now_ms: int
) -> KafkaError:
    """Report a failed write, without repeating what has just been said.

    Args:
        directory: The data directory.
        path: The partition's directory.
        error: Why it failed.
        now_ms: Wall time.

    Returns:
        KAFKA_STORAGE_ERROR, to be raised.
    """
    if isinstance(error, DamagedSegmentError):
        if directory.repeats.count(path, now_ms):
            _logger.error("append refused path=%s reason=%s", path, error)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error))
    reason = f"cannot write {path}: {error.strerror or error}"
    if error.errno not in PASSING_ERRNOS:
        directory.fail(reason)
    else:
        times = directory.repeats.count(error.errno, now_ms)
        if times:
            _logger.error(
                "append failed, writing goes on when it can path=%s error=%s times=%d",
                path, error, times,
            )  # fmt: skip
    return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason)
