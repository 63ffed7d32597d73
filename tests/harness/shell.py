"""A dispatcher whose handlers are given by the test, and frames for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, cast

from pykbroker.answer_writer import AnswerRound
from pykbroker.broker import Broker
from pykbroker.busy_poll import BusyPoll
from pykbroker.dispatch import Dispatcher
from pykbroker.handlers import APIS, LoadedApi
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.produce import ProduceRequest, ProduceResponse
from pykbroker.request_memory import RequestMemory


def heartbeat_error(
    request: HeartbeatRequest, code: ErrorCode, message: str | None = None
) -> HeartbeatResponse:
    return HeartbeatResponse(error_code=code)


def produce_error(
    request: ProduceRequest, code: ErrorCode, message: str | None = None
) -> ProduceResponse:
    return ProduceResponse()


def a_dispatcher(
    handle: Callable[[Any, HeartbeatRequest], Any],
    produce: Callable[[Any, ProduceRequest], Any] | None = None,
) -> Dispatcher:
    """Make a dispatcher that serves Heartbeat and Produce through functions."""
    dispatcher = Dispatcher(cast(Broker, None))
    loaded = LoadedApi(
        APIS[ApiKey.HEARTBEAT],
        HeartbeatRequest.decode,
        handle,
        heartbeat_error,
        HeartbeatResponse,
        first_flexible_version=4,
    )
    dispatcher.add(loaded)
    if produce is not None:
        loaded = LoadedApi(
            APIS[ApiKey.PRODUCE],
            ProduceRequest.decode,
            produce,
            produce_error,
            ProduceResponse,
            first_flexible_version=9,
        )
        dispatcher.add(loaded)
    return dispatcher


def a_request(key: int, version: int, correlation_id: int, body: bytes = b"") -> bytes:
    """Return a request without its size field."""
    header = RequestHeader(key, version, correlation_id, "client")
    return encode_request_header(header) + body


def a_heartbeat(version: int = 4, correlation_id: int = 7, group_id: str = "g") -> bytes:
    body = b"".join(HeartbeatRequest(group_id=group_id, member_id="m").encode(version))
    return a_request(ApiKey.HEARTBEAT, version, correlation_id, body)


def a_produce(correlation_id: int, acks: int = -1) -> bytes:
    """Return a Produce request of version 3 without topics."""
    body = b"".join(ProduceRequest(acks=acks).encode(3))
    return a_request(ApiKey.PRODUCE, 3, correlation_id, body)


def framed(request: bytes) -> bytes:
    """Put the size in front."""
    return len(request).to_bytes(4, "big") + request


@dataclass
class RecordingOwner:
    """Stands for the server: accepts or refuses connections and remembers them."""

    refusal: str | None = None
    open: list[object] = field(default_factory=list)
    closed: list[object] = field(default_factory=list)
    bad_inputs: int = 0
    unsent_bytes: int = 0
    max_response_bytes: int = 2**31 - 1
    answer_round: AnswerRound = field(default_factory=AnswerRound)
    busy_poll: BusyPoll = field(default_factory=lambda: BusyPoll(0, perf_counter_ns))
    request_memory: RequestMemory = field(default_factory=lambda: RequestMemory(lambda: -1))

    def connection_opened(self, connection: object) -> str | None:
        self.open.append(connection)
        return self.refusal

    def connection_closed(self, connection: object) -> None:
        self.closed.append(connection)

    def count_bad_input(self) -> None:
        self.bad_inputs += 1
