"""The image, built once for all tests of the suite; a fresh name for what they make in Docker."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from compat.containers.engine import NoEngineError, an_engine
from compat.containers.images import build_image
from compat.targets import PykbrokerTarget, Target

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def image(target_class: type[Target]) -> Iterator[str]:
    """The image under test; skips where there is no Docker Engine."""
    if target_class is not PykbrokerTarget:
        pytest.skip("an image of Apache Kafka is not our affair")
    try:
        with an_engine():
            yield build_image()
    except NoEngineError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def docker_name() -> Callable[[str], str]:
    """Makes names of networks, volumes and containers that nothing else has."""
    return lambda kind: f"pykbroker-compat-{kind}-{os.getpid()}-{next(_numbers)}"
