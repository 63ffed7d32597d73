import pytest

from pykbroker.config.log_keys import LOG_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(LOG_KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log.retention.ms", ("LONG", None, None, "cluster-wide")),
        ("log.segment.bytes", ("INT", "1073741824", "[1048576,...]", "cluster-wide")),
        ("log.cleanup.policy", ("LIST", "delete", "[compact, delete]", "cluster-wide")),
        ("log.cleaner.min.cleanable.ratio", ("DOUBLE", "0.5", "[0,...,1]", "cluster-wide")),
        ("num.partitions", ("INT", "1", "[1,...]", "read-only")),
    ],
)
def test_facts_are_those_of_kafka(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(LOG_KEYS, name) == expected
