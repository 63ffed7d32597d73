"""Power cuts at any moment of a data directory's life: what was flushed is there, and valid."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from pykbroker.storage.data_directory import DataDirectoryError
from pykbroker.storage.file_layer import FileHandle
from tests.harness.ledger import Ledger, Promise
from tests.harness.power_cut import PowerCutDisk, Tree, write_tree
from tests.harness.scripted_logs import ScriptedLog, check, check_appends, let_go, opened

# How many states each test tries; the short life has some 3,000 in all.
STATES = int(os.environ.get("PYKBROKER_POWER_CUTS", "60"))
SEED = int(os.environ.get("PYKBROKER_SEED", random.randrange(1 << 32)))

Moment = tuple[Tree, tuple[bytes, Ledger, Promise]]


def a_life(root: Path, rng: random.Random) -> tuple[ScriptedLog, list[Moment]]:
    """A log in an empty directory, and what its disk may hold at each moment of what follows."""
    root.mkdir(exist_ok=True)
    disk = PowerCutDisk(root, sector_bytes=rng.choice([16, 64, 512]))
    scripted = ScriptedLog(root, disk, rng, segment_bytes=rng.choice([250, 500, 100_000]))
    moments: list[Moment] = []
    disk.on_change = lambda: moments.append((disk.state(rng), scripted.promised))
    return scripted, moments


def survive(scripted: ScriptedLog, moment: Moment, root: Path, *, is_thorough: bool) -> None:
    """Start with what is left after a power cut, in an empty place."""
    tree, promised = moment
    shutil.rmtree(root, ignore_errors=True)
    disk = PowerCutDisk(write_tree(tree, root))
    manager = opened(root, disk, scripted.config)
    check(manager, promised)
    if is_thorough:
        check_appends(manager, scripted.config, root, disk)
    let_go(manager)


def test_what_was_flushed_survives_power_cuts(tmp_path: Path) -> None:
    """Random lives, cut at each change; some go on after the cut and are cut again."""
    print(f"PYKBROKER_SEED={SEED}")
    done = 0
    for seed in range(SEED, SEED + STATES):
        rng = random.Random(seed)
        scripted, moments = a_life(tmp_path / f"life-{seed}", rng)
        scripted.start()
        scripted.create()
        scripted.run(25)
        let_go(scripted.manager)
        tree, promised = rng.choice(moments)
        later, more_moments = a_life(write_tree(tree, tmp_path / f"later-{seed}"), rng)
        later.config = scripted.config
        later.go_on(promised)
        later.run(10)
        let_go(later.manager)
        for moment in [*moments, *more_moments]:
            try:
                survive(scripted, moment, tmp_path / "cut", is_thorough=rng.random() < 0.3)
            except BaseException:
                print(f"PYKBROKER_SEED={seed}")
                raise
            done += 1
            if done >= STATES:
                return


def test_every_state_of_a_short_life_is_survived(tmp_path: Path) -> None:
    print(f"PYKBROKER_SEED={SEED}")
    (tmp_path / "life").mkdir()
    disk = PowerCutDisk(tmp_path / "life")
    scripted = ScriptedLog(tmp_path / "life", disk, random.Random(0), segment_bytes=100)
    scripted.start()
    moments: dict[str, Moment] = {}

    def note() -> None:
        for tree in disk.states():
            topic_id, ledger, promise = scripted.promised
            moments[f"{tree} {promise}"] = tree, (topic_id, ledger, promise)

    disk.on_change = note
    scripted.create()
    scripted.append()
    scripted.flush()
    scripted.append()
    scripted.append_transactional()  # in another segment
    scripted.flush()
    scripted.end_transaction()
    scripted.checkpoint()
    disk.on_change = lambda: None
    let_go(scripted.manager)

    assert len(moments) > 1000
    for moment in random.Random(SEED).sample(list(moments.values()), min(STATES, len(moments))):
        survive(scripted, moment, tmp_path / "cut", is_thorough=False)


@pytest.mark.parametrize("forgotten", ["sync", "sync_path"])
def test_a_disk_that_forgets_to_sync_is_found_out(tmp_path: Path, forgotten: str) -> None:
    class Forgetful(PowerCutDisk):
        def sync(self, handle: FileHandle) -> None:
            if forgotten != "sync":
                super().sync(handle)

        def sync_path(self, path: Path | str) -> None:
            if forgotten != "sync_path":
                super().sync_path(path)

    disk = Forgetful(tmp_path)
    scripted = ScriptedLog(tmp_path, disk, random.Random(0))
    scripted.start()
    scripted.create()
    scripted.append()
    scripted.flush()
    moments: list[Moment] = [(disk.state(random.Random(n)), scripted.promised) for n in range(20)]
    let_go(scripted.manager)

    with pytest.raises((AssertionError, DataDirectoryError)):
        for moment in moments:
            survive(scripted, moment, tmp_path.with_name("cut"), is_thorough=False)
