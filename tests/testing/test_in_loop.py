import asyncio
from pathlib import Path

import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.keys import ConfigError
from pykbroker.server import ListenError, Server
from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.in_loop import OffLoop, ServerInLoop
from pykbroker.testing.in_thread import ServerThread
from pykbroker.testing.running import StartError
from pykbroker.testing.settings import broker_settings
from tests.harness.loop import run


def test_a_server_runs_on_the_loop_and_leaves_no_task(tmp_path: Path) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        log = BrokerLog()
        running = ServerInLoop(log)
        for _ in range(2):
            port = await running.start(broker_settings({}, tmp_path, 0), 10)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            await running.stop()
            await running.stop()
        assert asyncio.all_tasks() == before
        assert "connection closed peer=" in "\n".join(log.since(0))

    run(main())


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        running = ServerInLoop(BrokerLog())
        with pytest.raises(ConfigError):
            await running.start(broker_settings({"num.partition": 1}, tmp_path, 0), 10)
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with taken:
            port = taken.sockets[0].getsockname()[1]
            with pytest.raises(ListenError):
                await running.start(broker_settings({}, tmp_path, port), 10)
        await running.stop()

    run(main())


def test_a_start_has_its_limit(tmp_path: Path) -> None:
    class Slow(Server):
        async def start(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        running = ServerInLoop(BrokerLog(), Slow)
        with pytest.raises(StartError, match=r"not ready after 0\.01 s"):
            await running.start(broker_settings({}, tmp_path, 0), 0.01)

    run(main())


def test_what_blocks_runs_off_the_loop(tmp_path: Path) -> None:
    made = []

    def make(config: BrokerConfig) -> Server:
        made.append(config)
        return Server(config)

    async def main() -> None:
        running = OffLoop(ServerThread(BrokerLog(), make))
        await running.start(broker_settings({}, tmp_path, 0), 10)
        with pytest.raises(RuntimeError, match="process=True"):
            await running.kill()
        await running.stop()

    run(main())
    assert len(made) == 1
