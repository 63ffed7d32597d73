"""Runs every test in three lives of one broker: fresh, after SIGTERM, and after SIGKILL.

`--target kafka` runs the same tests against Apache Kafka. What a test has been told is safe goes
into the `ledger`; tests marked `after_restart` look in the later lives for everything there.
"""

import gc
import itertools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat.ledger import Ledger
from compat.targets import TARGETS, Target, TargetUnavailable

FIRST_LIFE = "fresh"
LIVES = (FIRST_LIFE, "after SIGTERM", "after SIGKILL")

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        choices=sorted(TARGETS),
        default="pykbroker",
        help="the broker that the compatibility tests run against",
    )
    parser.addoption(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1 << 32),
        help="repeats the random moments of an earlier run (durability/)",
    )
    parser.addoption(
        "--rounds",
        type=int,
        help="how often a broker is killed (durability/), how many logs are cleaned (compaction/)",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"compat: target {config.getoption('--target')}, --seed={config.getoption('--seed')}"


def pytest_configure(config: pytest.Config) -> None:
    # What a check shared by several suites compares is shown when it differs.
    pytest.register_assert_rewrite(
        "compat.kafka_python_integration.checks", "compat.program_scenarios"
    )
    config.addinivalue_line("markers", "after_restart: reads what earlier lives have written")
    # Of the cases of differential/, which differential_restarts/ has too.
    config.addinivalue_line("markers", "first_version: the first of several versions of a case")
    config.addinivalue_line(
        "markers", "version_between: neither the first nor the last version of a case"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A fresh broker has no earlier life to look at."""
    needless = [item for item in items if _is_needless(item)]
    if needless:
        config.hook.pytest_deselected(items=needless)
        items[:] = [item for item in items if not _is_needless(item)]


def _is_needless(item: pytest.Item) -> bool:
    if item.get_closest_marker("after_restart") is None:
        return False
    assert isinstance(item, pytest.Function)
    return bool(item.callspec.params["life"] == FIRST_LIFE)


@pytest.fixture(scope="session")
def target_class(request: pytest.FixtureRequest) -> type[Target]:
    """The broker chosen by `--target`, for tests that start their own."""
    chosen: type[Target] = TARGETS[request.config.getoption("--target")]
    return chosen


@pytest.fixture(scope="session")
def shared_broker(target_class: type[Target]) -> Iterator[Target]:
    try:
        target = target_class()
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with target:
        yield target


@pytest.fixture(scope="session", params=LIVES)
def life(request: pytest.FixtureRequest, shared_broker: Target) -> str:
    """Puts the shared broker into its next life."""
    name: str = request.param
    # Clients that only live on in a reference cycle would complain about every stop.
    gc.collect()
    if name == "after SIGTERM":
        shared_broker.stop()
        shared_broker.restart()
    elif name == "after SIGKILL":
        shared_broker.kill()
        shared_broker.restart()
    return name


@pytest.fixture
def broker(shared_broker: Target, life: str) -> Iterator[Target]:
    """The broker, running; a test that ends it fails, and the next one gets it started again."""
    if not shared_broker.is_running:
        shared_broker.restart()
    yield shared_broker
    assert shared_broker.is_running, f"the broker ended: {shared_broker.process.describe()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`fresh_broker` is one broker for each suite, also where one process runs several suites."""
    if "fresh_broker" in metafunc.fixturenames:
        suite = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
        ids = [pytest.HIDDEN_PARAM]
        metafunc.parametrize("fresh_broker", [suite], indirect=True, ids=ids, scope="session")


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    """Settings of `fresh_broker` on top of `targets.SETTINGS`; a suite's conftest has its own."""
    return {}


@pytest.fixture(scope="session")
def fresh_broker(target_class: type[Target], broker_settings: dict[str, str]) -> Iterator[Target]:
    """A broker in one life, that all tests of a suite share."""
    try:
        target = target_class(broker_settings)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with target:
        yield target


@pytest.fixture(scope="session")
def ledgers() -> dict[str, Ledger]:
    return {}


@pytest.fixture
def ledger(request: pytest.FixtureRequest, ledgers: dict[str, Ledger]) -> Ledger:
    """What this client (the test's folder) was told is safe, over all lives so far."""
    return ledgers.setdefault(Path(request.path).parent.name, Ledger())


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes names of topics and groups that nothing else in this run has."""
    stem = re.sub(r"\W+", "-", request.node.originalname.removeprefix("test_"))[:60]
    return lambda kind: f"{stem}.{kind}.{next(_numbers)}"
