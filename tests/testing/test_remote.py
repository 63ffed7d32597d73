import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from confluent_kafka import Producer

from pykbroker.client import Client, ClientError
from pykbroker.faults.rules import RuleError
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.testing import Broker, in_process
from pykbroker.testing.broker_log import LogFile
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.remote import Remote
from pykbroker.testing.settings import broker_settings

TIMEOUT_S = 30.0
MINUTE_MS = 60_000

pytestmark = pytest.mark.skipif(
    find_spec("aiohttp") is None, reason="the extra `control` is not installed"
)


@pytest.fixture(scope="module")
def of_the_module() -> Iterator[Broker]:
    with Broker({"pykbroker.fsync": "always"}, process=True) as broker:
        yield broker


@pytest.fixture
def broker(of_the_module: Broker) -> Iterator[Broker]:
    yield of_the_module
    of_the_module.rules.clear()
    of_the_module.taps.clear()


def send(broker: Broker, topic: str = "t") -> None:
    """Have a client append one record."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "client.id": "p"})
    producer.produce(topic, "v")
    assert producer.flush(TIMEOUT_S) == 0


def test_rules_are_put_in_force_counted_and_removed(broker: Broker) -> None:
    with broker.rules.add("Produce", topic="t", close="before", times=1, for_s=60) as rule:
        other = broker.rules.add(client_id="nobody", delay_ms=5)
        assert list(broker.rules) == [rule, other]
        assert (len(broker.rules), broker.rules.get(rule.id)) == (2, rule)
        broker.produce("t", "a helper's is not meant")
        assert rule.matched == 0
        send(broker)
        assert (rule.matched, rule.applied) == (2, 1)
    assert list(broker.rules) == [other]
    assert (rule.matched, rule.applied) == (2, 1), "what was counted can still be read"
    rule.remove()
    assert not broker.rules.discard(rule.id)
    broker.rules.clear()
    assert (len(broker.rules), broker.rules.get(other.id)) == (0, None)
    with pytest.raises(RuleError, match="no API Fetsch"):
        broker.rules.add("Fetsch", delay_ms=1)


def test_taps_keep_what_is_said(broker: Broker) -> None:
    with broker.taps.open("Produce", topic="t", last=5) as tap:
        broker.produce("t", "a helper's is not meant")
        send(broker)
        assert tap.told == 1
        (told,) = tap.exchanges
        assert (told["client_id"], list(broker.taps)) == ("p", [tap])
    send(broker)
    assert tap.exchanges == [told]
    tap.close()
    assert not broker.taps.discard(tap.id)
    with pytest.raises(RuleError, match="no listeners"):
        broker.taps.open(listener=print)


def test_time_is_moved(broker: Broker) -> None:
    clock = broker.clock
    clock.stop()
    assert clock.is_stopped
    before_ms = clock.now_ms
    clock.advance(minutes=1)
    assert clock.now_ms == before_ms + MINUTE_MS
    clock.resume()
    assert not clock.is_stopped
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_incidents_happen(broker: Broker) -> None:
    broker.create_topic("incidents")
    with broker.incidents.unavailable(), pytest.raises(ClientError, match="refused"):
        Client(broker.bootstrap_servers, 1)
    with broker.incidents.full_disk(), pytest.raises(KafkaError) as refused:
        broker.produce("incidents", "v")
    assert refused.value.code is ErrorCode.KAFKA_STORAGE_ERROR


def test_leaders_and_coordinators_move(broker: Broker) -> None:
    broker.create_topic("moves")
    broker.incidents.change_leader("moves", for_s=60)
    broker.incidents.move_coordinator("g", for_s=60)
    broker.incidents.move_coordinator(transactional_id="x", for_s=60)
    assert {rule.match.topic for rule in broker.rules} == {"moves", None}
    assert {rule.match.group for rule in broker.rules} == {"g", None}
    broker.produce("moves", "a helper's is not meant")
    with pytest.raises(RuleError, match="no partition"):
        broker.incidents.change_leader("moves", 7)
    with pytest.raises(RuleError, match="of a group or of a transactional id"):
        broker.incidents.move_coordinator()


@pytest.mark.slow
def test_a_process_takes_all_of_it_with_it() -> None:
    with Broker(process=True) as broker:
        with pytest.raises(RuntimeError, match="does not fsync"):
            broker.incidents.fail_fsync()
        rule = broker.rules.add("Produce", delay_ms=1)
        tap = broker.taps.open("Produce")
        send(broker)
        broker.kill()
        assert (rule.matched, rule.applied) == (1, 1)
        assert [told["api"] for told in tap.exchanges] == ["Produce"]
        with pytest.raises(RuntimeError, match="the broker does not run"):
            broker.rules.add(delay_ms=1)
        broker.start()
        assert (list(broker.rules), list(broker.taps)) == ([], [])
        new = broker.rules.add("Produce", delay_ms=1)
        rule.remove()
        tap.close()
        assert list(broker.rules) == [new]
        broker.restart()
        assert new.applied == 0


@pytest.mark.slow
def test_a_failed_fsync_holds_until_a_restart() -> None:
    with Broker({"pykbroker.fsync": "always"}, process=True) as broker:
        broker.create_topic("t")
        broker.incidents.fail_fsync()
        with pytest.raises(KafkaError):
            broker.produce("t", "v")
        broker.restart()
        broker.produce("t", "v")


@pytest.mark.slow
def test_without_the_library_there_is_a_broker_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_process, "find_spec", lambda name: None)
    process = ServerProcess(LogFile(lambda: tmp_path / "log"))
    remote = Remote(process)
    process.start(broker_settings({}, tmp_path / "data", 0), TIMEOUT_S)
    try:
        with pytest.raises(RuntimeError, match=r"pip install 'pykbroker\[control\]'"):
            remote.rules.add(delay_ms=1)
    finally:
        remote.forget()
        process.stop()


def test_who_has_no_process_does_not_import_it() -> None:
    import subprocess

    code = (
        "import sys; from pykbroker.testing import Broker; Broker();"
        "assert 'http.client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
