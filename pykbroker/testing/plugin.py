"""The pytest plugin `pykbroker`: fixtures, settings, and what a broker did when a test failed.

Loaded in every session of who has pykbroker installed, so it imports nothing that is not used.

Fixtures:
    kafka_broker    a `Broker`: the session's, or one of its own for a test that is marked
    kafka_session_broker    the session's, for fixtures of a wider scope
    kafka_topic     the name of a topic of the test's own

Markers:
    kafka_broker(settings, process=False)    a broker of the test's own, with these settings
    kafka_topic(partitions=1, configs={})    what the test's topic is like

Settings in the ini file:
    kafka_broker_settings    KEY=VALUE, one a line: settings of all brokers of these fixtures
    kafka_broker_process     whether the session's broker gets a process of its own
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pykbroker.testing import Broker

LAST_LINES = 50
MAX_TOPIC_CHARACTERS = 200

_MARKERS = (
    "kafka_broker(settings, process=False): a broker of the test's own, with these settings",
    "kafka_topic(partitions=1, configs={}): what the topic of the fixture kafka_topic is like",
)
# How much each broker had logged and answered when the test began.
_BEGINNINGS = pytest.StashKey[dict[int, tuple[int, int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the settings of the ini file."""
    parser.addini(
        "kafka_broker_settings",
        "Settings of the brokers of pykbroker's fixtures, KEY=VALUE, one a line.",
        type="linelist",
    )
    parser.addini(
        "kafka_broker_process",
        "Whether the session's broker runs in a process of its own.",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session")
def kafka_session_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker for the whole session (with pytest-xdist: for the session of each worker)."""
    from pykbroker.testing import Broker

    config = request.config
    with Broker(_settings(config), process=config.getini("kafka_broker_process")) as broker:
        yield broker


@pytest.fixture
def kafka_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The session's broker, or one of the test's own if it is marked with `kafka_broker`."""
    mark = request.node.get_closest_marker("kafka_broker")
    if mark is None:
        broker: Broker = request.getfixturevalue("kafka_session_broker")
        _offer(request, "kafka_broker", broker)
        yield broker
        with suppress(RuntimeError):  # the test has stopped a process of its own
            broker.rules.clear()
            broker.clock.resume()
            broker.taps.clear()
        return
    from pykbroker.testing import Broker

    settings, process = _of_mark(*mark.args, **mark.kwargs)
    with Broker({**_settings(request.config), **settings}, process=process) as broker:
        _offer(request, "kafka_broker", broker)
        yield broker


@pytest.fixture
def kafka_topic(request: pytest.FixtureRequest, kafka_broker: Broker) -> Iterator[str]:
    """The name of a topic that no other test has; it is deleted in the end."""
    from pykbroker.client import ClientError
    from pykbroker.protocol.errors import KafkaError

    mark = request.node.get_closest_marker("kafka_topic")
    plain = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")
    topic = f"{plain[:MAX_TOPIC_CHARACTERS]}-{uuid4().hex[:8]}"
    kafka_broker.create_topic(topic, **(mark.kwargs if mark else {}))
    _offer(request, "kafka_topic", topic)
    yield topic
    # The test may have deleted it, or have stopped or restored the broker.
    with suppress(ClientError, KafkaError, RuntimeError):
        kafka_broker.delete_topic(topic)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note where the test begins."""
    item.stash[_BEGINNINGS] = {
        id(broker): (broker.log_lines.count, broker.request_log.count) for broker in _brokers()
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure what the brokers have done since the test began."""
    report = yield
    if report.failed:
        beginnings = item.stash.get(_BEGINNINGS, {})
        for broker in _brokers():
            first_line, first_request = beginnings.get(id(broker), (0, 0))
            for title, lines in (
                (f"log of {broker}", broker.log_lines.since(first_line)),
                (f"last requests to {broker}", broker.request_log.since(first_request)),
            ):
                if lines:
                    report.sections.append((title, "\n".join(lines[-LAST_LINES:])))
    return report


def _brokers() -> list[Any]:
    """All brokers of this process; none unless somebody has imported what makes them."""
    base = sys.modules.get("pykbroker.testing.base")
    return [] if base is None else list(base.BROKERS)


def _settings(config: pytest.Config) -> dict[str, str]:
    """The settings of the ini file."""
    settings = {}
    for line in config.getini("kafka_broker_settings"):
        name, equals, value = line.partition("=")
        if not equals:
            raise pytest.UsageError(f"kafka_broker_settings: {line!r} is not KEY=VALUE")
        settings[name.strip()] = value.strip()
    return settings


def _of_mark(
    settings: dict[str, Any] | None = None, *, process: bool = False
) -> tuple[dict[str, Any], bool]:
    """Read the arguments of the marker `kafka_broker`."""
    return settings or {}, process


def _offer(request: pytest.FixtureRequest, name: str, value: object) -> None:
    """Give a fixture to a unittest.TestCase, whose methods take no arguments."""
    unittest = sys.modules.get("unittest")
    if unittest is not None and isinstance(request.instance, unittest.TestCase):
        setattr(request.instance, name, value)
