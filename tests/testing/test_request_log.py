import socket
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from pykbroker.testing import Broker
from pykbroker.testing.request_log import MAX_BYTES, MAX_EXCHANGES, Exchange, RequestLog

# ApiVersions v0 of the client "c", and an answer without APIs.
REQUEST = bytes.fromhex("0012 0000 00000007 0001 63")
ANSWER = bytes.fromhex("0000000a 00000007 0000 00000000")


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def an_exchange(client: str = "1.2.3.4:5", answer: bytes = ANSWER) -> Exchange:
    exchange = Exchange(memoryview(REQUEST), client)
    exchange.answered([answer[:4], memoryview(answer[4:])])
    return exchange


def test_an_exchange_is_one_line() -> None:
    exchange = an_exchange()
    exchange.time_s = 1_700_000_000.5

    assert exchange.text() == "1.2.3.4:5 c ApiVersions v0 -> NONE"
    assert exchange.line(1).startswith("22:13:20.500Z 1.2.3.4:5 c ApiVersions v0 -> NONE (")
    assert exchange.line(3).endswith(" ms) (3 times)")


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (bytes.fromhex("7fff 0000 00000007 0001 63"), "API 32767 v0 -> lost"),
        (bytes.fromhex("0003 0009 00000007 0001 63 00"), "Metadata v9 -> lost ("),
        (bytes.fromhex("0003 0009 00000007 0fff 63 00"), "Metadata v9 -> lost ("),
        (bytes.fromhex("0000 0009 00000007") + bytes(MAX_BYTES), "Produce v9 8200 bytes -> lost"),
    ],
)
def test_what_cannot_be_decoded_is_named(frame: bytes, text: str) -> None:
    exchange = Exchange(memoryview(frame), "x")
    exchange.ended("lost")
    assert text in exchange.text()


def test_a_large_answer_is_only_measured() -> None:
    assert an_exchange(answer=bytes(MAX_BYTES + 1)).text().endswith(f"-> {MAX_BYTES + 1} bytes")


def test_what_a_client_repeats_is_told_once() -> None:
    log = RequestLog()
    for client in ("a", "b", "a", "a"):
        log.append(an_exchange(client))
    first, second = log.since(0)
    assert " a c ApiVersions" in first
    assert first.endswith("(3 times)")
    assert " b c ApiVersions" in second
    assert len(log.since(3)) == 1
    assert log.since(4) == []


def test_only_the_last_are_kept_and_all_are_counted() -> None:
    log = RequestLog()
    for number in range(MAX_EXCHANGES + 5):
        log.append(an_exchange(str(number)))
    assert log.count == MAX_EXCHANGES + 5
    assert len(log.since(0)) == MAX_EXCHANGES


def test_all_kinds_of_answers_are_seen(broker: Broker) -> None:
    """At once, when something is durable, by a task, and none at all."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": 0})
    producer.produce("t", "one")
    producer.flush(10)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"})
    consumer.subscribe(["t"])
    assert consumer.poll(0.5) is None
    consumer.close()
    del producer, consumer  # else they look for a broker that is gone
    broker.produce("t", "by a helper")

    text = broker.requests

    assert "Metadata v" in text
    assert "Produce v10 acks=0 timeout_ms=30000 topic_data=[{name=t " in text
    assert "-> no answer wanted (" in text
    assert "FindCoordinator v" in text
    assert "-> error_code=MEMBER_ID_REQUIRED" in text
    assert "JoinGroup v5 group_id=g" in text
    assert "pykbroker-cli" not in text


def test_a_closed_connection_has_its_reason(broker: Broker) -> None:
    for frame in (bytes.fromhex("7fff 0000 00000007 ffff"), b"\x00"):
        with socket.create_connection(("127.0.0.1", broker.port)) as client:
            client.sendall(len(frame).to_bytes(4, "big") + frame)
            assert client.recv(1) == b""
    (line,) = broker.request_log.since(0)
    assert "API 32767 v0 -> connection closed: unknown API key 32767" in line
