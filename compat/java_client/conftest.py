"""One broker and, for each release of the client, one JVM for all scenarios."""

from collections.abc import Iterator

import pytest

from compat.java_client.scenarios import OLD_VERSION, Scenarios, old_client_libs
from compat.outside import BuildError
from compat.runtimes import require
from compat.targets import KAFKA_VERSION


@pytest.fixture(scope="session", params=[KAFKA_VERSION, OLD_VERSION])
def scenarios(request: pytest.FixtureRequest) -> Iterator[Scenarios]:
    """The client of one release."""
    require("javac")
    try:
        libs = old_client_libs() if request.param == OLD_VERSION else None
    except BuildError as reason:
        pytest.skip(f"the old client cannot be fetched: {reason}")
    found = Scenarios(libs)
    yield found
    found.close()
