import pytest

from pykbroker.config.topic_keys import TOPIC_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(TOPIC_KEYS)
    assert len(TOPIC_KEYS) == 34


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retention.ms", ("LONG", "604800000", "[-1,...]", "read-only")),
        ("compression.gzip.level", ("INT", "-1", "[1,...,9] or -1", "read-only")),
    ],
)
def test_facts_of_some_settings(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(TOPIC_KEYS, name) == expected
