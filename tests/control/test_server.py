import socket
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `control` is not installed")

from pykbroker.config.broker import BrokerConfig
from pykbroker.control.server import ControlledServer
from pykbroker.server import ListenError
from tests.harness.controlled_server import a_controlled_server
from tests.harness.loop import run
from tests.harness.servers import a_config


def test_it_listens_while_the_server_runs(tmp_path: Path) -> None:
    for _ in range(2):
        with a_controlled_server(tmp_path) as control:
            with urllib.request.urlopen(f"{control.url}/rules") as answer:
                assert answer.read() == b"[]"
            address = control.server.control
        assert address is not None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.com"])
def test_it_listens_on_loopback_addresses_only(host: str) -> None:
    with pytest.raises(ListenError, match="loopback"):
        ControlledServer(BrokerConfig.from_settings({}), host, 0)


def test_an_address_may_be_taken(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = ControlledServer(a_config(tmp_path), "127.0.0.1", port)
            with pytest.raises(ListenError, match=f"--control 127.0.0.1:{port}: "):
                await server.start()
            assert server.control is None

    run(main())
