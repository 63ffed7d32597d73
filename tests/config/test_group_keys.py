import pytest

from pykbroker.config.group_keys import GROUP_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(GROUP_KEYS)
    assert len(GROUP_KEYS) == 17


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("consumer.session.timeout.ms", ("INT", "45000", "[1,...]", "read-only")),
        ("share.delivery.count.limit", ("INT", "5", "[2,...]", "read-only")),
    ],
)
def test_facts_of_some_settings(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(GROUP_KEYS, name) == expected
