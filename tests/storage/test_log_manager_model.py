"""A data directory under any sequence of operations, faults, kills and power cuts."""

from __future__ import annotations

import errno
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_layer import FileHandle
from tests.harness.logs import error_code
from tests.harness.power_cut import PowerCutDisk, write_tree
from tests.harness.scripted_logs import ScriptedLog, let_go

SEEDS = st.integers(0, 1 << 32)


class FillingDisk(PowerCutDisk):
    """A disk that may be full: `room` is how many bytes it takes, None for all."""

    room: int | None = None

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        if self.room is not None:
            if not self.room:
                raise OSError(errno.ENOSPC, "injected")
            data = memoryview(data)[: self.room]
            self.room -= len(data)
        return super().pwrite(handle, data, position)


class DirectoryMachine(RuleBasedStateMachine):
    """The ledger knows what must be there; each operation is one of a scripted log's."""

    @initialize(seed=SEEDS, segment_bytes=st.sampled_from([250, 500, 100_000]))
    def open(self, seed: int, segment_bytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="directory-model-"))
        self.lives = 0
        root = self.path / "0"
        root.mkdir()
        self.disk = FillingDisk(root, sector_bytes=64)
        self.scripted = ScriptedLog(
            root, self.disk, random.Random(seed), segment_bytes=segment_bytes
        )
        self.scripted.start()
        self.scripted.create()

    @rule(operation=st.sampled_from([operation for operation, _ in ScriptedLog.OPERATIONS]))
    def operate(self, operation: object) -> None:
        assert callable(operation)
        operation(self.scripted)

    @rule(room=st.integers(0, 100))
    def append_without_room(self, room: int) -> None:
        self.disk.room = room
        code = error_code(self.scripted.append_idempotent)
        assert code in (ErrorCode.NONE, ErrorCode.KAFKA_STORAGE_ERROR)
        self.disk.room = None
        self.scripted.append_idempotent()

    @rule(seed=SEEDS)
    def cut_the_power(self, seed: int) -> None:
        tree, promised = self.disk.state(random.Random(seed)), self.scripted.promised
        let_go(self.scripted.manager)
        self.lives += 1
        root = write_tree(tree, self.path / str(self.lives))
        before, self.disk = self.scripted, FillingDisk(root, sector_bytes=64)
        self.scripted = ScriptedLog(
            root, self.disk, before.rng, segment_bytes=before.config.segment_bytes
        )
        self.scripted.go_on(promised)

    @invariant()
    def everything_is_there(self) -> None:
        if hasattr(self, "scripted"):
            log, ledger = self.scripted.open_log, self.scripted.ledger
            ledger.check(log, ledger.promise(log, is_kill=True))
            assert log.log_end_offset == max(ledger.end, log.log_start_offset)

    def teardown(self) -> None:
        if hasattr(self, "scripted"):
            let_go(self.scripted.manager)
            shutil.rmtree(self.path)


DirectoryMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None
)
TestDirectoryUnderFaults = DirectoryMachine.TestCase
