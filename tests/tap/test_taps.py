import pytest

from pykbroker.faults.rules import RuleError
from pykbroker.protocol.headers import (
    RequestHeader,
    encode_request_header,
    encode_response_header,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.tap import taps as module
from pykbroker.tap.conversation import Topics
from pykbroker.tap.taps import Tap, Taps

VERSION = 4


def exchange(tap: Tap, connection: str, group: str, *, client: str = "c") -> None:
    """Have a connection ask something, and be answered."""
    conversation = tap.conversation(connection, connection, Topics())
    header = encode_request_header(RequestHeader(HeartbeatRequest.API_KEY, VERSION, 7, client))
    body = b"".join(HeartbeatRequest(group).encode(VERSION))
    conversation.asked(memoryview(header + body))
    answer = encode_response_header(HeartbeatRequest.API_KEY, VERSION, 7)
    conversation.answered(memoryview(answer + b"".join(HeartbeatResponse().encode(VERSION))))


def groups(tap: Tap) -> list[str]:
    return [each["request"]["group_id"] for each in tap.exchanges]


def test_the_last_exchanges_of_each_connection_are_kept_in_their_order() -> None:
    with Taps().open(last=2) as tap:
        for connection, group in (("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5")):
            exchange(tap, connection, group)
    assert groups(tap) == ["2", "3", "4", "5"]
    assert tap.told == 5


def test_what_is_told_is_chosen_as_by_rules() -> None:
    taps = Taps(spared_client="helper")
    with taps.open("Heartbeat", group="g*") as some, taps.open("Fetch") as none:
        for tap in (some, none):
            for client, group in (("c", "g1"), ("c", "other"), ("helper", "g2")):
                exchange(tap, "a", group, client=client)
    assert (groups(some), groups(none)) == (["g1"], [])
    with taps.open(client_id="helper") as named, taps.open(spared_client="c") as others:
        for tap in (named, others):
            exchange(tap, "a", "g", client="helper")
            exchange(tap, "a", "h", client="c")
    assert (groups(named), groups(others)) == (["g"], ["g"])


def test_taps_are_listed_and_closed() -> None:
    taps = Taps()
    first, second = taps.open(), taps.open()
    assert (list(taps), len(taps), taps.get(second.id)) == ([first, second], 2, second)
    first.close()
    first.close()
    assert taps.opened == (second,)
    assert (taps.discard(second.id), taps.discard(second.id)) == (True, False)
    assert taps.get(second.id) is None
    taps.open()
    taps.clear()
    assert len(taps) == 0


def test_a_listener_gets_all_at_once() -> None:
    heard: list[str] = []
    tap = Taps().open(listener=lambda told: heard.append(told["api"]), last=1)
    for _ in range(3):
        exchange(tap, "a", "g")
    assert (heard, tap.exchanges) == (["Heartbeat"] * 3, [])


def test_the_end_of_a_connection_ends_its_requests() -> None:
    tap = Taps().open()
    header = encode_request_header(RequestHeader(HeartbeatRequest.API_KEY, VERSION, 7, "c"))
    asked = memoryview(header + b"".join(HeartbeatRequest("g").encode(VERSION)))
    tap.conversation("a", "a", Topics()).asked(asked)
    assert tap.exchanges == []
    for _ in range(2):
        tap.connection_closed("a")
    (told,) = tap.exchanges
    assert told["response"] is None


def test_connections_that_were_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    tap = Taps().open()
    for connection in "abc":
        exchange(tap, connection, connection)
    assert groups(tap) == ["b", "c"]


def test_a_tap_that_cannot_be_is_refused() -> None:
    with pytest.raises(RuleError, match="last=0"):
        Taps().open(last=0)
    with pytest.raises(RuleError, match="no API Fetsch"):
        Taps().open("Fetsch")
