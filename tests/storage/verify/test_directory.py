from pathlib import Path

import pytest

from pykbroker.storage.verify.directory import DirectoryFacts
from pykbroker.storage.verify.findings import Severity, Surroundings
from tests.harness.damage import a_data_directory, verdict_on


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return a_data_directory(tmp_path / "data")


CHECKPOINTS = (
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
)


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("text", [b"", b"1\n0\n", b"0\n2\norders 0 1\n", b"0\n1\norders 0 -5\n"])
def test_a_damaged_checkpoint_is_found(data: Path, name: str, text: bytes) -> None:
    (data / name).write_bytes(text)

    assert {each.path for each in verdict_on(data).damage} == {data / name}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_offset_beyond_the_log_is_found(data: Path, name: str) -> None:
    (data / name).write_bytes(b"0\n1\norders 0 76\n")

    (damage,) = verdict_on(data).damage

    assert (damage.path, damage.offset) == (data / name, 76)
    assert damage.text == "orders 0 is at offset 76, but the log ends at 75"


def test_after_an_unclean_stop_only_a_recovery_point_beyond_the_log_is_damage(data: Path) -> None:
    (data / ".kafka_cleanshutdown").unlink()
    for name in CHECKPOINTS[1:]:
        (data / name).write_bytes(b"0\n1\norders 0 76\n")
    assert {each.severity for each in verdict_on(data).findings} == {Severity.WARNING}

    (data / CHECKPOINTS[0]).write_bytes(b"0\n1\norders 0 76\n")
    assert [each.path.name for each in verdict_on(data).damage] == [CHECKPOINTS[0]]


def test_checkpoints_of_partitions_that_are_gone_are_a_warning(data: Path) -> None:
    (data / CHECKPOINTS[2]).write_bytes(b"0\n2\norders 0 75\ngone 3 1\n")

    (finding,) = verdict_on(data).findings

    assert finding.severity is Severity.WARNING
    assert finding.text == "gone 3 has no directory: was the topic deleted?"


@pytest.mark.parametrize("text", [b"nonsense", b"version=1\n", b"\xff"])
def test_damaged_properties_are_found(data: Path, text: bytes) -> None:
    (data / "meta.properties").write_bytes(text)

    assert [each.path.name for each in verdict_on(data).damage] == ["meta.properties"]


def test_partitions_that_are_being_deleted_are_left_out(data: Path) -> None:
    (data / f"gone-0.{'0' * 32}-delete").mkdir()
    (data / "file-1").touch()

    assert [each.path.name for each in verdict_on(data).summaries] == ["orders-0"]


def test_nothing_is_known_of_a_directory_of_another_name(data: Path) -> None:
    assert DirectoryFacts(data).about(None) == Surroundings()
    assert DirectoryFacts(data.parent).about(None) == Surroundings()
