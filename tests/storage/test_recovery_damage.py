"""Small files deleted, cut, filled with garbage or exchanged: the answers stay the same."""

from __future__ import annotations

import random
import shutil
from itertools import product
from pathlib import Path

import pytest

from pykbroker.storage.file_layer import FileLayer
from tests.harness.scripted_logs import ScriptedLog, check, let_go, opened

SUFFIXES = (".index", ".timeindex", ".txnindex", ".snapshot", "leader-epoch-checkpoint")
DAMAGES = ("deleted", "cut", "halved", "empty", "garbage", "zeros", "exchanged", "longer")
# A transaction index without some entries looks like a whole one, and one snapshot like another:
# nothing says how many there must be. Kafka believes them too.
UNNOTICED = {
    (".txnindex", "deleted"),
    (".txnindex", "halved"),
    (".txnindex", "empty"),
    (".snapshot", "exchanged"),
}


@pytest.fixture(scope="module", params=["stopped", "killed"])
def scripted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ScriptedLog:
    """Eight segments with aborted transactions in each but the last."""
    root = tmp_path_factory.mktemp("life")
    log = ScriptedLog(root, FileLayer(fsync_enabled=True), random.Random(3), segment_bytes=600)
    log.start()
    log.create()
    for number in range(24):
        log.append_transactional()
        log.append_idempotent()
        log.end_transaction()
        if number % 7 == 3:
            log.begin_epoch()
    log.append()
    log.flush()
    log.checkpoint()
    if request.param == "stopped":
        log.manager.close()
    else:
        log.append()
        let_go(log.manager)
    return log


def damaged(path: Path, damage: str) -> None:
    data = path.read_bytes()
    others = [p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p.read_bytes() != data]
    if damage == "deleted":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "halved":
        entry_bytes = {".index": 8, ".timeindex": 12, ".txnindex": 34}.get(path.suffix, 1)
        path.write_bytes(data[: len(data) // 2 // entry_bytes * entry_bytes])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "garbage":
        path.write_bytes(random.Random(5).randbytes(len(data)))
    elif damage == "zeros":
        path.write_bytes(bytes(len(data)))
    elif damage == "longer":
        path.write_bytes(data + bytes(24))
    elif others and path.suffix:
        shutil.copy(others[0], path)


@pytest.mark.parametrize(
    ("suffix", "damage"), [pair for pair in product(SUFFIXES, DAMAGES) if pair not in UNNOTICED]
)
def test_a_damaged_small_file_changes_no_answer(
    scripted: ScriptedLog, tmp_path: Path, suffix: str, damage: str
) -> None:
    was_killed = not (scripted.root / "data" / ".kafka_cleanshutdown").exists()
    root = tmp_path / "copy"
    shutil.copytree(scripted.root, root)
    files = [
        path
        for path in sorted((root / "data" / "orders-0").iterdir())
        if path.name.endswith(suffix)
    ]
    assert files
    for path in files:
        damaged(path, damage)

    manager = opened(root, FileLayer(), scripted.config)

    ledger = scripted.ledger
    check(manager, (scripted.topic_id, ledger, ledger.promise(is_kill=was_killed)))
    let_go(manager)
