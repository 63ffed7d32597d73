"""Starts both brokers, once for all cases."""

from collections.abc import Iterator

import pytest

from compat.differential.cases import Pair
from compat.differential.pairs import EAGER_SETTINGS, OTHER_SETTINGS, running_pair
from compat.targets import Target


@pytest.fixture(scope="session")
def pair(target_class: type[Target], request: pytest.FixtureRequest) -> Iterator[Pair]:
    """The brokers; a module whose cases need settings of their own has a fixture of this name."""
    with running_pair(target_class) as running:
        running.rounds = request.config.getoption("--rounds") or 1
        yield running


@pytest.fixture(scope="session")
def other_pair(target_class: type[Target]) -> Iterator[Pair]:
    """The brokers with OTHER_SETTINGS."""
    with running_pair(target_class, OTHER_SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def eager_pair(target_class: type[Target]) -> Iterator[Pair]:
    """The brokers with EAGER_SETTINGS."""
    with running_pair(target_class, EAGER_SETTINGS) as running:
        yield running


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "after_all_cases: looks at what the cases have seen")
    config.addinivalue_line("markers", "waits: most cases of the module wait a second or more")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what looks at all cases behind them."""
    items.sort(key=lambda item: item.get_closest_marker("after_all_cases") is not None)
