"""A proxy in front of a cluster: clients see its addresses, and it sees what they say.

Each broker that an answer names gets a listener of its own on a free port, and the answer has that
address instead, so that clients never learn another way.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pykbroker.dispatch import REQUEST_HEADER_START
from pykbroker.faults.matching import Match
from pykbroker.tap.conversation import Answer, Conversation, Topics, addresses

log = logging.getLogger(__name__)

SIZE_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 256 * 1024 * 1024

Address = tuple[str, int]
Tell = Callable[[dict[str, Any]], None]


class Proxy:
    """Listens for clients, and passes on what they and the brokers say.

    Args:
        upstream: A broker of the cluster.
        match: What is told.
        tell: Gets it, as JSON.
        last: Tell only so many of each connection, when it ends; None tells all at once.
    """

    def __init__(self, upstream: Address, match: Match, tell: Tell, last: int | None = None):
        self._upstream = upstream
        self._match = match
        self._tell = tell
        self._last = last
        self._topics = Topics()
        self._host = ""
        self._servers: dict[Address, asyncio.Server] = {}
        self._listening = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> Address:
        """Listen, and return where.

        Raises:
            OSError: The address is not to be had.
        """
        self._host = host
        return host, await self._listen(self._upstream, port)

    async def stop(self) -> None:
        """Close all connections; what was kept of them is told."""
        for server in self._servers.values():
            server.close()
        for connection in list(self._connections):
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _listen(self, upstream: Address, port: int = 0) -> int:
        """Return the port that stands for a broker."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(upstream, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        async with self._listening:
            if upstream not in self._servers:
                server = await asyncio.start_server(accept, self._host, port)
                self._servers[upstream] = server
        found: int = self._servers[upstream].sockets[0].getsockname()[1]
        return found

    async def _serve(
        self, upstream: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        kept: deque[dict[str, Any]] = deque(maxlen=self._last)
        tell = self._tell if self._last is None else kept.append
        conversation = Conversation(f"{host}:{port}", self._topics, self._match, tell)
        try:
            try:
                up_reader, up_writer = await asyncio.open_connection(*upstream)
            except OSError as error:
                log.warning("upstream not reached address=%s:%d error=%s", *upstream, error)
                return
            passing = [
                asyncio.ensure_future(self._requests(conversation, reader, up_writer)),
                asyncio.ensure_future(self._answers(conversation, up_reader, writer)),
            ]
            try:
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in passing:
                    each.cancel()
                await asyncio.gather(*passing, return_exceptions=True)
                up_writer.close()
        finally:
            writer.close()
            conversation.ended()
            for told in kept:
                self._tell(told)

    async def _requests(
        self,
        conversation: Conversation,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(ConnectionError, EOFError):
            while True:
                frame = await _frame(reader, REQUEST_HEADER_START.size)
                conversation.asked(frame)
                writer.write(len(frame).to_bytes(SIZE_BYTES, "big"))
                writer.write(frame)
                await writer.drain()

    async def _answers(
        self,
        conversation: Conversation,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host = writer.get_extra_info("sockname")[0]
        with suppress(ConnectionError, EOFError):
            while True:
                frame = await _frame(reader, SIZE_BYTES)
                answer = conversation.answered(frame)
                is_changed = answer is not None and await self._readdress(answer, host)
                parts = answer.encoded() if answer is not None and is_changed else [frame]
                writer.write(sum(map(len, parts)).to_bytes(SIZE_BYTES, "big"))
                for part in parts:
                    writer.write(part)
                await writer.drain()

    async def _readdress(self, answer: Answer, host: str) -> bool:
        """Have the proxy's addresses in place of the brokers'; returns whether there are any."""
        brokers = [broker for broker in addresses(answer.message) if broker.port > 0]
        for broker in brokers:
            port = await self._listen((broker.host, broker.port))
            broker.host, broker.port = host, port
        return bool(brokers)


async def _frame(reader: asyncio.StreamReader, min_bytes: int) -> memoryview:
    """Read what is said next, without its size.

    Raises:
        EOFError: There is no more, or it is not Kafka's protocol.
    """
    size = int.from_bytes(await reader.readexactly(SIZE_BYTES), "big", signed=True)
    if not min_bytes <= size <= MAX_FRAME_BYTES:
        raise EOFError(f"a frame of {size} bytes")
    return memoryview(await reader.readexactly(size))
