import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pykbroker.commands.log import ProgressLine, log
from tests.harness.damage import PARTITION, a_data_directory, flip, segment_file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return a_data_directory(tmp_path / "data")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(log, [str(each) for each in arguments])


def test_good_data_are_summed_up_in_a_line_for_each_partition(data: Path) -> None:
    result = run("verify", data)

    assert result.exit_code == 0
    assert result.output == (
        f"{data / PARTITION}: 3 segments, 27 batches, 75 records, 3728 bytes, offsets 0 to 74:"
        " good\n"
    )
    assert run("verify", data / PARTITION).output == result.output


def test_damage_is_told_with_its_place_and_what_to_do(data: Path) -> None:
    path = segment_file(data, 0, ".log")
    flip(path, 200)

    result = run("verify", data)

    assert result.exit_code == 1
    first, *_, total, advice = result.output.splitlines()
    assert first == (f"damage: {path}, byte 154, offset 3: CRC mismatch; 154 bytes are no batch")
    assert total == "1 damaged, 0 warnings"
    assert advice.startswith("* Records in a .log file are damaged")


def test_findings_and_summaries_as_json(data: Path) -> None:
    flip(segment_file(data, 0, ".log"), 200)

    finding, summary = map(json.loads, run("verify", "--json", data).output.splitlines())

    assert (finding["finding"], finding["position"], finding["offset"]) == ("damage", 154, 3)
    assert summary["partition"] == str(data / PARTITION)
    assert (summary["batches"], summary["damage"], summary["end_offset"]) == (26, 1, 75)


def test_warnings_leave_the_exit_code_at_zero(tmp_path: Path) -> None:
    data = a_data_directory(tmp_path / "data", is_clean=False)
    path = segment_file(data, 2, ".log")
    path.write_bytes(path.read_bytes() + bytes(100))

    result = run("verify", data)

    assert result.exit_code == 0
    assert result.output.startswith(f"warning: {path}, byte 462, offset 75: zeros instead")
    assert "1 warnings" in result.output


@pytest.mark.parametrize("suffix", [".log", ".index", ".timeindex", ".txnindex"])
def test_a_file_of_a_segment_has_its_segment_checked(data: Path, suffix: str) -> None:
    path = segment_file(data, 1, suffix)
    result = run("verify", path)
    assert (result.exit_code, "1 segments, 12 batches" in result.output) == (0, True)

    flip(path, 5)
    assert run("verify", path).exit_code == 1
    assert run("verify", segment_file(data, 0, ".log")).exit_code == 0


def test_files_that_wait_for_their_deletion_are_checked_and_printed(data: Path) -> None:
    for path in (data / PARTITION).glob("00000000000000000000.*"):
        path.rename(path.with_name(path.name + ".deleted"))
    path = data / PARTITION / "00000000000000000000.log.deleted"

    assert run("verify", path).exit_code == 0
    assert "batch=33..35" in run("dump", path).output
    flip(path, 200)
    assert run("verify", path).exit_code == 1


@pytest.mark.parametrize("name", ["meta.properties", f"{PARTITION}/partition.metadata"])
def test_a_small_file_is_checked_alone(data: Path, name: str) -> None:
    assert run("verify", data / name).exit_code == 0
    (data / name).write_bytes(b"\xff")
    assert run("verify", data / name).exit_code == 1


def test_damaged_checkpoints_count_for_a_single_partition_too(data: Path) -> None:
    (data / "recovery-point-offset-checkpoint").write_bytes(b"x")

    assert run("verify", data / PARTITION).exit_code == 1


def test_an_empty_partition_is_good(data: Path) -> None:
    (data / "empty-0").mkdir()

    assert f"{data / 'empty-0'}: 0 segments" in run("verify", data).output
    assert "ends at offset 0: good" in run("verify", data / "empty-0").output


@pytest.mark.parametrize("command", ["dump", "verify"])
def test_what_is_no_log_is_a_usage_error(tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").touch()

    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent"):
        assert run(command, path).exit_code == 2
    assert run(command).exit_code == 2


@pytest.mark.parametrize("command", ["dump", "verify"])
def test_what_cannot_be_read_is_one_line(
    data: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)

    result = run(command, data)

    assert result.exit_code == 1
    assert "cannot read" in result.output
    assert "Permission denied" in result.output


def test_a_directory_is_printed_without_its_indexes_unless_asked(data: Path) -> None:
    names = run("dump", data).output
    assert "00000000000000000036.index" not in names
    for name in ("meta.properties", "recovery-point-offset-checkpoint", "36.txnindex", "36.log"):
        assert f"{name}\n" in names

    assert "00000000000000000036.index" in run("dump", "--indexes", data / PARTITION).output


def test_printing_fails_where_something_is_damaged(data: Path) -> None:
    path = segment_file(data, 0, ".log")
    assert run("dump", "--json", path).exit_code == 0
    flip(path, 200)

    result = run("dump", "--json", path)

    assert result.exit_code == 1
    assert json.loads(result.output.splitlines()[1])["bad"] == "CRC mismatch"


def test_nothing_is_changed(data: Path) -> None:
    flip(segment_file(data, 0, ".index"), 3)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}

    run("verify", data)
    run("dump", "--records", "--indexes", data)

    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_after_a_second() -> None:
    seconds = iter([0.0, 0.5, 1.5, 2.0])
    terminal = Terminal()
    line = ProgressLine(terminal, lambda: next(seconds))

    line.advance(Path("a.log"), 100_000_000)
    line.clear()
    assert terminal.getvalue() == ""
    line.advance(Path("a.log"), 200_000_000)
    line.clear()

    assert terminal.getvalue() == "\r\x1b[K300 MB checked, 200 MB/s: a.log\r\x1b[K"


def test_without_a_terminal_there_is_no_progress() -> None:
    seconds = iter([0.0, 5.0])
    stream = io.StringIO()

    ProgressLine(stream, lambda: next(seconds)).advance(Path("a.log"), 1)

    assert stream.getvalue() == ""
