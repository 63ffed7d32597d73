"""What of `PykbrokerContainer` needs no Docker; `compat/containers` runs the rest."""

import subprocess
from pathlib import Path

import pytest

from pykbroker.config.environment import read_environment
from pykbroker.testing import containers


def test_the_published_address_appears_at_once_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "advertised.listeners"
    monkeypatch.setattr(containers, "_ADDRESS_FILE", str(file))

    subprocess.run(["sh", "-c", containers.publish_command("$(id):32768")], check=True)

    assert file.read_text() == "PUBLISHED://$(id):32768\n"
    assert list(tmp_path.iterdir()) == [file]


def test_the_listeners_are_what_the_published_address_needs() -> None:
    read = read_environment({"KAFKA_LISTENERS": containers.LISTENERS})

    assert f"PUBLISHED://:{containers.PUBLISHED_PORT}" in read.settings["listeners"].split(",")
