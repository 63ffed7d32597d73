from pathlib import Path

import pytest

from pykbroker.storage.verify.findings import Finding
from pykbroker.storage.verify.small_files import is_small_file, verify_small_file
from tests.harness.damage import PARTITION, a_data_directory

FILES = [
    "recovery-point-offset-checkpoint",
    "meta.properties",
    f"{PARTITION}/leader-epoch-checkpoint",
    f"{PARTITION}/partition.metadata",
    f"{PARTITION}/00000000000000000036.snapshot",
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_of_its_form_or_not(tmp_path: Path, name: str) -> None:
    path = a_data_directory(tmp_path / "data") / name
    findings: list[Finding] = []
    assert is_small_file(path)

    verify_small_file(path, findings.append)
    assert findings == []

    path.write_bytes(b"neither this nor that")
    verify_small_file(path, findings.append)
    assert [each.path for each in findings] == [path]


@pytest.mark.parametrize("name", ["00000000000000000036.log", "notes.txt", ".lock"])
def test_other_files_are_none_of_them(name: str) -> None:
    assert not is_small_file(Path(name))
