"""One broker and one JVM for all of Kafka's tools."""

from collections.abc import Callable, Iterator

import pytest

from compat.apache_tools.tools import Tools
from compat.runtimes import require
from compat.targets import Target


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    return {"num.partitions": "1"}


@pytest.fixture(scope="session")
def session_tools(fresh_broker: Target) -> Iterator[Tools]:
    require("javac")
    with Tools(fresh_broker.address) as tools:
        yield tools


@pytest.fixture
def tools(session_tools: Tools, fresh_broker: Target) -> Iterator[Tools]:
    yield session_tools
    assert fresh_broker.is_running, fresh_broker.process.describe()


@pytest.fixture
def topic(tools: Tools, name: Callable[[str], str]) -> str:
    """A new topic with one partition."""
    return tools.create_topic(name("topic").replace(".", "-").replace("_", "-"))


@pytest.fixture
def group(name: Callable[[str], str]) -> str:
    return name("group")
