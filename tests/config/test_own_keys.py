import pytest

from pykbroker.config.own_keys import OWN_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(OWN_KEYS)
    assert len(OWN_KEYS) == 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pykbroker.busy.poll.us", ("INT", "200", "[0,...,100000]", "read-only")),
        (
            "pykbroker.cluster.id",
            ("STRING", "", "empty, or printable ASCII without spaces and backslashes", "read-only"),
        ),
        ("pykbroker.fsync", ("STRING", "always", "[always, never]", "read-only")),
        ("pykbroker.replication.factor.cap", ("BOOLEAN", "false", None, "read-only")),
    ],
)
def test_facts_of_some_settings(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(OWN_KEYS, name) == expected
