"""The listeners: bind, accept within limits, watch for idle clients, drain and stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

from pykbroker.answer_writer import AnswerRound
from pykbroker.broker import Broker
from pykbroker.busy_poll import BusyPoll
from pykbroker.clock import Clock, SystemClock
from pykbroker.config.broker import BrokerConfig
from pykbroker.config.listeners import Listener
from pykbroker.connection import Connection
from pykbroker.dispatch import Dispatcher
from pykbroker.handlers import WARM_UP_ORDER
from pykbroker.log_limit import RepeatLimit
from pykbroker.metrics import ConnectionMetrics
from pykbroker.request_memory import RequestMemory
from pykbroker.storage.file_layer import FileLayer, descriptor_limit

log = logging.getLogger(__name__)

# What a stop waits for answers in progress before it closes their connections.
DRAIN_TIMEOUT_S: Final = 3.0
SMALL_RESPONSE_BYTES: Final = 64 * 1024
UNLIMITED_RESPONSE_BYTES: Final = 2**31 - 1
IDLE_CHECKS_PER_TIMEOUT: Final = 10
MAX_IDLE_CHECK_INTERVAL_S: Final = 30.0
# Each import blocks for some milliseconds; the pause lets requests that arrived go first.
WARM_UP_PAUSE_S: Final = 0.005
# For what is neither a connection nor the log of a partition: metadata, locks, checkpoints.
SPARE_DESCRIPTORS: Final = 32


class ListenError(Exception):
    """A listener cannot be opened; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that accepts connections."""

    listener_name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Server:
    """A broker and the sockets in front of it."""

    def __init__(
        self, config: BrokerConfig, clock: Clock | None = None, files: FileLayer | None = None
    ) -> None:
        # How long a client may be kept waiting is a matter of its own time.
        self.broker = Broker(config, clock or SystemClock(), SystemClock(), files)
        self.dispatcher = Dispatcher(self.broker)
        self.metrics = ConnectionMetrics()
        self.request_memory = RequestMemory(lambda: self.broker.config.queued_max_request_bytes)
        self.busy_poll = BusyPoll(
            config.pykbroker_busy_poll_us,
            perf_counter_ns,
            lambda: self.broker.durability.is_flushing,
        )
        self.answer_round = AnswerRound()
        self.unsent_bytes = 0
        self.endpoints: list[Endpoint] = []
        self._listening: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._connections_by_host: Counter[str] = Counter()
        self._max_connections = _descriptors_for_connections()
        self._refusals = RepeatLimit()
        self._all_closed = asyncio.Event()
        self._idle_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open the data directories, then the listeners.

        Raises:
            ListenError: An address is taken or not ours.
            DataDirectoryError: A data directory is in use, not writable or damaged.
        """
        try:
            await self.broker.start()
            for listener in self.broker.config.listeners:
                await self._listen(listener)
        except BaseException:
            await self.stop()
            raise
        self.broker.listening(
            {endpoint.listener_name: endpoint.port for endpoint in self.endpoints}
        )
        self._check_idle_later()

    async def stop(self) -> None:
        """Stop accepting, answer what is in flight, flush and close."""
        for listening in self._listening:
            listening.close()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self.broker.drain()
        self._all_closed.clear()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            try:
                await asyncio.wait_for(self._all_closed.wait(), DRAIN_TIMEOUT_S)
            except TimeoutError:
                log.warning("connections aborted count=%d", len(self._connections))
                for connection in list(self._connections):
                    connection.abort()
        await self.broker.stop()
        self._listening.clear()
        self.endpoints.clear()

    def suspend(self) -> None:
        """Refuse connections and drop those that there are, while all else goes on."""
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        for connection in list(self._connections):
            connection.abort()

    async def resume(self) -> None:
        """Accept connections again, on the same ports.

        Raises:
            ListenError: Somebody else has taken one meanwhile.
        """
        ports = {endpoint.listener_name: endpoint.port for endpoint in self.endpoints}
        self.endpoints.clear()
        for listener in self.broker.config.listeners:
            await self._listen(listener._replace(port=ports[listener.name]))

    async def warm_up(self, stopping: asyncio.Event) -> None:
        """Import what the first requests need before they come, unless it is stopping."""
        for key in WARM_UP_ORDER:
            if not stopping.is_set():
                self.dispatcher.preload(key)
                await asyncio.sleep(WARM_UP_PAUSE_S)

    # -- ConnectionOwner ---------------------------------------------------------------------

    def connection_opened(self, connection: Connection) -> str | None:
        """Register a connection; return why it is refused, or None."""
        config = self.broker.config
        # Registered even when refused: it is closed in the same way as any other.
        self._connections.add(connection)
        self._connections_by_host[connection.peer_host] += 1
        self.metrics.accepted += 1
        per_host = config.max_connections_per_ip_overrides.get(
            connection.peer_host, config.max_connections_per_ip
        )
        refusal = None
        if self._connections_by_host[connection.peer_host] > per_host:
            refusal = f"max.connections.per.ip={per_host}"
        elif len(self._connections) > config.max_connections:
            refusal = f"max.connections={config.max_connections}"
        elif len(self._connections) > self._max_connections:
            refusal = f"file descriptors for {self._max_connections} connections (ulimit -n)"
        if refusal is not None:
            self.metrics.refused += 1
            times = self._refusals.count(refusal, self.broker.clock.monotonic_ms())
            if times:
                log.warning(
                    "connection refused peer=%s reason=%s times=%d", connection.peer, refusal, times
                )
        return refusal

    def connection_closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        host = connection.peer_host
        self._connections_by_host[host] -= 1
        if self._connections_by_host[host] <= 0:
            del self._connections_by_host[host]
        if not self._connections:
            self._all_closed.set()

    @property
    def max_response_bytes(self) -> int:
        """How large an answer should be at most: small, while many clients do not read theirs."""
        if self.unsent_bytes > self.broker.config.pykbroker_queued_max_response_bytes:
            return SMALL_RESPONSE_BYTES
        return UNLIMITED_RESPONSE_BYTES

    def count_bad_input(self) -> None:
        """Count a connection that is closed for what it sent."""
        self.metrics.closed_for_bad_input += 1

    # -- private -----------------------------------------------------------------------------

    async def _listen(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()

        def accept() -> Connection:
            max_frame_bytes = self.broker.config.socket_request_max_bytes
            return Connection(self, self.dispatcher, listener.name, max_frame_bytes, loop)

        try:
            listening = await loop.create_server(
                accept,
                listener.host or None,
                listener.port,
                backlog=self.broker.config.socket_listen_backlog_size,
            )
        except OSError as error:
            raise ListenError(_explain_listen_failure(listener, error)) from error
        self._listening.append(listening)
        for bound in listening.sockets:
            host, port = bound.getsockname()[:2]
            self.endpoints.append(Endpoint(listener.name, host, port))

    def _check_idle_later(self) -> None:
        idle_ms = self.broker.config.connections_max_idle_ms
        if idle_ms <= 0:
            return
        interval_s = min(idle_ms / 1000 / IDLE_CHECKS_PER_TIMEOUT, MAX_IDLE_CHECK_INTERVAL_S)
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(interval_s, self._close_idle)

    def _close_idle(self) -> None:
        idle_s = self.broker.config.connections_max_idle_ms / 1000
        oldest = asyncio.get_running_loop().time() - idle_s
        for connection in list(self._connections):
            # As in Kafka, also one that waits for an answer that long, or does not read it.
            if connection.last_active < oldest:
                log.info("idle connection closed peer=%s", connection.peer)
                self.metrics.closed_idle += 1
                connection.abort()
        self._check_idle_later()


def run(
    server: Server,
    on_ready: Callable[[Server], None],
    prepare: Callable[[Server], Awaitable[None]] | None = None,
) -> None:
    """Run a server until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        server: Not started yet.
        on_ready: Called once, when connections are accepted.
        prepare: Awaited before that; the server is stopped if it fails.

    Raises:
        ListenError, DataDirectoryError: The server cannot start.
        Exception: What `prepare` raises.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(server, on_ready, prepare))


async def _serve(
    server: Server,
    on_ready: Callable[[Server], None],
    prepare: Callable[[Server], Awaitable[None]] | None,
) -> None:
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if asked_to_stop.is_set():
            log.warning("stopped at once signal=%s", number.name)
            # The default action, so that the parent sees that a signal ended us.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        log.info("stopping signal=%s", number.name)
        asked_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await server.start()
    if prepare is not None:
        try:
            await prepare(server)
        except BaseException:
            await server.stop()
            raise
    on_ready(server)
    await server.warm_up(asked_to_stop)
    # What lives since the start lives for ever: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    await asked_to_stop.wait()
    await server.stop()
    log.info("stopped")


def _descriptors_for_connections() -> int:
    """Return how many connections there may be so that logs can always be opened."""
    limit = descriptor_limit()
    return sys.maxsize if limit is None else max(limit - limit // 2 - SPARE_DESCRIPTORS, 1)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop that serves best; None for asyncio's own."""
    if sys.platform == "win32":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _explain_listen_failure(listener: Listener, error: OSError) -> str:
    address = f"{listener.host or '*'}:{listener.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is in use by another process; stop it, or choose another port with "
            "--listen HOST:PORT (port 0 takes a free one)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is not an address of this machine; choose another with --listen"
    if error.errno == errno.EACCES:
        return f"no permission to listen on {address}; choose a port above 1023 with --listen"
    return f"cannot listen on {address}: {error.strerror or error}"
