"""`AsyncBroker`: a broker for asyncio programs."""

import asyncio

from pykbroker.testing.base import START_TIMEOUT_S, BaseBroker
from pykbroker.testing.home import Snapshot
from pykbroker.testing.in_loop import AsyncRunning, OffLoop, ServerInLoop
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.settings import Settings


class AsyncBroker(BaseBroker):
    """What `async with Broker()` gives: the broker runs on the program's loop.

    It is that loop's: everything is to be awaited there. The methods are those of `Broker`.
    """

    def __init__(
        self, settings: Settings | None = None, *, port: int = 0, process: bool = False
    ) -> None:
        super().__init__(settings, port=port, process=process)
        self._running: AsyncRunning = (
            OffLoop(ServerProcess(self._log_file)) if process else ServerInLoop(self._broker_log)
        )

    async def start(self) -> None:
        """Return when connections are accepted; does nothing when it runs."""
        if self._is_running:
            return
        is_first = not self._home.is_open
        self._home.open()
        try:
            settings = self._settings_of_start()
            self._home.port = await self._running.start(settings, START_TIMEOUT_S)
        except BaseException:
            if is_first:
                self._home.close()
            raise
        self._is_running = True

    async def stop(self) -> None:
        """Stop it; the data and the port are kept for the next `start`."""
        self._is_running = False
        await self._running.stop()

    async def close(self) -> None:
        """Stop it and remove its data; a `start` then begins anew."""
        try:
            await self.stop()
        finally:
            await asyncio.to_thread(self._home.close)

    async def restart(self) -> None:
        """Stop it, and start it on the same data and port; also after `kill`."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """End its process with SIGKILL; for `Broker(process=True)` only."""
        await self._running.kill()
        self._is_running = False

    async def snapshot(self) -> Snapshot:
        """Keep the whole state; see `Broker.snapshot`."""
        await self.stop()
        try:
            return await asyncio.to_thread(self._home.save)
        finally:
            await self.start()

    async def restore(self, snapshot: Snapshot) -> None:
        """Go back to a state; see `Broker.restore`."""
        await self.stop()
        try:
            await asyncio.to_thread(self._home.restore, snapshot)
        finally:
            await self.start()
