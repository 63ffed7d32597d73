"""Every call to the file layer fails once, in every way: what was acknowledged is there."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.file_layer import FileLayer
from tests.harness.batches import NOW_MS
from tests.harness.failing_calls import SHORT_WRITE, FailingCalls
from tests.harness.logs import append, error_code
from tests.harness.scripted_logs import ScriptedLog, check, let_go

PASSING = {errno.ENOSPC, errno.EMFILE, SHORT_WRITE}
TAKES_A_DESCRIPTOR = {"open", "sync_path", "write_file"}
# Every so many calls fail, the seed says which; 1 for all of them.
STEP = int(os.environ.get("PYKBROKER_FAULT_STEP", "16"))
SEED = int(os.environ.get("PYKBROKER_SEED", random.randrange(1 << 32)))


def script(scripted: ScriptedLog) -> list[Callable[[], None]]:
    s = scripted
    return [
        *[s.create, s.append, s.append_idempotent, s.flush, s.begin_epoch],
        *[s.append_transactional, s.append, s.end_transaction, s.roll, s.flush, s.checkpoint],
        *[s.append_transactional, s.kill_and_start, s.end_transaction, s.append, s.delete_records],
        *[s.append, s.append, s.append, s.retain, s.checkpoint, s.append, s.stop_and_start],
        *[s.append, s.flush, s.delete, s.append, s.checkpoint, s.append, s.stop_and_start],
    ]


def a_scripted_log(root: Path, files: FileLayer) -> ScriptedLog:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    return ScriptedLog(root, files, random.Random(1), directories=2)


def a_start(scripted: ScriptedLog) -> None:
    """The log of partition 1 is in the first directory, so that of 0 gets into the second."""
    scripted.start()
    scripted.manager.create("witness", bytes(15) + b"w", 0, scripted.config)


def test_every_call_may_fail(tmp_path: Path) -> None:
    root = tmp_path / "log"
    files = FailingCalls(root / "data1")
    scripted = a_scripted_log(root, files)
    a_start(scripted)
    for operation in script(scripted):
        operation()
    let_go(scripted.manager)
    calls = files.calls
    print(f"PYKBROKER_SEED={SEED}")
    assert {name for name, _ in calls} >= {
        "open",
        "pwrite",
        "sync",
        "sync_path",
        "rename",
        "remove",
    }
    for number, (name, file) in enumerate(calls):
        if number % STEP != SEED % STEP:
            continue
        for code in (errno.EIO, errno.ENOSPC, errno.EMFILE, SHORT_WRITE):
            if code == errno.EMFILE and name not in TAKES_A_DESCRIPTOR:
                continue
            if code == SHORT_WRITE and name != "pwrite":
                continue
            if code == errno.ENOSPC and name in ("sync", "sync_path", "remove"):
                continue
            try:
                run_with_fault(root, number, code)
            except BaseException:
                print(number, name, file, errno.errorcode.get(code, "short write"))
                raise


def run_with_fault(root: Path, number: int, code: int) -> None:
    files = FailingCalls(root / "data1", number, code)
    scripted = a_scripted_log(root, files)
    a_start(scripted)
    for operation in script(scripted):
        had_failed = files.has_failed
        if error_code(operation) != ErrorCode.NONE:
            assert files.has_failed
            assert not had_failed
            if scripted.manager.directories[1].failure is None:
                assert code in PASSING
                operation()  # it heals by itself
        if scripted.manager.directories[1].failure is not None:
            assert code not in PASSING, scripted.manager.directories[1].failure
            check_offline(scripted)
            break
    let_go(scripted.manager)
    log = scripted.log
    healthy = ScriptedLog(root, FileLayer(fsync_enabled=True), random.Random(2), directories=2)
    healthy.config, healthy.topic_id = scripted.config, scripted.topic_id
    healthy.start()
    topic_id, ledger, _ = scripted.promised
    check(healthy.manager, (topic_id, ledger, ledger.promise(log, is_kill=True)))
    let_go(healthy.manager)


def check_offline(scripted: ScriptedLog) -> None:
    """One directory takes nothing more, but can be read; the other one goes on."""
    log, witness = scripted.log, scripted.manager.get("witness", 0)
    if log is not None and log.directory is scripted.manager.directories[1]:
        for call in (
            lambda: append(log),
            log.flush,
            lambda: log.delete_records(log.log_end_offset, NOW_MS),
        ):
            assert error_code(call) == ErrorCode.KAFKA_STORAGE_ERROR
        scripted.ledger.check(log, scripted.ledger.promise(log, is_kill=True))
    assert witness is not None
    append(witness)
    witness.flush()
