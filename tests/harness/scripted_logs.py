"""A data directory with one partition, driven by a script or at random, with a ledger beside it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pykbroker.config.topic import TopicConfig
from pykbroker.storage.data_directory import DataDirectoryError
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_directories import (
    NO_TOPIC_ID,
    Fate,
    FoundPartition,
    Judge,
    Judgement,
)
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.clock import ManualClock
from tests.harness.ledger import Ledger, Promise
from tests.harness.logs import a_config
from tests.storage.test_producer_state import a_marker

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
TOPIC = "orders"
_PLAIN, _IDEMPOTENT, _TRANSACTIONAL = -1, 5, 7


class ScriptedLog:
    """Every operation goes to the log and to the ledger.

    Args:
        root: The data directories are `<root>/data`, `<root>/data1` and so on.
        files: The file layer.
        rng: Chooses sizes and offsets.

    Attributes:
        promised: What was acknowledged; belongs to the topic of `topic_id`.
    """

    def __init__(
        self,
        root: Path,
        files: FileLayer,
        rng: random.Random,
        *,
        segment_bytes: int = 300,
        directories: int = 1,
    ) -> None:
        self.root = root
        self.files = files
        self.rng = rng
        self.directories = directories
        self.config = a_config(segment_bytes=segment_bytes, file_delete_delay_ms=0)
        self.topic_id = bytes(16)
        self.ledger = Ledger()
        self.sequences: dict[int, int] = {}
        self.log: PartitionLog | None = None
        self.now_ms = NOW_MS

    @property
    def promised(self) -> tuple[bytes, Ledger, Promise]:
        return self.topic_id, self.ledger, self.ledger.promise(self.log)

    @property
    def open_log(self) -> PartitionLog:
        assert self.log is not None
        return self.log

    def start(self) -> None:
        """Start, and once more as an operator does if a data directory could not be used."""
        try:
            self._open()
            if all(directory.failure is None for directory in self.manager.directories):
                return
            let_go(self.manager)
        except DataDirectoryError:
            pass
        self._open()

    def _open(self) -> None:
        self.manager = opened(
            self.root, self.files, self.config, directories=self.directories, judge=self._judge
        )

    def _judge(self, found: Sequence[FoundPartition]) -> Mapping[Path, Judgement]:
        """As the metadata do, which know what was deleted."""
        known = (self.topic_id, NO_TOPIC_ID)
        return {
            partition.path: Judgement(Fate.REMAINS, "")
            for partition in found
            if partition.topic == TOPIC and partition.topic_id not in known
        }

    def create(self) -> None:
        self.log = None
        self.topic_id = self.rng.randbytes(16)
        self.ledger = Ledger()
        self.sequences = {}
        self.log = self.manager.create(TOPIC, self.topic_id, 0, self.config)
        self.log.leader_epoch = 0

    def delete(self) -> None:
        self.manager.delete(TOPIC, 0)
        self.create()

    def _append(self, producer_id: int, **header: Any) -> None:
        log = self.open_log
        records = [
            a_record(
                timestamp=NOW_MS + log.log_end_offset + n - self.rng.choice([0, 0, 9]),
                value=b"%d" % self.rng.randrange(10 ** self.rng.choice([3, 9])),
            )
            for n in range(self.rng.randint(1, 3))
        ]
        sequence = self.sequences.get(producer_id, 0)
        if producer_id != _PLAIN:
            header |= {"producer_id": producer_id, "producer_epoch": 0, "base_sequence": sequence}
        self.ledger.append(log, a_batch(records=records, **header))
        self.sequences[producer_id] = sequence + len(records)

    def append(self) -> None:
        self._append(_PLAIN)

    def append_idempotent(self) -> None:
        self._append(_IDEMPOTENT)

    def append_transactional(self) -> None:
        self._append(_TRANSACTIONAL, is_transactional=True)

    def end_transaction(self) -> None:
        entry = self.open_log.producers.producers.get(_TRANSACTIONAL)
        if entry is not None and entry.transaction_first_offset is not None:
            is_commit = self.rng.random() < 0.3
            self.ledger.append(self.open_log, a_marker(0, commit=is_commit))

    def flush(self) -> None:
        self.ledger.flush(self.open_log)

    def roll(self) -> None:
        self.open_log.roll(NOW_MS)

    def begin_epoch(self) -> None:
        self.open_log.leader_epoch += 1

    def delete_records(self) -> None:
        log = self.open_log
        self.ledger.delete_records(log, self.rng.randint(log.log_start_offset, log.log_end_offset))
        if self.rng.random() < 0.5:  # else the power fails before the client is answered
            self.manager.checkpoints_of(log).flush()
            self.ledger.kept_start = log.log_start_offset

    def retain(self) -> None:
        log = self.open_log
        asked = self.ledger.start
        self.ledger.start = log.log_end_offset  # it may go as far
        log.reconfigure(
            a_config(
                segment_bytes=self.config.segment_bytes,
                retention_bytes=400,
                file_delete_delay_ms=0,
            )
        )
        self.manager.housekeeping(self.manager.all(), NOW_MS)
        log.reconfigure(self.config)
        self.ledger.start = max(asked, log.log_start_offset)

    def checkpoint(self) -> None:
        start = self.open_log.log_start_offset
        self.manager.write_checkpoints(NOW_MS)
        self.manager.write_start_offsets(NOW_MS)
        self.manager.catch_up(NOW_MS)
        if self.open_log.directory.failure is None:
            self.ledger.kept_start = start

    def stop_and_start(self) -> None:
        log = self.open_log
        self.manager.close()
        self.ledger.flushed_end, self.ledger.kept_start = log.log_end_offset, log.log_start_offset
        self.restart()

    def kill_and_start(self) -> None:
        let_go(self.manager)
        self.restart()

    def restart(self) -> None:
        """The process is another one, the machine is not: nothing is lost."""
        before, self.log = self.open_log, None
        self.start()
        found = self.manager.get(TOPIC, 0)
        assert found is not None
        assert found.log_end_offset == before.log_end_offset
        found.leader_epoch = before.leader_epoch
        self.log = found

    def go_on(self, promised: tuple[bytes, Ledger, Promise]) -> None:
        """Start with what is left after a power cut, and hold it against what was promised."""
        self.topic_id, ledger, promise = promised
        self.ledger = ledger.copy(promise)
        self.log = None
        self.start()
        check(self.manager, promised)
        log = self.manager.get(TOPIC, 0)
        if log is None or log.topic_id != self.topic_id:  # nothing of it was promised
            self.delete()
            return
        self.ledger = ledger.copy(promise)  # what was noted during the start refers to the other
        # As the metadata have it after a crash: an epoch that no lost record can have had.
        log.leader_epoch = 1 + max((b.partition_leader_epoch for b in ledger.batches), default=0)
        self.ledger.cut(log)
        self.sequences = {
            producer_id: entry.last_sequence + 1
            for producer_id, entry in log.producers.producers.items()
        }
        self.log = log

    OPERATIONS = (
        (append, 6),
        (append_idempotent, 4),
        (append_transactional, 4),
        (end_transaction, 3),
        (flush, 5),
        (roll, 2),
        (begin_epoch, 1),
        (delete_records, 1),
        (retain, 1),
        (checkpoint, 3),
        (stop_and_start, 1),
        (kill_and_start, 1),
        (delete, 1),
    )

    def run(self, operations: int) -> None:
        """Do so many operations, chosen at random."""
        choices, weights = zip(*self.OPERATIONS, strict=True)
        for operation in self.rng.choices(choices, weights, k=operations):
            operation(self)


def opened(
    root: Path,
    files: FileLayer,
    config: TopicConfig,
    *,
    directories: int = 1,
    judge: Judge | None = None,
) -> LogManager:
    """The data directories `<root>/data`, `<root>/data1` and so on, opened."""
    paths = [root / f"data{n or ''}" for n in range(directories)]
    manager = LogManager(paths, clock=ManualClock(NOW_MS), node_id=1, files=files)
    manager.open(CLUSTER_ID, lambda _: config, judge)
    return manager


def let_go(manager: LogManager) -> None:
    """What the end of the process does: the locks are free."""
    for log in manager.all():
        log.abandon()
    for directory in manager.directories:
        directory.release()


def check(manager: LogManager, promised: tuple[bytes, Ledger, Promise]) -> None:
    """Hold what was opened against what was promised."""
    topic_id, ledger, promise = promised
    assert not manager.refused, manager.refused
    log = manager.get(TOPIC, 0)
    if log is None or log.topic_id != topic_id:  # or one of the same name that was deleted
        assert promise.kept_end == 0, "the log is gone"
    else:
        ledger.check(log, promise)


def check_appends(manager: LogManager, config: TopicConfig, root: Path, files: FileLayer) -> None:
    """What was opened takes records, and has them after a clean stop."""
    log = manager.get(TOPIC, 0)
    if log is None:
        return
    batch = a_batch(records=2)
    log.leader_epoch += 1
    base_offset = log.append(batch, NOW_MS).base_offset
    log.flush()
    manager.close()
    again = opened(root, files, config)
    log = again.get(TOPIC, 0)
    assert log is not None
    (found,) = log.read_batches(base_offset, base_offset + 2)
    assert (found.base_offset, bytes(found.data)) == (base_offset, bytes(batch.data))
    let_go(again)
