"""The broker of the tellers and workers."""

import pytest


@pytest.fixture(scope="session")
def broker_settings() -> dict[str, str]:
    return {
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        # What a client leaves open when it dies for good is ended soon.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    }
