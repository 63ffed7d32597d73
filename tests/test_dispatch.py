import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from struct import unpack_from
from typing import Any

import pytest

from pykbroker.dispatch import MAX_BYTES_WITHOUT_PAYLOAD, Dispatcher
from pykbroker.handlers import APIS, LoadedApi
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import CloseConnection
from tests.harness.broker import a_broker
from tests.harness.connections import FakeConnection
from tests.harness.loop import run
from tests.harness.produced import a_batch
from tests.harness.shell import a_dispatcher, a_heartbeat, a_request

ANSWER_V4 = "00 00 00 0c 00 00 00 07 00 00 00 00 00 00 1b 00"  # size, id, tags, throttle, 27, tags


def dispatch(dispatcher: Dispatcher, frame: bytes) -> bytes | None:
    answer = dispatcher.dispatch(memoryview(bytearray(frame)), FakeConnection())
    if isinstance(answer, Awaitable):
        later = answer

        async def wait() -> Any:
            return await later

        answer = asyncio.run(wait())
    assert answer is None or isinstance(answer, list)
    return None if answer is None else b"".join(answer)


def answer_27(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
    return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)


def test_a_plain_handler_is_answered_at_once() -> None:
    dispatcher = a_dispatcher(answer_27)
    answer = dispatcher.dispatch(memoryview(bytearray(a_heartbeat())), FakeConnection())
    assert isinstance(answer, list)
    assert b"".join(answer).hex(" ") == ANSWER_V4


def test_an_async_handler_is_answered_later() -> None:
    async def handle(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        await asyncio.sleep(0)
        return answer_27(context, request)

    answer = dispatch(a_dispatcher(handle), a_heartbeat())
    assert answer is not None
    assert answer.hex(" ") == ANSWER_V4


def test_the_header_of_an_old_version_has_no_tags() -> None:
    answer = dispatch(a_dispatcher(answer_27), a_heartbeat(version=0))
    assert answer is not None
    assert answer.hex(" ") == "00 00 00 06 00 00 00 07 00 1b"


def test_a_handler_sees_the_request_and_its_circumstances() -> None:
    seen: list[tuple[str, str, int, str]] = []

    def handle(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        seen.append((request.group_id, context.client_id, context.api_version, context.client_host))
        return HeartbeatResponse()

    dispatch(a_dispatcher(handle), a_heartbeat(version=3, group_id="readers"))
    assert seen == [("readers", "client", 3, "127.0.0.1")]


def test_no_answer_is_sent_when_the_handler_gives_none() -> None:
    async def later(context: Any, request: HeartbeatRequest) -> None:
        return None

    assert dispatch(a_dispatcher(lambda context, request: None), a_heartbeat()) is None
    assert dispatch(a_dispatcher(later), a_heartbeat()) is None


def test_a_kafka_error_becomes_the_error_response_of_the_api() -> None:
    def refuse(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)

    async def refuse_later(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)

    for handle in (refuse, refuse_later):
        dispatcher = a_dispatcher(handle)
        answer = dispatch(dispatcher, a_heartbeat())
        assert answer is not None
        assert answer.hex(" ") == ANSWER_V4
        assert dispatcher.metrics[ApiKey.HEARTBEAT].errors == {27: 1}


def test_a_bug_in_a_handler_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    def fail(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR):
        answer = dispatch(a_dispatcher(fail), a_heartbeat(version=0))
    assert answer is not None
    assert answer.hex(" ") == "00 00 00 06 00 00 00 07 ff ff"
    assert "api=Heartbeat" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_that_cannot_be_encoded_is_a_bug_and_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        return HeartbeatResponse(error_code=1 << 20)

    async def answer_later(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        return HeartbeatResponse(error_code=1 << 20)

    for handle in (answer, answer_later):
        with caplog.at_level(logging.ERROR):
            encoded = dispatch(a_dispatcher(handle), a_heartbeat(version=0))
        assert encoded is not None
        assert encoded.hex(" ") == "00 00 00 06 00 00 00 07 ff ff"
        assert "ValueError" in caplog.text
        caplog.clear()


def test_the_connection_is_closed_when_not_even_the_error_can_be_said() -> None:
    """Names that are no UTF-8 grow by their substitutes, and may not fit any more."""

    class Unsayable(HeartbeatResponse):
        def encode(self, version: int) -> list[Buffer]:
            raise ValueError("string of 98301 bytes")

    def answer(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        return Unsayable()

    loaded = replace(
        a_dispatcher(answer)._loaded[ApiKey.HEARTBEAT],
        error_response=lambda request, code, message: Unsayable(),
    )
    dispatcher = a_dispatcher(answer)
    dispatcher.add(loaded)
    with pytest.raises(CloseConnection, match="98301 bytes"):
        dispatch(dispatcher, a_heartbeat())


def test_an_order_to_close_passes_through() -> None:
    def close(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise CloseConnection("acks=0")

    async def close_later(context: Any, request: HeartbeatRequest) -> HeartbeatResponse:
        raise CloseConnection("acks=0")

    for handle in (close, close_later):
        with pytest.raises(CloseConnection):
            dispatch(a_dispatcher(handle), a_heartbeat())


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x00\x12\x00", "no room for a header"),
        (a_request(999, 0, 1), "unknown API key 999"),
        (a_heartbeat(version=4)[:-3], "Heartbeat v4: string of 1 with 0 bytes left"),
        (a_request(ApiKey.PRODUCE, 2, 1), "Produce version 2 is not supported"),
        (a_request(ApiKey.HEARTBEAT, 5, 1), "Heartbeat version 5 is not supported"),
    ],
)
def test_what_cannot_be_understood_closes_the_connection(frame: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        dispatch(a_dispatcher(answer_27), frame)


def test_a_request_without_payload_has_a_limit() -> None:
    answer = dispatch(a_dispatcher(lambda context, request: HeartbeatResponse()), a_heartbeat())
    assert answer is not None
    for excess in (0, 1):
        padding = MAX_BYTES_WITHOUT_PAYLOAD - len(a_heartbeat()) + excess
        frame = a_heartbeat() + bytes(padding)
        dispatcher = a_dispatcher(lambda context, request: HeartbeatResponse())
        if excess:
            with pytest.raises(ProtocolError, match="Heartbeat of 8388609 bytes"):
                dispatch(dispatcher, frame)
        else:
            assert dispatch(dispatcher, frame) is not None


def test_an_unknown_version_of_api_versions_is_answered_in_version_0() -> None:
    # The body is not looked at: nobody knows what version 77 looks like.
    header = bytes.fromhex("0012 004d 00000009 ffff 00")
    answer = dispatch(a_dispatcher(answer_27), header + b"\xff" * 10)
    assert answer is not None
    assert answer.hex(" ") == "00 00 00 10 00 00 00 09 00 23 00 00 00 01 00 12 00 00 00 04"
    # But the header has to be whole, as in Kafka.
    for size in (8, 9, 10):
        with pytest.raises(ProtocolError):
            dispatch(a_dispatcher(answer_27), header[:size])


def test_the_header_of_an_api_versions_response_never_has_tags(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            body = bytes.fromhex("05") + b"kcat" + bytes.fromhex("06") + b"1.7.1" + b"\x00"
            request = a_request(ApiKey.API_VERSIONS, 3, 9, body)
            answer = dispatch(Dispatcher(broker.broker), request)
            assert answer is not None
            # Id, error 0, the number of APIs.
            assert answer[4:11].hex(" ") == f"00 00 00 09 00 00 {len(APIS) + 1:02x}"

    run(main())


def test_requests_and_bytes_are_counted_per_api() -> None:
    dispatcher = a_dispatcher(answer_27)
    for _ in range(3):
        dispatch(dispatcher, a_heartbeat())
    metrics = dispatcher.metrics[ApiKey.HEARTBEAT]
    assert metrics.requests == 3
    assert metrics.request_bytes == 3 * len(a_heartbeat())
    assert metrics.response_bytes == 3 * 12
    assert metrics.total_time_ns > 0


def test_a_connection_that_repeats_its_produce_requests_is_answered_as_a_new_one(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.create_topic("u")
            dispatcher = Dispatcher(broker.broker)
            connection = FakeConnection()
            ends = {"t": 0, "u": 0}
            # Once learnt, twice repeated, another topic, learnt again, unknown to the broker.
            for number, topic in enumerate(["t", "t", "t", "u", "u", "u", "t", "v", "v", "v", "t"]):
                batch = PartitionProduceData(index=0, records=a_batch(b"x" * number))
                request = ProduceRequest(
                    acks=1, topic_data=[TopicProduceData(name=topic, partition_data=[batch])]
                )
                header = RequestHeader(ApiKey.PRODUCE, 9, 100 + number, "c")
                frame = encode_request_header(header) + b"".join(request.encode(9))
                answer = dispatcher.dispatch(memoryview(bytearray(frame)), connection)
                assert isinstance(answer, list)
                data = memoryview(b"".join(answer))
                assert unpack_from(">iib", data) == (len(data) - 4, 100 + number, 0)
                (found,) = ProduceResponse.decode(data, 9, 9).responses
                (result,) = found.partition_responses
                known = topic in ends
                assert found.name == topic
                assert result.error_code == (0 if known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                assert result.base_offset == ends.get(topic, -1)
                if known:
                    ends[topic] += 1
            assert dispatcher.metrics[ApiKey.PRODUCE].requests == 11

    run(main())


def test_something_may_stand_before_all_handlers_for_a_while(tmp_path: Path) -> None:
    asked = []

    def intercept(loaded: LoadedApi) -> LoadedApi:
        def handle(context: Any, request: Any) -> Any:
            asked.append(loaded.api.name)
            return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)

        return replace(loaded, handle=handle)

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            dispatcher = Dispatcher(broker.broker)
            frame = memoryview(bytearray(a_heartbeat()))
            for each in (None, intercept, None):
                dispatcher.intercept(each)
                for _ in range(2):
                    dispatcher.dispatch(frame, FakeConnection())
            assert dispatcher.metrics[ApiKey.HEARTBEAT].requests == 6

    run(main())
    assert asked == ["Heartbeat", "Heartbeat"]
