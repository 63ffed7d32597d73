import socket
import threading
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `control` is not installed")

from pykbroker.client import Client
from pykbroker.control.client import ControlClient, ControlError
from tests.harness.controlled_server import a_controlled_server


def test_the_interface_is_asked(tmp_path: Path) -> None:
    with a_controlled_server(tmp_path) as control:
        assert control.server.control is not None
        client = ControlClient((control.server.control.host, control.server.control.port))
        rule = client.ask("POST", "/rules", {"delay_ms": 1})
        assert client.ask("GET", "/rules") == [rule]
        assert client.ask("DELETE", "/rules") is None
        with pytest.raises(ControlError, match="there is no rule 1") as refused:
            client.ask("GET", "/rules/1")
        assert refused.value.status == 404
        with client.lines("/exchanges") as lines:
            with Client(control.bootstrap_servers):
                pass
            assert b'"ApiVersions"' in next(lines)
            client.ask("DELETE", "/taps")
            assert list(lines)[1:] == []


def test_something_else_may_listen_there_or_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "127.0.0.1", listening.getsockname()[1]

        def answer() -> None:
            for said in (b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", b"what?\r\n"):
                accepted, _ = listening.accept()
                with accepted:
                    accepted.recv(10_000)
                    accepted.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        for reason in ("500 Broken", "the control interface 127.0.0.1:"):
            with pytest.raises(ControlError, match=reason):
                ControlClient(address).ask("GET", "/rules")
        thread.join()
    with pytest.raises(ControlError, match="refused"):
        ControlClient(address).ask("GET", "/rules")
