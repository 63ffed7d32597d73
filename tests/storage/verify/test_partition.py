"""Damage of every kind in a partition, and that the check names the place."""

import shutil
from pathlib import Path

import pytest

from pykbroker.protocol.compression import Codec
from pykbroker.storage.partition_files import LEADER_EPOCHS, PARTITION_METADATA
from pykbroker.storage.verify.findings import Finding, Severity, Surroundings
from pykbroker.storage.verify.partition import verify_partition
from tests.harness.batches import a_batch
from tests.harness.compaction import a_job, a_marker, an_aborted, keyed, run, write_segment
from tests.harness.damage import (
    PARTITION,
    a_data_directory,
    flip,
    segment_file,
    verdict_on,
)
from tests.harness.logs import a_filled_log

HEADER_FIELDS = {
    "base offset": (0, 8),
    "length": (8, 4),
    "leader epoch": (12, 4),
    "magic": (16, 1),
    "crc": (17, 4),
    "attributes": (21, 2),
    "last offset delta": (23, 4),
    "base timestamp": (27, 8),
    "max timestamp": (35, 8),
    "producer id": (43, 8),
    "producer epoch": (51, 2),
    "base sequence": (53, 4),
    "record count": (57, 4),
    "records": (61, 10),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_data_directory(tmp_path_factory.mktemp("sound") / "data")


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "data"))


def test_sound_data_of_all_codecs_with_transactions_is_good(data: Path) -> None:
    verdict = verdict_on(data)

    assert verdict.findings == []
    (summary,) = verdict.summaries
    assert (summary.segments, summary.batches, summary.records) == (3, 27, 75)
    assert (summary.start_offset, summary.end_offset) == (0, 75)


@pytest.mark.parametrize("field", HEADER_FIELDS)
@pytest.mark.parametrize("segment", [0, 2])
def test_a_flipped_bit_in_a_batch_is_found_where_it_is(
    data: Path, field: str, segment: int
) -> None:
    path = segment_file(data, segment, ".log")
    original = path.read_bytes()
    start, size = HEADER_FIELDS[field]
    batch = 154  # the second one of the segment begins there
    for position in range(batch + start, batch + start + size):
        flip(path, position, position % 8)
        damage = verdict_on(data).damage
        path.write_bytes(original)

        places = [each.position for each in damage if each.path == path]
        assert places, f"byte {position}"
        assert places[0] is not None
        assert batch <= places[0] <= position


@pytest.mark.parametrize("suffix", [".index", ".timeindex", ".txnindex", ".snapshot"])
def test_a_flipped_bit_in_an_index_or_snapshot_is_found(data: Path, suffix: str) -> None:
    path = segment_file(data, 1, suffix)
    original = path.read_bytes()
    for position in range(len(original)):
        flip(path, position, position % 8)
        damage = verdict_on(data).damage
        path.write_bytes(original)

        assert [each.path for each in damage][:1] == [path], f"byte {position}"


@pytest.mark.parametrize("suffix", [".index", ".timeindex", ".txnindex", ".snapshot"])
@pytest.mark.parametrize("content", [b"garbage garbage garbage!", b"\xff" * 136])
def test_garbage_in_place_of_an_index_is_found(data: Path, suffix: str, content: bytes) -> None:
    path = segment_file(data, 1, suffix)
    path.write_bytes(content)

    assert {each.path for each in verdict_on(data).damage} == {path}


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_the_index_of_another_segment_is_found(data: Path, suffix: str) -> None:
    path = segment_file(data, 1, suffix)
    shutil.copy(segment_file(data, 0, suffix), path)

    assert {each.path for each in verdict_on(data).damage} == {path}


def test_the_snapshot_of_another_segment_is_found(data: Path) -> None:
    path = segment_file(data, 2, ".snapshot")
    shutil.copy(segment_file(data, 1, ".snapshot"), path)

    (damage,) = verdict_on(data).damage

    assert (damage.path, damage.offset) == (path, 66)
    assert damage.text == "producer 5 wrote up to offset 38, not 32"


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_a_missing_index_is_found(data: Path, suffix: str) -> None:
    segment_file(data, 1, suffix).unlink()

    (damage,) = verdict_on(data).damage

    assert damage.path == segment_file(data, 1, ".log")
    assert damage.text == "its indexes are missing"


def test_a_missing_transaction_index_is_found(data: Path) -> None:
    path = segment_file(data, 1, ".txnindex")
    path.unlink()

    damage = verdict_on(data).damage

    assert [each.path for each in damage] == [path, path]
    assert damage[0].offset == 42
    assert "read_committed consumers get its records" in damage[0].text
    assert damage[1].text == "1 more of its entries are wrong"


def test_an_index_whose_log_is_missing_is_found(data: Path) -> None:
    segment_file(data, 1, ".log").unlink()

    verdict = verdict_on(data)

    assert "00000000000000000036.index" in verdict.files
    assert "offsets are missing from 36 on, but the log was never compacted" in verdict.texts


def test_an_index_that_lost_its_last_entries_is_found(data: Path) -> None:
    path = segment_file(data, 0, ".timeindex")
    path.write_bytes(path.read_bytes()[:-12])

    (damage,) = verdict_on(data).damage

    assert damage.path == path
    assert damage.text.startswith("it ends with timestamp")


def test_room_that_an_index_did_not_use_is_fine(data: Path) -> None:
    for suffix in (".index", ".timeindex"):
        path = segment_file(data, 2, suffix)
        path.write_bytes(path.read_bytes() + bytes(1 << 12) * 3)

    assert verdict_on(data).findings == []


def test_an_entry_behind_the_log_is_found(data: Path) -> None:
    path = segment_file(data, 2, ".log")
    path.write_bytes(path.read_bytes()[:154])

    found = {(each.path.suffix or each.path.name) for each in verdict_on(data).damage}

    assert found == {".index", ".timeindex", ".snapshot"} | {"recovery-point-offset-checkpoint",
        "replication-offset-checkpoint"}  # fmt: skip


def test_a_tail_cut_at_every_byte_is_a_warning_only_after_an_unclean_stop(tmp_path: Path) -> None:
    data = a_data_directory(tmp_path / "data", is_clean=False, recovery_point=66)
    (data / "replication-offset-checkpoint").unlink()
    path = segment_file(data, 2, ".log")
    original = path.read_bytes()
    for cut in range(309, len(original), 3):
        path.write_bytes(original[:cut])
        verdict = verdict_on(data)

        assert verdict.damage == []
        torn = next(each for each in verdict.findings if each.path == path)
        assert (torn.position, torn.offset) == (308, 72)
        assert "the next start cuts them" in torn.text
    (data / ".kafka_cleanshutdown").touch()
    assert path in [each.path for each in verdict_on(data).damage]


def test_a_torn_batch_before_the_recovery_point_is_damage(tmp_path: Path) -> None:
    data = a_data_directory(tmp_path / "data", is_clean=False, recovery_point=75)
    path = segment_file(data, 2, ".log")
    path.write_bytes(path.read_bytes()[:-1])

    assert path in [each.path for each in verdict_on(data).damage]


def test_a_bad_batch_that_whole_ones_follow_is_damage_even_after_an_unclean_stop(
    tmp_path: Path,
) -> None:
    data = a_data_directory(tmp_path / "data", is_clean=False)
    flip(segment_file(data, 2, ".log"), 100)

    (damage,) = verdict_on(data).damage

    assert (damage.position, damage.offset) == (0, 66)
    assert "drops the whole batches behind it" in damage.advice


def test_indexes_that_the_next_start_makes_anew_are_warnings(tmp_path: Path) -> None:
    data = a_data_directory(tmp_path / "data", is_clean=False, recovery_point=40)
    segment_file(data, 2, ".index").unlink()
    flip(segment_file(data, 1, ".index"), 3)
    flip(segment_file(data, 0, ".index"), 3)
    flip(segment_file(data, 2, ".snapshot"), 20)

    verdict = verdict_on(data)

    assert [each.path.name for each in verdict.damage] == ["00000000000000000000.index"]
    assert [each.path.name for each in verdict.findings if each.severity is Severity.WARNING] == [
        "00000000000000000036.index",
        "00000000000000000066.snapshot",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"0\n1\n1 0\n", "leader epoch 0, but by the checkpoint of leader epochs 1"),
        (b"0\n1\n0 5\n", "leader epoch 0, but by the checkpoint of leader epochs -1"),
        (b"0\n2\n0 0\n1 38\n", "leader epoch 0, but by the checkpoint of leader epochs 1"),
        (b"0\n2\n0 0\n1 99\n", "epoch 1 starts at offset 99, but the log ends at 75"),
        (b"0\n2\n1 0\n0 0\n", "epoch 0 at 0 goes backwards"),
        (b"garbage", "unknown version 'garbage'"),
    ],
)
def test_leader_epochs_that_are_not_those_of_the_batches_are_found(
    data: Path, text: bytes, reason: str
) -> None:
    (data / PARTITION / LEADER_EPOCHS).write_bytes(text)

    damage = verdict_on(data).damage

    assert damage[0].text == reason


def test_missing_leader_epochs_are_found(data: Path) -> None:
    (data / PARTITION / LEADER_EPOCHS).unlink()

    (damage,) = verdict_on(data).damage

    assert damage.path.name == LEADER_EPOCHS


def test_metadata_are_checked(data: Path) -> None:
    path = data / PARTITION / PARTITION_METADATA
    path.write_bytes(b"version: 0\ntopic_id: short")
    assert [each.path for each in verdict_on(data).damage] == [path]

    path.unlink()
    verdict = verdict_on(data)
    assert verdict.damage == []
    assert verdict.texts[0].startswith("missing")


def test_names_that_belong_to_no_log_and_interrupted_compactions_are_told(data: Path) -> None:
    (data / PARTITION / "12.log").touch()
    (data / PARTITION / "00000000000000000000.log.swap").touch()
    (data / PARTITION / "00000000000000000000.log.deleted").touch()

    verdict = verdict_on(data)

    assert [each.path.name for each in verdict.damage] == ["12.log"]
    assert len(verdict.findings) == 2


def test_segments_that_overlap_are_found(data: Path) -> None:
    path = segment_file(data, 1, ".log")
    path.rename(path.with_name("00000000000000000030.log"))

    texts = verdict_on(data).texts

    assert "the segment begins at offset 30, but the one before ends at 36" in texts


def test_gaps_are_fine_where_compaction_has_been(data: Path) -> None:
    for path in (data / PARTITION).glob("00000000000000000036.*"):
        path.unlink()
    (data / "cleaner-offset-checkpoint").write_bytes(b"0\n1\norders 0 66\n")

    assert verdict_on(data).findings == []


def test_without_a_data_directory_around_gaps_are_a_warning(data: Path) -> None:
    for path in (data / PARTITION).glob("00000000000000000036.*"):
        path.unlink()
    (data / "meta.properties").unlink()

    verdict = verdict_on(data)

    assert verdict.damage == []
    assert verdict.texts == [
        "offsets are missing from 36 on: compaction leaves such gaps; in a log that is not"
        " compacted, records are lost"
    ]


def test_only_one_segment_may_be_checked(data: Path) -> None:
    flip(segment_file(data, 0, ".log"), 100)
    findings: list[object] = []
    around = Surroundings(is_known=True, is_clean=True)

    summary = verify_partition(
        data / PARTITION, around, findings.append, lambda *_: None, only_segment=36
    )

    assert findings == []
    assert (summary.segments, summary.start_offset, summary.end_offset) == (1, 36, 66)


def test_segments_that_wait_for_their_deletion_may_be_checked(data: Path) -> None:
    for path in (data / PARTITION).glob("00000000000000000000.*"):
        path.rename(path.with_name(path.name + ".deleted"))
    findings: list[object] = []

    summary = verify_partition(
        data / PARTITION, Surroundings(), findings.append, lambda *_: None, only_segment=0,
        state=".deleted",
    )  # fmt: skip

    assert findings == []
    assert summary.end_offset == 36


def test_a_log_that_vanishes_meanwhile_is_a_warning(data: Path) -> None:
    path = segment_file(data, 2, ".log")

    def vanish(_: Path, size_bytes: int) -> None:
        path.unlink(missing_ok=True)

    findings: list[Finding] = []
    verify_partition(path.parent, Surroundings(is_known=True), findings.append, vanish)

    assert [each.text for each in findings][:1] == [
        "it vanished while it was looked at: by retention of a running broker?"
    ]


def test_progress_adds_up_to_the_size_of_the_log(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 3)
    log.close()
    seen: list[int] = []

    verify_partition(log.path, Surroundings(), lambda _: None, lambda _, more: seen.append(more))

    assert sum(seen) == 3 * a_batch(records=2).size_bytes


def test_what_compaction_leaves_is_good(tmp_path: Path) -> None:
    transaction = {"producer_id": 7, "producer_epoch": 0, "is_transactional": True}
    first = write_segment(
        tmp_path,
        0,
        [
            keyed(0, ("a", "1"), ("b", "1"), codec=Codec.LZ4),
            keyed(2, ("a", "2"), base_sequence=0, **transaction),
        ],
    )
    second = write_segment(
        tmp_path,
        3,
        [a_marker(3, 7, commit=False), keyed(4, ("a", "3"), ("c", "1"))],
        aborted=[an_aborted(7, 2, 3)],
    )
    active = [keyed(6, ("a", "4"), base_sequence=1, **transaction), a_marker(7, 7, commit=True)]
    write_segment(tmp_path, 6, active)
    around = Surroundings(is_known=True, is_clean=True, cleaned_offset=6)
    (tmp_path / LEADER_EPOCHS).write_bytes(b"0\n0\n")
    findings: list[Finding] = []

    run(a_job(tmp_path, first, second))
    summary = verify_partition(tmp_path, around, findings.append, lambda *_: None)

    assert [each.text for each in findings if each.severity is Severity.DAMAGE] == []
    assert (summary.segments, summary.end_offset) == (2, 8)
    assert summary.batches < 6
