"""The plugin in sessions of its own: what it gives to tests, what it tells of their failures."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

USES = """
import unittest
import pytest
from confluent_kafka import Producer

seen = []


def test_a_topic(kafka_broker, kafka_topic):
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    producer.produce(kafka_topic, "one")
    producer.flush(10)
    assert [record.value for record in kafka_broker.records(kafka_topic, 1)] == [b"one"]
    seen.append((kafka_broker.port, kafka_topic))


@pytest.mark.parametrize("name", ["with blanks", "ümläut/slash", "x" * 300])
def test_a_topic_of_its_own(kafka_broker, kafka_topic, name):
    assert kafka_broker.port == seen[0][0], "the session's broker"
    assert kafka_topic not in [topic for _, topic in seen]
    with pytest.raises(Exception, match="UNKNOWN_TOPIC|unknown|does not"):
        kafka_broker.records(seen[0][1])
    seen.append((kafka_broker.port, kafka_topic))


@pytest.mark.kafka_topic(partitions=3, configs={"cleanup.policy": "compact"})
def test_a_topic_as_it_is_asked_for(kafka_broker, kafka_topic):
    assert kafka_broker.end_offsets(kafka_topic) == {0: 0, 1: 0, 2: 0}


@pytest.mark.kafka_broker({"num.partitions": 2})
def test_a_broker_of_its_own(kafka_broker, kafka_session_broker):
    assert kafka_broker.port != kafka_session_broker.port
    kafka_broker.produce("made", "one")
    assert len(kafka_broker.end_offsets("made")) == 2
    kafka_session_broker.produce("made", "one")
    assert len(kafka_session_broker.end_offsets("made")) == 5, "the ini file's"


@pytest.mark.kafka_broker(process=True)
def test_a_broker_that_is_killed(kafka_broker, kafka_topic):
    kafka_broker.produce(kafka_topic, "one")
    kafka_broker.kill()
    kafka_broker.restart()
    assert len(kafka_broker.records(kafka_topic)) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_faults_are_those_of_one_test(kafka_broker, number):
    assert len(kafka_broker.rules) == 0
    assert not kafka_broker.clock.is_stopped
    kafka_broker.rules.add("Produce", close="before")
    kafka_broker.clock.stop()


def test_a_broker_that_is_stopped_by_the_test(kafka_topic, kafka_broker):
    kafka_broker.delete_topic(kafka_topic)


@pytest.mark.usefixtures("kafka_broker", "kafka_topic")
class TestUnittest(unittest.TestCase):
    def test_unittest(self):
        self.kafka_broker.produce(self.kafka_topic, "one")
        self.assertEqual(self.kafka_broker.end_offsets(self.kafka_topic), {0: 1})
"""

USES_ASYNCIO = """
import pytest
from aiokafka import AIOKafkaProducer


@pytest.mark.asyncio
async def test_asyncio(kafka_broker, kafka_topic):
    async with AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap_servers) as producer:
        await producer.send_and_wait(kafka_topic, b"one")
    assert len(kafka_broker.records(kafka_topic)) == 1
"""

FAILS = """
from confluent_kafka import Producer
from pykbroker.testing import Broker


def produce(broker, topic):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce(topic, "one")
    producer.flush(10)


def test_that_passes(kafka_broker):
    produce(kafka_broker, "of-another-test")


def test_that_fails(kafka_broker):
    produce(kafka_broker, "of-the-failure")
    assert False


def test_with_its_own_broker():
    with Broker() as broker:
        produce(broker, "of-its-own")
        assert False


def test_with_a_process():
    with Broker(process=True) as broker:
        assert False


def test_without_a_broker():
    assert False
"""

WORKERS = """
import pytest


@pytest.mark.parametrize("number", range(6))
def test_port(kafka_broker, worker_id, tmp_path_factory, number):
    shared = tmp_path_factory.getbasetemp().parent / "ports"
    with shared.open("a") as file:
        print(worker_id, kafka_broker.port, file=file)
"""


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def a_session(directory: Path, code: str, *arguments: str, ini: str = "") -> tuple[int, str]:
    """Run pytest on a file; return its status and what it printed."""
    (directory / "test_it.py").write_text(code)
    (directory / "pytest.ini").write_text(
        f"[pytest]\nfilterwarnings = error\naddopts = --strict-markers --strict-config\n{ini}"
    )
    plugins = ("pykbroker.testing.plugin", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *(f"-p{plugin}" for plugin in plugins), *arguments]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.slow
def test_tests_get_a_broker_and_topics(tmp_path: Path) -> None:
    ini = "kafka_broker_settings =\n    num.partitions=5\n    log.retention.hours = 1\n"
    status, output = a_session(tmp_path, USES, "-q", ini=ini)
    assert status == 0, output
    assert "11 passed" in output


@pytest.mark.slow
def test_tests_of_coroutines_get_them_too(tmp_path: Path) -> None:
    if find_spec("pytest_asyncio") is None:
        pytest.skip("pytest-asyncio is not installed")
    ini = "asyncio_default_fixture_loop_scope = function\n"
    status, output = a_session(tmp_path, USES_ASYNCIO, "-ppytest_asyncio.plugin", "-q", ini=ini)
    assert status == 0, output


@pytest.mark.slow
def test_a_failure_is_told_with_what_the_broker_did(tmp_path: Path) -> None:
    status, output = a_session(tmp_path, FAILS, "-q")
    assert status == 1
    assert "4 failed, 1 passed" in output
    reports = re.split(r"^_+ (test_\w+) _+$", output, flags=re.M)
    of = dict(zip(reports[1::2], reports[2::2], strict=True))

    request = r"rdkafka Produce v\d+ acks=-1 .*name=%s.* -> .*base_offset=0.* ms\)"
    assert re.search(
        r"^-+ last requests to <Broker 127.0.0.1:\d+> -+$", of["test_that_fails"], re.M
    )
    assert re.search(request % "of-the-failure", of["test_that_fails"])
    assert "of-another-test" not in of["test_that_fails"]
    assert re.search(request % "of-its-own", of["test_with_its_own_broker"])
    assert re.search(r"^-+ log of <Broker", of["test_with_its_own_broker"], re.M)
    assert "fsync=never" in of["test_with_its_own_broker"]
    assert "fsync=never" in of["test_with_a_process"]
    assert "<Broker" not in of["test_without_a_broker"].partition("short test summary")[0]


@pytest.mark.slow
def test_every_worker_has_its_broker(tmp_path: Path) -> None:
    base = tmp_path / "base"
    status, output = a_session(tmp_path, WORKERS, "-pxdist", "-n2", f"--basetemp={base}", "-q")
    assert status == 0, output
    pairs = {tuple(line.split()) for line in (base / "ports").read_text().splitlines()}
    assert len({port for _, port in pairs}) == len({worker for worker, _ in pairs}) == len(pairs)


def test_a_setting_that_is_none_is_refused(tmp_path: Path) -> None:
    code = "def test_it(kafka_broker): pass"
    _, output = a_session(tmp_path, code, ini="kafka_broker_settings = num.partitions\n")
    assert "kafka_broker_settings: 'num.partitions' is not KEY=VALUE" in output


def test_a_session_that_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    program = """
import sys, time
import pytest, uuid, contextlib
before = set(sys.modules)
seconds = []
for _ in range(20):
    started = time.perf_counter()
    import pykbroker.testing.plugin
    seconds.append(time.perf_counter() - started)
    new = set(sys.modules) - before
    for name in new:
        del sys.modules[name]
print(*sorted(new))
print(min(seconds))
"""
    env = {**environment(), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    output = subprocess.check_output([sys.executable, "-c", program], env=env, text=True)
    modules, seconds = output.splitlines()
    assert modules.split() == ["pykbroker", "pykbroker.testing", "pykbroker.testing.plugin"]
    assert float(seconds) < 0.01


def test_pytest_finds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"pykbroker": "pykbroker.testing.plugin"}
