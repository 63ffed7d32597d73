"""DescribeLogDirs (API key 35), versions 1-5 (KIP-113).

v2 is flexible, v3 adds a top-level error (KIP-784), v4 the size of the volume (KIP-827), v5 whether
the directory is cordoned (KIP-1066: never here). Null asks for all partitions, an empty list for
none; every directory of `log.dirs` is listed in any case. Partitions that are not there are left
out without a word. There are no future replicas, and no replica lags.
"""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from pykbroker.request_context import RequestContext
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.partition_log import PartitionLog

UNKNOWN_SIZE = -1


async def handle(
    context: RequestContext, request: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    """List the data directories, and the sizes of the partitions asked for.

    Error of a directory: KAFKA_STORAGE_ERROR when it is offline.
    """
    directories = context.broker.logs.directories
    # A statfs waits for its disk, and other clients must not.
    volumes = await asyncio.to_thread(volume_sizes, [entry.path for entry in directories])
    wanted = _wanted(request)
    logs = [log for log in context.broker.logs.all() if _is_wanted(log, wanted)]
    return DescribeLogDirsResponse(
        results=[
            _describe(directory, volumes, [log for log in logs if log.directory is directory])
            for directory in directories
        ]
    )


def error_response(
    request: DescribeLogDirsRequest, code: ErrorCode, message: str | None = None
) -> DescribeLogDirsResponse:
    """Answer with an error and no directories."""
    return DescribeLogDirsResponse(error_code=code)


def _wanted(request: DescribeLogDirsRequest) -> set[tuple[str, int]] | None:
    """Return the partitions asked for; None for all."""
    if request.topics is None:
        return None
    return {(asked.topic, partition) for asked in request.topics for partition in asked.partitions}


def _is_wanted(log: PartitionLog, wanted: set[tuple[str, int]] | None) -> bool:
    return wanted is None or (log.topic, log.partition) in wanted


def _describe(
    directory: DataDirectory, volumes: Mapping[Path, tuple[int, int]], logs: list[PartitionLog]
) -> DescribeLogDirsResult:
    if directory.failure is not None:
        return DescribeLogDirsResult(
            error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=str(directory.path)
        )
    topics: dict[str, DescribeLogDirsTopic] = {}
    for log in sorted(logs, key=lambda log: (log.topic, log.partition)):
        topic = topics.setdefault(log.topic, DescribeLogDirsTopic(name=log.topic))
        topic.partitions.append(
            DescribeLogDirsPartition(partition_index=log.partition, partition_size=log.size_bytes)
        )
    total_bytes, usable_bytes = volumes[directory.path]
    return DescribeLogDirsResult(
        log_dir=str(directory.path),
        topics=list(topics.values()),
        total_bytes=total_bytes,
        usable_bytes=usable_bytes,
    )


def volume_sizes(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    """Return the total and the usable bytes of the volume of each path; blocking."""
    sizes = {}
    for path in paths:
        try:
            usage = shutil.disk_usage(path)
            sizes[path] = (usage.total, usage.free)
        except OSError:
            sizes[path] = (UNKNOWN_SIZE, UNKNOWN_SIZE)
    return sizes
