"""A broker in this process: a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from typing import Final

from pykbroker.config.broker import BrokerConfig
from pykbroker.server import Server, loop_factory
from pykbroker.testing.broker_log import BrokerLog
from pykbroker.testing.running import StartError

STOP_TIMEOUT_S: Final = 30.0
# The first request of a group would wait for its import.
COORDINATOR: Final = "pykbroker.coordinator.runtime.group_coordinator"

# Here and not at the first start, which would take longer by its import.
LOOP_FACTORY: Final = loop_factory()

MakeServer = Callable[[BrokerConfig], Server]


async def warm_up(server: Server, stopping: asyncio.Event) -> None:
    """Import what the first requests need; a part of it only when the broker stops meanwhile."""
    await server.warm_up(stopping)
    if not stopping.is_set():
        await asyncio.to_thread(import_module, COORDINATOR)


class ServerThread:
    """Runs a server in a thread.

    Args:
        log: Gets what the server logs.
        make_server: Makes a server of its settings; in the thread.
    """

    def __init__(self, log: BrokerLog, make_server: MakeServer = Server) -> None:
        self._log = log
        self._make_server = make_server
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the thread; None while no server runs in it."""
        return self._loop

    def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted.

        Raises:
            StartError: It is not ready in time.
            ConfigError: A setting is unknown or malformed.
            ListenError, DataDirectoryError: As the server says.
        """
        config = BrokerConfig.from_settings(settings)
        ready: Future[int] = Future()
        self._failure = None
        # A program that ends without `stop` must not wait for a broker that waits for clients.
        self._thread = threading.Thread(
            target=self._run, args=(config, ready), name="pykbroker", daemon=True
        )
        self._thread.start()
        try:
            return ready.result(timeout_s)
        except TimeoutError as error:
            self._ask_to_stop()
            raise StartError(f"the broker was not ready after {timeout_s} s") from error
        except BaseException:
            self._thread.join(STOP_TIMEOUT_S)
            self._thread = None
            raise

    def stop(self) -> None:
        """Stop the server and wait for the end of the thread.

        Raises:
            TimeoutError: It does not end.
            Exception: What went wrong in it since it was ready.
        """
        thread = self._thread
        if thread is None:
            return
        self._ask_to_stop()
        thread.join(STOP_TIMEOUT_S)
        if thread.is_alive():
            raise TimeoutError(f"the broker has not stopped in {STOP_TIMEOUT_S} s")
        self._thread = None
        if self._failure is not None:
            raise self._failure

    def kill(self) -> None:
        """Refuse: a thread cannot be killed."""
        raise RuntimeError("a broker in this process cannot be killed; use Broker(process=True)")

    def _ask_to_stop(self) -> None:
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # the loop is closed: the server has failed
                loop.call_soon_threadsafe(stopping.set)

    def _run(self, config: BrokerConfig, ready: Future[int]) -> None:
        with self._log.collecting(), self._log.of_this_context():
            try:
                with asyncio.Runner(loop_factory=LOOP_FACTORY) as runner:
                    runner.run(self._serve(config, ready))
            except BaseException as error:
                # Whoever waits must hear of it, whatever it is.
                if ready.done():
                    self._failure = error
                else:
                    ready.set_exception(error)
            finally:
                self._loop = self._stopping = None

    async def _serve(self, config: BrokerConfig, ready: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = stopping = asyncio.Event()
        server = self._make_server(config)
        await server.start()
        try:
            ready.set_result(server.endpoints[0].port)
            await warm_up(server, stopping)
            await stopping.wait()
        finally:
            await server.stop()
