from typing import Any

from pykbroker.faults.matching import Match
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.headers import (
    RequestHeader,
    encode_request_header,
    encode_response_header,
)
from pykbroker.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.tap.conversation import Conversation, Topics, addresses

ID = bytes(range(16))


class Tapped:
    """A conversation, and what is told of it."""

    def __init__(self, match: Match | None = None) -> None:
        self.told: list[dict[str, Any]] = []
        self.conversation = Conversation("1.2.3.4:5", Topics(), match or Match(), self.told.append)

    def ask(self, request: Any, version: int, correlation_id: int = 1) -> None:
        header = RequestHeader(request.API_KEY, version, correlation_id, "c")
        frame = encode_request_header(header) + b"".join(request.encode(version))
        self.conversation.asked(memoryview(frame))

    def answer(self, response: Any, version: int, correlation_id: int = 1) -> Any:
        header = encode_response_header(response.API_KEY, version, correlation_id)
        frame = header + b"".join(response.encode(version))
        answer = self.conversation.answered(memoryview(frame))
        assert answer is not None
        assert b"".join(answer.encoded()) == frame
        return answer.message


def test_an_answer_belongs_to_its_request() -> None:
    tapped = Tapped()
    tapped.ask(HeartbeatRequest("g"), 4, 1)
    tapped.ask(HeartbeatRequest("h"), 0, 2)
    tapped.answer(HeartbeatResponse(0, 27), 4, 1)
    (told,) = tapped.told
    assert told.pop("took_ms") >= 0
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "connection": "1.2.3.4:5",
        "client_id": "c",
        "api": "Heartbeat",
        "version": 4,
        "correlation_id": 1,
        "request_bytes": 21,
        "response_bytes": 12,
        "request": {"group_id": "g", "generation_id": 0},
        "response": {"throttle_time_ms": 0, "error_code": "REBALANCE_IN_PROGRESS"},
    }
    tapped.conversation.ended()
    tapped.conversation.ended()
    assert [(each["correlation_id"], each["response"]) for each in tapped.told[1:]] == [(2, None)]


def test_a_request_that_wants_no_answer_is_told_at_once() -> None:
    tapped = Tapped()
    tapped.ask(ProduceRequest(acks=0), 9)
    assert [each["api"] for each in tapped.told] == ["Produce"]


def test_what_is_not_known_is_passed_on() -> None:
    tapped = Tapped()
    for frame in (
        bytes.fromhex("7fff 0000 00000001 0001 63 aabb"),
        bytes.fromhex("000c 7fff 00000001 0001 63 aabb"),
        bytes.fromhex("000c 0004 00000001 0001 63"),
    ):
        tapped.conversation.asked(memoryview(frame))
        assert tapped.conversation.answered(memoryview(b"\x00\x00\x00\x01")) is None
    assert tapped.conversation.answered(memoryview(b"\x00\x00\x00\x09")) is None
    names = [(each["api"], each["request"]) for each in tapped.told]
    assert names == [("API 32767", None), ("Heartbeat", None), ("Heartbeat", None)]


def test_an_answer_in_another_version_is_passed_on() -> None:
    tapped = Tapped()
    tapped.ask(HeartbeatRequest("g"), 4)
    assert tapped.conversation.answered(memoryview(b"\x00\x00\x00\x01\x00")) is None
    assert tapped.told[0]["request"] == {"group_id": "g", "generation_id": 0}
    assert tapped.told[0]["response"] is None


def some_metadata() -> MetadataResponse:
    return MetadataResponse(
        brokers=[MetadataResponseBroker(1, "kafka", 9092)],
        topics=[
            MetadataResponseTopic(0, "t", ID, False, [MetadataResponsePartition()]),
            MetadataResponseTopic(3, "unknown"),
        ],
    )


def test_only_what_matches_is_told() -> None:
    tapped = Tapped(Match(frozenset({ApiKey.HEARTBEAT, ApiKey.FETCH}), group="g"))
    for number, request in enumerate((HeartbeatRequest("g"), HeartbeatRequest("other"))):
        tapped.ask(request, 4, number)
        tapped.answer(HeartbeatResponse(), 4, number)
    assert [each["request"]["group_id"] for each in tapped.told] == ["g"]


def test_a_fetch_in_a_session_is_about_what_is_answered() -> None:
    tapped = Tapped(Match(frozenset({ApiKey.FETCH}), topic="t"))
    tapped.ask(MetadataRequest(), 12)
    tapped.answer(some_metadata(), 12)
    for number, topic_id in enumerate((ID, bytes(15) + b"\x01")):
        tapped.ask(FetchRequest(session_id=7, session_epoch=1), 13, number)
        data = PartitionData(0, records=b"")
        topic = FetchableTopicResponse(topic_id=topic_id, partitions=[data])
        tapped.answer(FetchResponse(responses=[topic]), 13, number)
    assert [each["correlation_id"] for each in tapped.told] == [0]


def test_brokers_in_answers_have_addresses() -> None:
    found = list(addresses(some_metadata()))
    assert [(each.host, each.port) for each in found] == [("kafka", 9092)]
    assert list(addresses(HeartbeatResponse())) == []


def test_a_request_that_is_dropped_says_why() -> None:
    tapped = Tapped()
    tapped.ask(HeartbeatRequest("g"), 4)
    for _ in range(2):
        tapped.conversation.dropped(1, "a rule")
    (told,) = tapped.told
    assert (told["response"], told["reason"]) == (None, "a rule")
