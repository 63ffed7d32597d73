"""A whole broker in a thread of this process, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pykbroker.config.broker import BrokerConfig
from pykbroker.server import Server

START_SECONDS = 10


@contextmanager
def a_running_server(directory: Path, **settings: str) -> Iterator[str]:
    """Give `host:port`; settings carry `_` for `.` in their names."""
    chosen = {
        "log.dirs": str(directory),
        "listeners": "PLAINTEXT://127.0.0.1:0",
        "pykbroker.fsync": "never",
        "offsets.topic.num.partitions": "2",
        **{name.replace("_", "."): value for name, value in settings.items()},
    }
    server = Server(BrokerConfig.from_settings(chosen))
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        await server.start()
        try:
            ready.set()
            await stopping.wait()
        finally:
            await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the server has not started"
        yield str(server.endpoints[0])
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(START_SECONDS)
        loop.close()
