"""One broker whose topics have one partition where nobody says another number."""

import pytest


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    return {"num.partitions": "1"}
