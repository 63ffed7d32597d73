import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykbroker.testing.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    home.open()
    yield home
    home.close()


def listener_at(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


@pytest.mark.skipif(sys.platform != "linux", reason="no port is reserved elsewhere")
def test_the_port_is_nobody_elses(home: Home) -> None:
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", home.port))

    with listener_at(home.port) as listener:
        assert listener.getsockname()[1] == home.port


def test_a_snapshot_brings_the_data_back(home: Home) -> None:
    (home.data / "t-0").mkdir()
    (home.data / "t-0" / "log").write_text("one")
    snapshot = home.save()
    (home.data / "t-0" / "log").write_text("two")
    (home.data / "more").touch()

    for _ in range(2):
        home.restore(snapshot)
        assert [path.name for path in home.data.iterdir()] == ["t-0"]
        assert (home.data / "t-0" / "log").read_text() == "one"
        (home.data / "t-0" / "log").write_text("three")


def test_a_snapshot_that_is_gone_changes_nothing(home: Home) -> None:
    snapshot = home.save()
    snapshot.discard()
    (home.data / "kept").touch()

    with pytest.raises(FileNotFoundError, match="is no more"):
        home.restore(snapshot)

    assert (home.data / "kept").exists()


def test_nothing_is_left_of_a_closed_home(home: Home) -> None:
    top: Path = home.data.parent
    snapshot = home.save()

    home.close()
    home.close()

    assert not top.exists()
    assert not snapshot.path.exists()
    assert not home.is_open
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = home.data


def test_a_chosen_port_stays_the_chosen_one() -> None:
    with listener_at(0) as free:
        port = free.getsockname()[1]
    home = Home(port)
    home.open()
    home.close()
    assert home.port == port
