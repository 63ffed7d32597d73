import pytest

from pykbroker.config.security_keys import SECURITY_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(SECURITY_KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ssl.keystore.password", ("PASSWORD", None, None, "per-broker")),
        ("ssl.client.auth", ("STRING", "none", "[required, requested, none]", "per-broker")),
        ("sasl.kerberos.ticket.renew.jitter", ("DOUBLE", "0.05", None, "per-broker")),
        ("connections.max.reauth.ms", ("LONG", "0", None, "read-only")),
    ],
)
def test_facts_are_those_of_kafka(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(SECURITY_KEYS, name) == expected
