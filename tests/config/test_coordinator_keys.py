import pytest

from pykbroker.config.coordinator_keys import COORDINATOR_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(COORDINATOR_KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("offsets.topic.num.partitions", ("INT", "50", "[1,...]", "read-only")),
        ("offsets.topic.replication.factor", ("SHORT", "1", "[1,...]", "read-only")),
        ("group.share.max.size", ("INT", "200", "[1,...,1000]", "read-only")),
        ("producer.id.expiration.ms", ("INT", "86400000", "[1,...]", "cluster-wide")),
    ],
)
def test_facts_are_those_of_kafka(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(COORDINATOR_KEYS, name) == expected
