"""Brokers of a test's own, for it harms them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from compat.targets import PykbrokerTarget, Target


@pytest.fixture
def resources(target_class: type[Target]) -> Iterator[ExitStack]:
    """Undoes everything at the end of the test, the last thing first."""
    if target_class is not PykbrokerTarget:
        pytest.skip("how Apache Kafka takes this is not our affair")
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def a_broker(resources: ExitStack) -> Callable[..., Target]:
    """Makes a broker that is not started yet; arguments as for `Target`."""

    def make(**arguments: Any) -> Target:
        target = PykbrokerTarget(**arguments)
        resources.callback(target.close)
        return target

    return make
