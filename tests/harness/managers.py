"""Builders of a `LogManager` with real files, and of logs in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pykbroker.config.topic import TopicConfig
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles, a_config

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
ID, OTHER_ID = bytes(range(16)), bytes(range(1, 17))


def a_manager(path: Path, *, directories: int = 1, **options: Any) -> LogManager:
    """A manager of `<path>/data`, `<path>/data1` and so on; not open yet."""
    paths = [path / f"data{n or ''}" for n in range(directories)]
    options = {"clock": ManualClock(NOW_MS), "node_id": 1, "files": FaultyFiles(), **options}
    return LogManager(paths, **options)


def an_open_manager(path: Path, *, config: TopicConfig | None = None, **options: Any) -> LogManager:
    manager = a_manager(path, **options)
    manager.open(CLUSTER_ID, lambda _: config or a_config())
    return manager


def a_log(manager: LogManager, partition: int = 0, **settings: Any) -> PartitionLog:
    return manager.create("orders", ID, partition, a_config(**settings))
