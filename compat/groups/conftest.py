"""The broker of the members that come and go."""

import pytest


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    # Members of the consumer protocol that die are noticed as soon as those of the classic one.
    return {
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "500",
    }
