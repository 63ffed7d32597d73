import json
import struct
from pathlib import Path
from typing import Any

import pytest

from pykbroker.commands.log_dump import DumpOptions, Outcome, dump_file
from pykbroker.coordinator.group.records import encode_record, offset_commit_record
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitValue
from pykbroker.protocol.record_batch import RecordBatch
from tests.harness.batches import NOW_MS, a_batch, a_batch_of_payload, a_record
from tests.harness.damage import PARTITION, a_data_directory, a_marker, flip, segment_file


def a_file(path: Path, *batches: RecordBatch, topic: str = "orders") -> Path:
    directory = path / f"{topic}-0"
    directory.mkdir()
    file = directory / "00000000000000000000.log"
    file.write_bytes(b"".join(bytes(batch.data) for batch in batches))
    return file


def dumped(path: Path, outcome: Outcome | None = None, **options: Any) -> list[str]:
    """The lines without the first, which names the file."""
    chosen = DumpOptions(**options)
    lines = list(dump_file(path, chosen, outcome or Outcome()))
    return lines if chosen.as_json else lines[1:]


RECORDS = [
    a_record(0, key=b"a", value=b"text \xc3\xa4 \xff\n'\\", headers=(("h", b"1"), ("n", None))),
    a_record(1, key=None, value=None, timestamp=NOW_MS + 5),
]


def test_batches_and_records_are_printed(tmp_path: Path) -> None:
    marker = a_batch(2, **a_marker(7, is_commit=False))  # type: ignore[arg-type]

    path = a_file(tmp_path, a_batch(records=RECORDS, leader_epoch=3), marker)

    assert dumped(path, records=True) == [
        "  batch=0..1 position=0 size=95 records=2 codec=none time_type=CreateTime"
        " base_time=1700000000000 max_time=1700000000005 leader_epoch=3 crc=ok",
        "    record=0 time=1700000000000 key_size=1 key='a' value_size=12"
        r" value='text ä \xff\n\'\\' headers=[['h', '1'], ['n', null]]",
        "    record=1 time=1700000000005 key_size=-1 key=null value_size=-1 value=null headers=[]",
        "  batch=2..2 position=95 size=78 records=1 codec=none time_type=CreateTime"
        " base_time=1700000000050 max_time=1700000000050 leader_epoch=-1 producer=7"
        " producer_epoch=0 sequence=-1..-1 flags=[transactional, control] crc=ok",
        "    record=2 time=1700000000050 control=ABORT coordinator_epoch=7",
    ]


def test_json_has_one_object_a_line_and_base64_for_what_is_no_text(tmp_path: Path) -> None:
    path = a_file(tmp_path, a_batch(records=RECORDS))

    batch, first, second = map(json.loads, dumped(path, records=True, as_json=True))

    assert (batch["batch"], batch["file"], batch["crc"]) == ([0, 1], str(path), "ok")
    assert first["key"] == "a"
    assert first["value"] == {"base64": "dGV4dCDDpCD/Cidc"}
    assert first["headers"] == [["h", "1"], ["n", None]]
    assert (second["key"], second["value_size"]) == (None, -1)


def test_long_fields_may_be_cut(tmp_path: Path) -> None:
    path = a_file(tmp_path, a_batch(records=[a_record(value=b"0123456789")]))

    (_, line) = dumped(path, records=True, max_bytes=4)

    assert "value_size=10 value='0123'...(6 more)" in line


def test_a_part_of_the_log_may_be_chosen(tmp_path: Path) -> None:
    path = a_file(tmp_path, *(a_batch(2 * n, records=2) for n in range(5)))

    def firsts(**options: Any) -> list[int]:
        return [json.loads(line)["batch"][0] for line in dumped(path, as_json=True, **options)]

    assert firsts() == [0, 2, 4, 6, 8]
    assert firsts(first_offset=3, last_offset=6) == [2, 4, 6]
    assert firsts(max_batches=2) == [0, 2]
    lines = dumped(path, records=True, first_offset=3, last_offset=4)
    assert [line.split()[0] for line in lines] == [
        "batch=2..3", "record=3", "batch=4..5", "record=4",
    ]  # fmt: skip


def test_the_delete_horizon_is_no_base_time(tmp_path: Path) -> None:
    path = a_file(tmp_path, a_batch_of_payload(b"", 0, attributes=0x48, last_offset_delta=2))

    (line,) = dumped(path, records=True)

    assert f"delete_horizon={NOW_MS}" in line
    assert "time_type=LogAppendTime" in line
    assert "base_time" not in line


def test_committed_offsets_are_printed_as_what_they_mean(tmp_path: Path) -> None:
    value = OffsetCommitValue(offset=42, metadata="a b")
    key, data = encode_record(offset_commit_record("readers", "orders", 3, value))
    records = [a_record(key=key, value=data), a_record(1, key=b"\0\x63")]
    path = a_file(tmp_path, a_batch(records=records), topic="__consumer_offsets")

    _, commit, unknown = dumped(path, records=True)

    assert "type=OffsetCommit key={group='readers' topic='orders' partition=3}" in commit
    assert "offset=42 leader_epoch=-1 metadata='a b'" in commit
    assert "unreadable=there is no record type 99" in unknown


def test_bad_bytes_are_printed_and_counted(tmp_path: Path) -> None:
    broken = a_batch_of_payload(b"zz", 1, base_offset=4)
    path = a_file(tmp_path, a_batch(records=2), a_batch(2, records=2), broken)
    flip(path, 80)
    outcome = Outcome()

    lines = dumped(path, outcome, records=True)

    assert lines[0] == "  bad=CRC mismatch position=0 size=99"
    assert lines[-1].startswith("  bad=record 0 of the batch")
    assert outcome.damage == 2


def test_a_malformed_control_record_is_called_so(tmp_path: Path) -> None:
    path = a_file(tmp_path, a_batch(records=[a_record(key=b"\0")], is_control=True))

    assert dumped(path, records=True)[1].endswith("control=malformed")


@pytest.mark.parametrize(
    ("suffix", "first"),
    [
        (".index", "  offset=41 position=154"),
        (".timeindex", "  time=1700000000132 offset=41"),
        (
            ".txnindex",
            "  version=0 producer_id=5 first_offset=30 last_offset=42 last_stable_offset=33",
        ),
        (
            ".snapshot",
            "  producer=5 producer_epoch=0 coordinator_epoch=-1 sequence=0..2 offsets=30..32"
            " last_time=1700000000102 transaction_from=30",
        ),
    ],
)
def test_entries_of_the_other_files_are_printed(tmp_path: Path, suffix: str, first: str) -> None:
    path = segment_file(a_data_directory(tmp_path / "data"), 1, suffix)

    assert dumped(path)[0] == first


def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
    path = tmp_path / "00000000000000000000.snapshot"
    path.write_bytes(struct.pack(">hIi", 1, 0, 0))
    outcome = Outcome()

    assert dumped(path, outcome) == ["  bad=CRC mismatch"]
    assert outcome.damage == 1


def test_text_files_are_printed_as_they_are(tmp_path: Path) -> None:
    path = a_data_directory(tmp_path / "data") / PARTITION / "leader-epoch-checkpoint"
    assert dumped(path) == ["  0", "  1", "  0 0"]

    path.write_bytes(b"\xff")
    outcome = Outcome()
    assert dumped(path, outcome) == ["  bad=not UTF-8"]
    assert outcome.damage == 1
