"""Starts both brokers, once for all cases."""

from collections.abc import Iterator

import pytest

from compat.differential.cases import Pair
from compat.differential.pairs import running_pair
from compat.targets import Target


@pytest.fixture(scope="session")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """The brokers; a module whose cases need settings of their own has a fixture of this name."""
    with running_pair(target_class) as running:
        yield running
