"""The tests of a suite that runs kafka-python's own; its test module imports all of these names.

`TESTS` of that module says which version is run, and what must pass.
"""

import pytest

from compat.kafka_python_integration.own_tests import BROKER_SETTINGS, Outcome
from compat.targets import Target


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each of kafka-python's."""
    if "own_test" in metafunc.fixturenames:
        metafunc.parametrize("own_test", metafunc.module.TESTS.must_pass)


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    return BROKER_SETTINGS


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    fresh_broker: Target,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Outcome]:
    """Of all tests, which run once."""
    found: dict[str, Outcome] = request.module.TESTS.run(
        fresh_broker, tmp_path_factory.mktemp("kafka-python")
    )
    return found


def test_passes(outcomes: dict[str, Outcome], own_test: str) -> None:
    assert own_test in outcomes, "it did not run"
    outcome = outcomes[own_test]
    if outcome.kind != "passed":
        pytest.fail(f"{outcome.kind}: {outcome.reason}", pytrace=False)


def test_none_is_forgotten(request: pytest.FixtureRequest, outcomes: dict[str, Outcome]) -> None:
    assert set(outcomes) == set(request.module.TESTS.must_pass)
