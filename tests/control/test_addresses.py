import pytest

from pykbroker.control.addresses import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_a_loopback_address_is_this_machine_for_itself(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
