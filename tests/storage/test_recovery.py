"""Loading a partition's directory after a crash, with torn tails and with real damage."""

from __future__ import annotations

import os
import shutil
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.producer_state import ProducerStateManager
from pykbroker.storage.recovery import DamagedLogError
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.logs import BATCH_BYTES, FaultyFiles, a_config, a_log, append, crashed, values
from tests.storage.test_producer_state import a_marker

INDEX_SUFFIXES = (".index", ".timeindex")


def a_crashed_log(path: Path, batches: int = 6, **settings: Any) -> tuple[Path, list[int]]:
    """A log that was killed; returns its only `.log` file and where the batches end."""
    log = a_log(path, **settings)
    ends = [0]
    for number in range(batches):
        append(log, records=number % 3 + 1, producer_id=5, producer_epoch=0, base_sequence=ends[-1])
        ends.append(log.log_end_offset)
    log.abandon()
    return log.segments[0].path, ends


def offsets_of(ends: list[int], count: int) -> list[int]:
    return list(range(ends[count]))


def test_recovery_keeps_whole_batches_and_nothing_else(tmp_path: Path) -> None:
    """Cut the file at every byte a crash could have left it at."""
    path, ends = a_crashed_log(tmp_path)
    whole = path.read_bytes()
    sizes = [a_batch(records=n % 3 + 1).size_bytes for n in range(6)]
    positions = list(accumulate(sizes, initial=0))
    assert positions[-1] == len(whole)

    for cut in range(positions[4], len(whole) + 1):
        path.write_bytes(whole[:cut])
        log = a_log(tmp_path)
        log.abandon()

        survivors = sum(position <= cut for position in positions) - 1
        assert log.log_end_offset == ends[survivors], f"cut at byte {cut}"
        assert path.stat().st_size == positions[survivors], f"cut at byte {cut}"
        batches = len(log.producers.producers[5].batches)
        assert batches == min(survivors, 5), f"cut at byte {cut}"


@pytest.mark.parametrize("garbage", [bytes(4096), bytes(5), b"\xff" * 100, b"garbage " * 64])
def test_garbage_behind_the_last_batch_is_cut(tmp_path: Path, garbage: bytes) -> None:
    path, ends = a_crashed_log(tmp_path)
    size_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes() + garbage)

    log = a_log(tmp_path)

    assert log.log_end_offset == ends[-1]
    assert path.stat().st_size == size_bytes
    assert list(values(log)) == offsets_of(ends, 6)


def test_a_flipped_bit_in_the_tail_cuts_its_batch(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    whole = path.read_bytes()
    last_batch = len(whole) - a_batch(records=3).size_bytes

    for byte in range(last_batch, len(whole)):
        if last_batch + 12 <= byte < last_batch + 16:  # the leader epoch is under no checksum
            continue
        path.write_bytes(whole[:byte] + bytes([whole[byte] ^ 0x10]) + whole[byte + 1 :])
        log = a_log(tmp_path)
        log.abandon()
        assert log.log_end_offset == ends[5], f"byte {byte}"


def test_batches_whose_offsets_go_backwards_are_cut(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    again = a_batch(ends[-1] - 1)
    path.write_bytes(path.read_bytes() + again.data)

    assert a_log(tmp_path).log_end_offset == ends[-1]


def test_a_batch_that_is_too_far_from_the_base_is_cut(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    path.write_bytes(path.read_bytes() + a_batch(2**31).data)

    assert a_log(tmp_path).log_end_offset == ends[-1]


def test_an_older_format_is_no_batch(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    old = bytearray(a_batch(ends[-1]).data)
    old[16] = 1
    path.write_bytes(path.read_bytes() + old)

    assert a_log(tmp_path).log_end_offset == ends[-1]


@pytest.mark.parametrize("is_clean", [False, True])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_damage_before_the_recovery_point_is_refused(
    tmp_path: Path, damage: str, is_clean: bool
) -> None:
    path, ends = a_crashed_log(tmp_path)
    whole = path.read_bytes()
    data = whole[:-10] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1])
    path.write_bytes(data)

    if damage == "flip" and is_clean:
        # A clean stop promises that nothing need be checked; readers' clients check the CRC.
        assert a_log(tmp_path, recovery_point=ends[-1], is_clean=True).log_end_offset == ends[-1]
        return
    with pytest.raises(DamagedLogError, match=r"0\.log is damaged at byte \d+"):
        a_log(tmp_path, recovery_point=ends[-1], is_clean=is_clean)
    assert path.read_bytes() == data, "nothing was changed"

    path.write_bytes(whole)
    assert list(values(a_log(tmp_path, recovery_point=ends[-1]))) == offsets_of(ends, 6)


def test_a_log_that_lost_durable_records_without_a_trace_is_refused(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    path.write_bytes(path.read_bytes()[: a_batch(records=1).size_bytes])

    for is_clean in (True, False):
        with pytest.raises(DamagedLogError, match="ends at offset 1"):
            a_log(tmp_path, recovery_point=ends[-1], is_clean=is_clean)


def test_without_fsync_there_is_no_durable_part(tmp_path: Path) -> None:
    path, ends = a_crashed_log(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])

    log = a_log(tmp_path, recovery_point=ends[-1], files=FaultyFiles(fsync_enabled=False))

    assert log.log_end_offset == log.recovery_point == ends[5]


def a_log_of_segments(path: Path, **options: Any) -> PartitionLog:
    log = a_log(path, segment_bytes=2 * a_batch(records=2).size_bytes, **options)
    for _ in range(9):
        append(log, records=2)
    return log


def test_segments_behind_a_torn_one_are_dropped(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    torn = log.segments[2].path
    torn.write_bytes(torn.read_bytes()[:-1])

    log = crashed(log, recovery_point=4)

    assert [segment.base_offset for segment in log.segments] == [0, 4, 8]
    assert log.log_end_offset == 10
    assert not list(log.path.glob("00000000000000000012*"))
    assert append(log, records=2).base_offset == 10
    assert list(values(log)) == list(range(12))


@pytest.mark.parametrize(("kept_bytes", "end_offset"), [(0, 4), (BATCH_BYTES, 6)])
def test_a_segment_that_lost_its_end_becomes_the_last(
    tmp_path: Path, kept_bytes: int, end_offset: int
) -> None:
    """A power cut may leave the names of younger segments, but not all of an older one's data."""
    log = a_log_of_segments(tmp_path)
    segment = log.segments[1]
    os.truncate(segment.path, kept_bytes)
    for suffix in INDEX_SUFFIXES:
        os.truncate(segment.path.with_suffix(suffix), 0)

    log = crashed(log, recovery_point=4)

    assert [segment.base_offset for segment in log.segments] == [0, 4]
    assert append(log, records=2).base_offset == end_offset
    assert list(values(log)) == list(range(end_offset + 2))


def test_a_compacted_segment_may_lack_its_last_offsets(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path, cleanup_policy=frozenset({"compact"}))
    os.truncate(log.segments[1].path, BATCH_BYTES)

    log = crashed(log)

    assert list(values(log)) == [*range(6), *range(8, 18)]


def test_segments_before_the_recovery_point_are_not_read(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    first = log.segments[0].path
    data = first.read_bytes()
    first.write_bytes(data[:-1] + b"?")

    assert crashed(log, recovery_point=8).log_end_offset == 18


@pytest.mark.parametrize("is_clean", [True, False])
@pytest.mark.parametrize("damage", ["missing", "empty", "odd", "zeros", "foreign", "garbage"])
@pytest.mark.parametrize("suffix", INDEX_SUFFIXES)
def test_damaged_indexes_give_the_same_answers(
    tmp_path: Path, suffix: str, damage: str, is_clean: bool
) -> None:
    log = a_log_of_segments(tmp_path)
    log.close()
    end = log.log_end_offset
    for index, segment in enumerate(log.segments):
        path = segment.path.with_suffix(suffix)
        foreign = log.segments[index - 1].path.with_suffix(suffix)
        if damage == "missing":
            path.unlink()
        elif damage == "empty" and suffix == ".index":
            path.write_bytes(b"")
        elif damage == "odd":
            path.write_bytes(path.read_bytes() + b"odd")
        elif damage == "zeros":
            path.write_bytes(path.read_bytes() + bytes(48))
        elif damage == "foreign":
            shutil.copy(foreign, path)
        elif damage == "garbage":
            path.write_bytes(bytes(range(100, 124)))

    log = a_log(tmp_path, is_clean=is_clean, recovery_point=end, config=log.config)

    assert list(values(log)) == list(range(18))
    found = log.offset_for_timestamp(NOW_MS + 1, 18)
    assert found is not None
    assert found.offset == 1
    assert log.max_timestamp_offset(18) == (1, NOW_MS + 1, 0)


@pytest.mark.parametrize(
    "why",
    [
        {"may_have_gaps": True},
        {"is_foreign": True},
        {"config": a_config(cleanup_policy=frozenset({"compact"}))},
    ],
)
def test_a_gap_between_segments_is_kept_where_compaction_may_have_left_it(
    tmp_path: Path, why: dict[str, Any]
) -> None:
    log = a_log_of_segments(tmp_path)
    log.segments[0].path.write_bytes(b"")

    assert min(values(crashed(log, recovery_point=0, **why))) == log.segments[1].base_offset


def test_a_gap_between_segments_ends_any_other_log(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    log.segments[0].path.write_bytes(b"")

    assert values(crashed(log, recovery_point=0)) == {}


def tear(log: PartitionLog, segment: int) -> None:
    path = log.segments[segment].path
    path.write_bytes(path.read_bytes()[:-1])


def test_a_foreign_log_is_cut_at_its_torn_end(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    tear(log, -1)

    assert crashed(log, recovery_point=0, is_foreign=True).log_end_offset == 16


def test_a_foreign_log_that_is_damaged_elsewhere_is_refused(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    tear(log, 0)
    before = {path.name: path.read_bytes() for path in log.path.glob("*.log")}

    with pytest.raises(DamagedLogError, match="younger segments"):
        crashed(log, recovery_point=0, is_foreign=True)

    assert before == {path.name: path.read_bytes() for path in log.path.glob("*.log")}


def test_what_an_interrupted_deletion_left_is_removed(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    log.close()
    left = ["00000000000000000000.log.deleted", "00000000000000000004.log.cleaned", "x.tmp"]
    left += ["00000000000000000099.index", "00000000000000000099.timeindex"]
    for name in left:
        (log.path / name).write_bytes(b"")

    a_log(tmp_path, is_clean=True)

    assert not {path.name for path in log.path.iterdir()} & set(left)


@pytest.mark.parametrize("name", ["7.log", "x.snapshot"])
def test_files_that_we_do_not_understand_are_refused(tmp_path: Path, name: str) -> None:
    a_log(tmp_path).close()
    (tmp_path / "orders-0" / name).write_bytes(b"")

    with pytest.raises(DamagedLogError):
        a_log(tmp_path)


def test_a_log_start_offset_is_kept_without_records(tmp_path: Path) -> None:
    log = a_log(tmp_path, log_start_offset=40)

    assert (log.log_start_offset, log.log_end_offset) == (40, 40)


def test_a_log_that_ends_before_its_start_offset_begins_there(tmp_path: Path) -> None:
    """The records were deleted, which was made durable, before they were durable themselves."""
    log = a_log_of_segments(tmp_path)

    log = crashed(log, log_start_offset=99, recovery_point=0)

    assert log.log_start_offset == log.log_end_offset == 99
    assert append(log).base_offset == 99
    log.flush()
    log = crashed(log)
    assert list(values(log)) == [99]
    assert len(log.segments) == 1


# Leader epochs and producer state


@pytest.mark.parametrize("damage", [None, b"", b"garbage", b"0\n1\n2 0\n"])
@pytest.mark.parametrize("is_clean", [True, False])
def test_leader_epochs_are_restored_from_the_log(
    tmp_path: Path, damage: bytes | None, is_clean: bool
) -> None:
    log = a_log(tmp_path)
    for epoch in (2, 2, 5):
        log.leader_epoch = epoch
        append(log)
    log.close()
    path = log.path / "leader-epoch-checkpoint"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)

    log = a_log(tmp_path, is_clean=is_clean)

    if damage == b"0\n1\n2 0\n" and is_clean:
        assert log.epochs.entries == [(2, 0)], "a whole file is believed after a clean stop"
    else:
        assert log.epochs.entries == [(2, 0), (5, 2)]
        assert path.read_bytes() == b"0\n2\n2 0\n5 2\n"


def test_epochs_and_snapshots_behind_a_cut_are_forgotten(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    log.leader_epoch = 3
    append(log)
    log.close()
    last = log.segments[-1].path
    last.unlink()

    log = a_log(tmp_path)

    assert log.log_end_offset == 16
    assert log.epochs.entries == [(0, 0)]
    assert [int(path.stem) for path in sorted(log.path.glob("*.snapshot"))] == [4, 8, 12]


def test_a_damaged_snapshot_is_replaced_by_an_older_one_and_the_log(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_bytes=300)
    for number in range(9):
        append(log, producer_id=5, producer_epoch=0, base_sequence=number)
    log.close()
    expected = ProducerStateManager()
    newest = sorted(log.path.glob("*.snapshot"))[-1]
    expected.load_snapshot(newest.read_bytes())
    newest.write_bytes(newest.read_bytes()[:-1])

    for is_clean in (True, False):
        log = a_log(tmp_path, is_clean=is_clean, config=log.config)
        assert log.producers.encode_snapshot() == expected.encode_snapshot()
        assert not newest.exists()


def test_snapshots_of_earlier_stops_are_removed(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    for _ in range(3):
        log.close()
        log = a_log(tmp_path, is_clean=True, config=log.config)
        append(log)
    log.close()

    log = a_log(tmp_path, is_clean=True, config=log.config)

    offsets = [int(path.stem) for path in sorted(log.path.glob("*.snapshot"))]
    assert offsets == [*[s.base_offset for s in log.segments if s.base_offset], 21]


def test_recovery_tells_how_much_it_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, _ = a_crashed_log(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(99))

    a_log(tmp_path)

    assert "cut_bytes=99" in caplog.text


def test_a_large_log_is_checked_in_pieces(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    for size_bytes in (700_000, 2_500_000, 10, 400_000):
        log.append(a_batch(records=[a_record(value=bytes(size_bytes))]), NOW_MS)

    log = crashed(log)

    assert [len(value or b"") for value in values(log).values()] == [
        700_000,
        2_500_000,
        10,
        400_000,
    ]


def test_a_marker_is_replayed(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.append(a_marker(0, commit=True), NOW_MS)

    log = crashed(log)

    assert log.producers.producers[7].coordinator_epoch == 3
    assert RecordBatch.parse((log.segments[0].path).read_bytes()).is_control


def test_a_log_that_was_never_written_needs_no_files(tmp_path: Path) -> None:
    for is_clean in (True, False):
        log = a_log(tmp_path, is_clean=is_clean)
        log.close()
        assert not list(log.path.iterdir())


def test_epochs_are_looked_for_from_the_recovery_point_on_only(tmp_path: Path) -> None:
    log = a_log_of_segments(tmp_path)
    log.leader_epoch = 4
    append(log)
    log.flush()
    log.leader_epoch = 6
    append(log)
    log.abandon()
    first = log.segments[0].path
    first.write_bytes(bytes(first.stat().st_size))
    (log.path / "leader-epoch-checkpoint").write_bytes(b"0\n2\n0 0\n4 18\n")

    log = crashed(log)

    assert log.epochs.entries == [(0, 0), (4, 18), (6, 19)]


@pytest.mark.parametrize("lost", ["leader-epoch-checkpoint", "*.snapshot"])
def test_damage_that_is_found_while_small_files_are_made_anew_is_refused(
    tmp_path: Path, lost: str
) -> None:
    log = a_log(tmp_path, segment_bytes=BATCH_BYTES)
    for number in range(4):
        append(log, records=2, producer_id=7, producer_epoch=0, base_sequence=number * 2)
    path = log.segments[1].path
    log.close()
    for file in log.path.glob(lost):
        file.unlink()
    path.write_bytes(b"\xff" * BATCH_BYTES)

    with pytest.raises(DamagedLogError, match=path.name):
        a_log(tmp_path, is_clean=True, recovery_point=8, config=log.config)


def test_a_marker_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.append(a_marker(0, commit=True), NOW_MS)
    path = log.segments[0].path
    log.close()
    for file in log.path.glob("*.snapshot"):
        file.unlink()
    data = path.read_bytes()
    path.write_bytes(data[:61] + b"\xff" * (len(data) - 61))

    with pytest.raises(DamagedLogError, match="byte 0"):
        a_log(tmp_path, is_clean=True, recovery_point=1)
