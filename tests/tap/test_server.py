from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from pykbroker.faults.rules import Rules
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.file_slice import FileSlice
from pykbroker.tap.server import TappedServer, _bytes
from pykbroker.tap.taps import Taps
from pykbroker.testing import Broker
from pykbroker.testing.waiting import NotYet, wait_for
from tests.harness.loop import run
from tests.harness.servers import a_config

TIMEOUT_S = 30


def test_what_clients_and_the_broker_say_is_kept() -> None:
    with Broker() as broker:
        broker.create_topic("t")
        with broker.taps.open(["Produce", "Fetch"], topic="t") as tap:
            servers = {"bootstrap.servers": broker.bootstrap_servers}
            producer = Producer({**servers, "client.id": "p"})
            producer.produce("t", "v" * 100_000, "k")
            assert producer.flush(TIMEOUT_S) == 0
            consumer = Consumer({**servers, "group.id": "g", "auto.offset.reset": "earliest"})
            consumer.subscribe(["t"])
            message = consumer.poll(TIMEOUT_S)
            assert message is not None
            assert message.error() is None
            consumer.close()
        told = tap.exchanges
    produced = next(each for each in told if each["api"] == "Produce")
    assert produced["client_id"] == "p"
    (batch,) = produced["request"]["topic_data"][0]["partition_data"][0]["records"]
    assert batch["records"][0]["key"] == "k"
    (result,) = produced["response"]["responses"][0]["partition_responses"]
    assert (result["error_code"], result["base_offset"]) == ("NONE", 0)
    fetched = [
        partition["records"][0]["records"][0]["key"]
        for each in told
        if each["api"] == "Fetch" and each["response"] is not None
        for topic in each["response"].get("responses", ())
        for partition in topic["partitions"]
        if partition.get("records")
    ]
    assert fetched == ["k"], "also what goes from the file into the socket"


def test_rules_are_seen_to_work() -> None:
    with Broker() as broker:
        broker.create_topic("t")
        broker.rules.add("Produce", close="after", times=1)
        broker.rules.add("Produce", error="NOT_LEADER_OR_FOLLOWER", first=2, times=1)
        with broker.taps.open("Produce") as tap:
            producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
            producer.produce("t", "v")
            assert producer.flush(TIMEOUT_S) == 0
        lost, *_ = tap.exchanges
    assert lost["response"] is None
    assert lost["reason"].startswith("connection closed: a rule: ")


def test_a_request_that_is_not_answered_is_told_when_its_connection_ends() -> None:
    with Broker() as broker:
        broker.create_topic("t")
        rule = broker.rules.add("Produce", lose_answer=True, times=1)
        with broker.taps.open("Produce") as tap:
            producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
            producer.produce("t", "v")
            wait_for(lambda: rule.applied or NotYet("nothing was sent"), TIMEOUT_S)
            assert tap.exchanges == []
            broker.restart()
            assert producer.flush(TIMEOUT_S) == 0
        lost = tap.exchanges[0]
    assert lost["response"] is None


def test_taps_stay_open_over_a_restart_and_leave_the_tests_helpers_out() -> None:
    with Broker() as broker, broker.taps.open() as tap:
        broker.restart()
        broker.create_topic("t")
        assert tap.exchanges == []
        Producer({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=TIMEOUT_S)
        assert {each["api"] for each in tap.exchanges} == {"ApiVersions", "Metadata"}


def test_without_taps_nobody_listens(tmp_path: Path) -> None:
    async def main() -> None:
        taps = Taps()
        server = TappedServer(a_config(tmp_path, pykbroker_fsync="never"), Rules(), taps)
        await server.start()
        watch = server.dispatcher._watch
        assert watch is None
        with taps.open(), taps.open():
            assert server.dispatcher._watch == server._tapped
        assert server.dispatcher._watch is watch
        await server.stop()
        with taps.open():
            assert server.dispatcher._watch is watch, "it has stopped"

    run(main())


@pytest.mark.parametrize(
    ("read", "expected"),
    [(lambda: b"abc", b"abc"), (None, bytes(3))],
)
def test_a_part_of_a_file_may_not_be_readable(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], bytes] | None, expected: bytes
) -> None:
    def fail() -> bytes:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)

    monkeypatch.setattr(FileSlice, "read", lambda part: (read or fail)())
    part: Any = FileSlice(None, 0, 3, 0)  # type: ignore[arg-type]
    assert _bytes(part) == expected
