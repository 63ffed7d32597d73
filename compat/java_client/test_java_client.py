"""Every scenario of the Java programs in this folder, each a method that checks for itself."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from compat.java_client.scenarios import Scenarios
from compat.targets import Target

_SCENARIO = re.compile(r"^    static void (\w+)\(Client client\)", re.MULTILINE)


def _scenarios() -> list[str]:
    """CLASS.METHOD of each scenario in the sources."""
    found = [
        f"{source.stem}.{method}"
        for source in sorted(Path(__file__).parent.glob("*.java"))
        for method in _SCENARIO.findall(source.read_text())
    ]
    assert len(found) > 20
    return found


@pytest.mark.parametrize("scenario", _scenarios())
def test_scenario(
    scenario: str, scenarios: Scenarios, fresh_broker: Target, name: Callable[[str], str]
) -> None:
    scenarios.run(scenario, fresh_broker, name("java").replace(".", "-").replace("_", "-"))
    assert fresh_broker.is_running, fresh_broker.process.describe()
