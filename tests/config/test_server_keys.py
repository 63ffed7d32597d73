import pytest

from pykbroker.config.server_keys import SERVER_KEYS
from tests.harness.config_tables import check_table, facts


def test_every_line_is_complete_and_every_default_is_allowed() -> None:
    check_table(SERVER_KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("socket.request.max.bytes", ("INT", "104857600", "[1,...]", "read-only")),
        ("max.connections", ("INT", "2147483647", "[0,...]", "cluster-wide")),
        ("process.roles", ("LIST", "broker,controller", "[broker, controller]", "read-only")),
        ("broker.rack", ("STRING", None, None, "read-only")),
        ("listeners", ("LIST", "PLAINTEXT://127.0.0.1:9092", "any non-empty value", "read-only")),
    ],
)
def test_facts_are_those_of_kafka(
    name: str, expected: tuple[str, str | None, str | None, str]
) -> None:
    assert facts(SERVER_KEYS, name) == expected
