"""One client's connection: bytes in, whole frames to dispatch, answers out, strictly in order.

One request is worked on at a time, as in Kafka: while an answer is awaited (a parked Fetch, a
JoinGroup) the socket is read no further than to what comes next, so a client that pipelines is
held back by TCP and nothing queues up here. The next request is started only when the previous
answer has left for the kernel; a client that does not read its answers therefore holds one answer's
memory and no more, and the memory lent by `response_buffer` is free again whenever a handler asks
for it. Only small answers wait: for the next one if its request is there already, so that one
system call sends them all, and where several connections are answered in one turn of the event
loop, for its end.

Produce requests whose batches are appended, and that wait for nothing but the disk, are done as far
as the next Produce request is concerned. It is started meanwhile, so that one fsync answers both;
a producer with acks=all that keeps several requests open would else pay one for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pykbroker.answer_writer import SENDS_FILES, AnswerRound, Part, write_answer
from pykbroker.busy_poll import BusyPoll
from pykbroker.dispatch import Dispatcher
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.framing import (
    INITIAL_BUFFER_BYTES,
    FrameReader,
    describe_foreign_protocol,
)
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import CloseConnection, Deferred, WhenDurable
from pykbroker.request_memory import RequestMemory

if TYPE_CHECKING:
    from pykbroker.protocol.produce_layout import ProduceLayout

log = logging.getLogger(__name__)

# Answers up to this size are built in memory that the connection keeps; a larger one gets memory of
# its own, which is freed with it. Fetches of one librdkafka or Java consumer fit.
KEPT_RESPONSE_BYTES: Final = 2 * 1024 * 1024
MIN_RESPONSE_BUFFER_BYTES: Final = 64 * 1024
# Of requests that a client pipelines, so many are answered before the others have their turn.
MAX_REQUESTS_PER_TURN: Final = 32
# A larger request or answer takes longer than a wake-up, which need not be avoided then.
SMALL_BYTES: Final = 8 * 1024
# Of requests that wait for the disk, so many may be open; clients have 5 open, or very many.
MAX_UNANSWERED: Final = 64

# What stands in the queue of answers: the answer, what brings it, or why there is none.
Unanswered = (
    list[Buffer]
    | Deferred[list[Buffer]]
    | asyncio.Future[list[Buffer] | None]
    | ProtocolError
    | CloseConnection
)


class ConnectionOwner(Protocol):
    """The server, as its connections see it."""

    def connection_opened(self, connection: Connection) -> str | None:
        """Register a connection; return why it is refused, which is logged, or None."""

    def connection_closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def count_bad_input(self) -> None:
        """Count a connection that is closed for what it sent."""

    request_memory: RequestMemory
    busy_poll: BusyPoll
    answer_round: AnswerRound
    # Of answers that wait until their clients read on.
    unsent_bytes: int

    @property
    def max_response_bytes(self) -> int:
        """How large an answer should be at most at the moment."""


class Connection(asyncio.BufferedProtocol):
    """The protocol object of one accepted socket; also the `ConnectionInfo` of its requests."""

    def __init__(
        self,
        owner: ConnectionOwner,
        dispatcher: Dispatcher,
        listener_name: str,
        max_frame_bytes: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.peer_host = ""
        self.peer_port = 0
        self.local_host = ""
        self.local_port = 0
        self.listener_name = listener_name
        self.software_name = ""
        self.software_version = ""
        self.produce_layout: ProduceLayout | None = None
        self.last_active = loop.time()

        self._owner = owner
        self._busy_poll = owner.busy_poll
        self._answer_round = owner.answer_round
        self._dispatcher = dispatcher
        self._loop = loop
        self._frames = FrameReader(max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._response_memory = bytearray()
        # Answers under way, in order, when the first of them could not be given at once.
        self._unanswered: deque[Unanswered] = deque()
        self._is_write_paused = False
        self._is_draining = False
        # Of a frame that needs more than the memory that every connection has.
        self._reserved_bytes = 0
        self._unsent_bytes = 0
        self._waits_for_memory = False
        self._waits_for_turn = False
        self._requests = 0
        self._answer_bytes = 0  # of the last answer
        self._unwritten: list[Part] = []

    # -- asyncio.BufferedProtocol ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the server, which may refuse."""
        # uvloop's transports have asyncio's interface but not its base class.
        self._transport = transport = cast(asyncio.Transport, transport)
        self.peer_host, self.peer_port = _host_and_port(transport.get_extra_info("peername"))
        self.local_host, self.local_port = _host_and_port(transport.get_extra_info("sockname"))
        # "Paused" then means: not everything has gone to the kernel.
        transport.set_write_buffer_limits(high=0)
        if self._owner.connection_opened(self) is not None:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; requests in progress, which may change state, run to their end."""
        self._owner.connection_closed(self)
        self._release_memory()
        self._set_unsent(0)
        self._unwritten.clear()
        self._transport = None
        log.debug("connection closed peer=%s requests=%d", self.peer, self._requests)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._frames.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that arrived and answer what is complete."""
        self._busy_poll.work_begins()
        self._frames.received(nbytes)
        self.last_active = self._loop.time()
        requests = self._requests
        self._process()
        self._busy_poll.work_ends(
            self._loop,
            is_single_request=self._requests == requests + 1
            and nbytes <= SMALL_BYTES
            and (self.is_waiting or self._answer_bytes <= SMALL_BYTES),
        )

    def eof_received(self) -> bool:
        """The client will send nothing more: close, once it has its answers."""
        self._flush()
        if self._unanswered:
            self.drain()
        return bool(self._unanswered)

    def pause_writing(self) -> None:
        """The kernel does not take the whole answer: the client is slow to read."""
        self._is_write_paused = True
        if self._transport is not None:
            self._set_unsent(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The previous answer is gone: go on with what was sent meanwhile."""
        self._is_write_paused = False
        self._set_unsent(0)
        self.last_active = self._loop.time()
        self._flush()
        if self._is_draining:
            self._close_when_written()
        elif not self.is_waiting and not self._waits_for_turn and not self._is_write_paused:
            self._resume()

    # -- for the server and the handlers -----------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's address, for log lines."""
        return f"{self.peer_host}:{self.peer_port}"

    @property
    def is_waiting(self) -> bool:
        """Whether the client waits for an answer that takes time."""
        return bool(self._unanswered)

    @property
    def is_reading(self) -> bool:
        """Whether the client's next request is taken."""
        return not (
            self._is_write_paused
            or self._waits_for_memory
            or self._waits_for_turn
            or (self._unanswered and self._must_wait())
        )

    @property
    def sends_files(self) -> bool:
        """Whether an answer may have parts in files; see `ConnectionInfo`."""
        return SENDS_FILES

    @property
    def max_response_bytes(self) -> int:
        """How large an answer should be at most; see `ConnectionInfo`."""
        return self._owner.max_response_bytes

    def response_buffer(self, size_bytes: int) -> memoryview:
        """Lend memory for the current answer; see `ConnectionInfo`."""
        if size_bytes > KEPT_RESPONSE_BYTES:
            return memoryview(bytearray(size_bytes))
        if len(self._response_memory) < size_bytes:
            kept_bytes = max(size_bytes, 2 * len(self._response_memory), MIN_RESPONSE_BUFFER_BYTES)
            self._response_memory = bytearray(min(kept_bytes, KEPT_RESPONSE_BYTES))
        return memoryview(self._response_memory)[:size_bytes]

    def drain(self) -> None:
        """Close as soon as the requests in progress, if any, are answered."""
        self._is_draining = True
        self._close_when_written()

    def close(self) -> None:
        """Close after what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- the loop over frames ----------------------------------------------------------------

    def _process(self) -> None:
        """Answer whole frames until one has to wait, or there are no more."""
        try:
            self._answer_frames()
        except (ProtocolError, CloseConnection) as reason:
            self._flush()
            if self._unanswered:
                self._unanswered.append(reason)
                self._stop_reading()
            else:
                self._close_for(reason)
        else:
            if self._unwritten and not self._answer_round.holds(self, self._write_held, self._loop):
                self._flush()

    def _answer_frames(self) -> None:
        transport = self._transport
        last_of_turn = self._requests + MAX_REQUESTS_PER_TURN
        while transport is not None and not transport.is_closing():
            if self._requests >= last_of_turn:
                self._wait_for_turn(transport)
                return
            if self._unanswered and self._must_wait():
                # Who waits for an answer seldom sends more, and then it is early enough to stop
                # reading; but what is read may take the place of a frame that is still needed.
                if self._frames.buffered_bytes or not isinstance(self._unanswered[-1], Deferred):
                    transport.pause_reading()
                return
            frame = self._frames.next_frame()
            if frame is None:
                self._ensure_memory(transport)
                return
            self._requests += 1
            answer = self._dispatcher.dispatch(frame, self)
            if self._unanswered or not (answer is None or isinstance(answer, list)):
                self._answer_in_turn(answer)
                continue
            self._release_memory()
            if answer is None:
                continue
            self._write(answer)
            if self._is_draining:
                self._flush()
                self._close_when_written()
            elif self._is_write_paused:
                return

    def _must_wait(self) -> bool:
        """Whether the next request must not be started before those under way are answered."""
        return (
            not isinstance(self._unanswered[-1], WhenDurable | list)
            or len(self._unanswered) >= MAX_UNANSWERED
            or self._is_draining
            or self._frames.next_api_key not in (None, ApiKey.PRODUCE)
        )

    def _answer_in_turn(
        self,
        answer: list[Buffer] | Deferred[list[Buffer]] | Awaitable[list[Buffer] | None] | None,
    ) -> None:
        """Give an answer when it is there, and those before it are given."""
        if answer is None or isinstance(answer, WhenDurable | list):
            self._release_memory()
        if answer is None:
            return
        if not isinstance(answer, list | Deferred):
            answer = asyncio.ensure_future(answer, loop=self._loop)
        self._unanswered.append(answer)
        if len(self._unanswered) == 1:
            future = _next_wait(answer)
            if future is None:
                self._loop.call_soon(self._give_answers)
            else:
                future.add_done_callback(self._give_answers)

    def _wait_for_turn(self, transport: asyncio.Transport) -> None:
        """Let the other connections go first."""
        self._waits_for_turn = True
        transport.pause_reading()
        self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._waits_for_turn = False
        if not self._is_write_paused:
            self._resume()

    def _ensure_memory(self, transport: asyncio.Transport) -> None:
        """Reserve memory for the frame that has begun to arrive, or stop reading until there is."""
        size_bytes = self._frames.awaited_frame_bytes
        if size_bytes <= INITIAL_BUFFER_BYTES or self._reserved_bytes:
            return
        if self._owner.request_memory.reserve(size_bytes, self._on_memory):
            self._reserved_bytes = size_bytes
        else:
            self._waits_for_memory = True
            transport.pause_reading()

    def _on_memory(self) -> None:
        self._waits_for_memory = False
        if self._transport is not None:
            self._resume()

    def _release_memory(self) -> None:
        if self._reserved_bytes:
            size_bytes, self._reserved_bytes = self._reserved_bytes, 0
            self._owner.request_memory.release(size_bytes)

    def _set_unsent(self, unsent_bytes: int) -> None:
        self._owner.unsent_bytes += unsent_bytes - self._unsent_bytes
        self._unsent_bytes = unsent_bytes

    def _give_answers(self, _: object = None) -> None:
        """Send the answers that are there, and wait for the next one, or go on."""
        while self._unanswered:
            answer = self._unanswered[0]
            future = _next_wait(answer)
            if future is not None:
                self._flush()
                future.add_done_callback(self._give_answers)
                return
            try:
                buffers = _given(answer)
            except (ProtocolError, CloseConnection) as reason:
                # Nothing was started behind it.
                self._unanswered.clear()
                self._flush()
                self._close_for(reason)
                return
            self._unanswered.popleft()
            if not isinstance(answer, WhenDurable | list):
                self._release_memory()
            if buffers is not None:
                self._answer_bytes = sum(map(len, buffers))
                self._unwritten += buffers
        self.last_active = self._loop.time()
        may_be_held = self._answer_bytes <= SMALL_BYTES and not self._is_draining
        if not (may_be_held and self._answer_round.holds(self, self._write_held, self._loop)):
            self._flush()
        self._busy_poll.work_ends(self._loop, is_single_request=self._answer_bytes <= SMALL_BYTES)
        if self._is_draining:
            self._close_when_written()
        elif not self._is_write_paused:
            self._resume()

    def _resume(self) -> None:
        """Answer the frames that have arrived already, then read on."""
        if self._frames.buffered_bytes:
            self._process()
        transport = self._transport
        if transport is not None and not transport.is_closing() and self.is_reading:
            transport.resume_reading()

    def _stop_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _write(self, parts: list[Buffer]) -> None:
        """Write an answer, unless it is small and can be written together with others."""
        self._answer_bytes = sum(map(len, parts))
        self._unwritten += parts
        # Of several parts some may be in the memory that the next answer wants.
        if len(parts) > 1 or self._answer_bytes > SMALL_BYTES:
            self._flush()

    def _close_when_written(self) -> None:
        if not self._unanswered and not self._unwritten:
            self.close()

    def _write_held(self) -> None:
        self._flush()
        if self._is_draining:
            self._close_when_written()

    def _flush(self) -> None:
        """Write what is unwritten, if everything before it has gone to the kernel."""
        if not self._unwritten or self._is_write_paused:
            return
        parts, self._unwritten = self._unwritten, []
        if self._transport is not None:
            write_answer(self._transport, parts)
            if self._is_write_paused:
                self._transport.pause_reading()

    def _close_for(self, reason: ProtocolError | CloseConnection) -> None:
        if isinstance(reason, CloseConnection):
            log.info("connection closed by the broker peer=%s reason=%s", self.peer, reason)
        else:
            self._warn_of_bad_input(reason)
        self.close()

    def _warn_of_bad_input(self, reason: ProtocolError) -> None:
        self._owner.count_bad_input()
        foreign = None
        if self._requests <= 1:
            foreign = describe_foreign_protocol(self._frames.first_bytes)
        if foreign is not None:
            log.warning("connection closed peer=%s reason=%s", self.peer, f"this is {foreign}")
        else:
            log.warning(
                "connection closed peer=%s client=%s reason=%s",
                self.peer,
                self.software_name or "unknown",
                reason,
            )


def _next_wait(answer: Unanswered) -> asyncio.Future[Any] | None:
    """What an answer still waits for."""
    if isinstance(answer, Deferred):
        return answer.next_wait()
    return answer if isinstance(answer, asyncio.Future) and not answer.done() else None


def _given(answer: Unanswered) -> list[Buffer] | None:
    """Return an answer that waits for nothing, or raise why there is none."""
    if isinstance(answer, list):
        return answer
    if isinstance(answer, ProtocolError | CloseConnection):
        raise answer
    try:
        return answer.take() if isinstance(answer, Deferred) else answer.result()
    except asyncio.CancelledError as error:
        raise CloseConnection("the broker is stopping") from error


def _host_and_port(address: object) -> tuple[str, int]:
    """Take host and port from a socket address of either family."""
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return "", 0
