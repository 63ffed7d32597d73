import pytest

from pykbroker.config.client_metrics_keys import CLIENT_METRICS_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(CLIENT_METRICS_KEYS)
    assert len(CLIENT_METRICS_KEYS) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("interval.ms", ("INT", "300000", None, "read-only")),
        ("match", ("LIST", "", "a list", "read-only")),
    ],
)
def test_facts_of_some_settings(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(CLIENT_METRICS_KEYS, name) == expected
