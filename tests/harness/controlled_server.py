"""A broker with a control interface, in a thread, and what asks that interface."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pykbroker.config.broker import BrokerConfig
from pykbroker.control.server import ControlledServer
from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.settings import broker_settings

PATIENCE_S = 10


class ControlClient:
    """Asks the control interface of a server."""

    def __init__(self, server: ControlledServer) -> None:
        self.server = server

    @property
    def url(self) -> str:
        return f"http://{self.server.control}"

    @property
    def bootstrap_servers(self) -> str:
        return str(self.server.endpoints[0])

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """Return the status and what was answered; a header's name has `_` for `-`."""
        assert self.server.control is not None
        connection = http.client.HTTPConnection(str(self.server.control), timeout=PATIENCE_S)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, raw, sent)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        return response.status, json.loads(answer) if answer else None


@contextmanager
def a_controlled_server(directory: Path, **settings: str) -> Iterator[ControlClient]:
    """Run a server; settings carry `_` for `.` in their names."""
    servers: list[ControlledServer] = []

    def make(config: BrokerConfig) -> ControlledServer:
        servers.append(ControlledServer(config, "127.0.0.1", 0))
        return servers[0]

    chosen = {name.replace("_", "."): value for name, value in settings.items()}
    thread = ServerThread(BrokerLog(), make)
    thread.start(broker_settings(chosen, directory, 0), PATIENCE_S)
    try:
        yield ControlClient(servers[0])
    finally:
        thread.stop()
