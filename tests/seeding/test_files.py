import sys
from pathlib import Path

import pytest

from pykbroker.seeding.files import read_seed
from pykbroker.seeding.lines import Seed, SeedError, SeedTopic

ONE_TOPIC = Seed({"t": SeedTopic("t")})


def test_a_file_is_yaml_by_its_name(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    for name in ("seed.yaml", "seed.YML"):
        (tmp_path / name).write_text("topics: {t: }")
        assert read_seed(tmp_path / name) == ONE_TOPIC
    (tmp_path / "seed.jsonl").write_text('{"topic": "t"}')
    assert read_seed(tmp_path / "seed.jsonl") == ONE_TOPIC


def test_yaml_needs_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seed.yaml").write_text("topics: {t: }")
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "pykbroker.seeding.yaml_file", raising=False)
    with pytest.raises(SeedError, match=r"pip install 'pykbroker\[yaml\]'"):
        read_seed(tmp_path / "seed.yaml")


@pytest.mark.parametrize("name", ["seed.yaml", "seed.jsonl"])
def test_a_file_may_not_be_readable(tmp_path: Path, name: str) -> None:
    with pytest.raises(SeedError, match="No such file"):
        read_seed(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff")
    with pytest.raises(SeedError, match="utf-8"):
        read_seed(tmp_path / name)
