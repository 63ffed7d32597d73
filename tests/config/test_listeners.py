import pytest

from pykbroker.config.keys import ConfigError
from pykbroker.config.listeners import (
    Listener,
    parse_address,
    parse_listeners,
    parse_protocol_map,
    refuse_unsupported,
)

PROTOCOLS = {"PLAINTEXT": "PLAINTEXT", "LAN": "PLAINTEXT", "TLS": "SSL"}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("PLAINTEXT://127.0.0.1:9092", Listener("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 9092)),
        ("lan://broker-1.example:0", Listener("LAN", "PLAINTEXT", "broker-1.example", 0)),
        ("PLAINTEXT://:9092", Listener("PLAINTEXT", "PLAINTEXT", "", 9092)),
        ("PLAINTEXT://[::1]:9092", Listener("PLAINTEXT", "PLAINTEXT", "::1", 9092)),
        ("TLS://[fe80::1%eth0]:1", Listener("TLS", "SSL", "fe80::1%eth0", 1)),
    ],
)
def test_a_listener_has_name_protocol_host_and_port(item: str, expected: Listener) -> None:
    assert parse_listeners("listeners", [item], PROTOCOLS) == (expected,)


def test_a_listener_prints_as_it_is_written() -> None:
    for text in ("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://[::1]:0", "PLAINTEXT://:9092"):
        (listener,) = parse_listeners("listeners", [text], PROTOCOLS)
        assert str(listener) == text


@pytest.mark.parametrize(
    "item", ["", "9092", "127.0.0.1:9092", "PLAINTEXT://127.0.0.1", "PLAINTEXT://h:65536"]
)
def test_a_malformed_listener_is_refused_with_an_example(item: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME://host:port, for instance PLAINTEXT://"):
        parse_listeners("listeners", [item], PROTOCOLS)


def test_a_listener_needs_a_known_security_protocol() -> None:
    with pytest.raises(ConfigError, match="no security protocol is defined for listener FOO"):
        parse_listeners("listeners", ["FOO://h:1"], PROTOCOLS)


def test_names_must_differ() -> None:
    with pytest.raises(ConfigError, match="different name"):
        parse_listeners("listeners", ["LAN://a:1", "LAN://b:2"], PROTOCOLS)


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        ("LAN://a:1", "PLAINTEXT://b:1", False),
        ("LAN://[::1]:1", "PLAINTEXT://[::2]:1", False),
        ("LAN://127.0.0.1:1", "PLAINTEXT://[::1]:1", True),
        ("LAN://a:0", "PLAINTEXT://b:0", True),
        ("LAN://a:1", "PLAINTEXT://a:2", True),
    ],
)
def test_a_port_is_shared_only_by_ipv4_and_ipv6(first: str, second: str, allowed: bool) -> None:
    if allowed:
        assert len(parse_listeners("listeners", [first, second], PROTOCOLS)) == 2
        return
    with pytest.raises(ConfigError, match="different port"):
        parse_listeners("listeners", [first, second], PROTOCOLS)


def test_advertised_ports_may_be_the_same() -> None:
    both = parse_listeners("advertised.listeners", ["LAN://a:1", "PLAINTEXT://b:1"], PROTOCOLS)

    assert [listener.port for listener in both] == [1, 1]


def test_the_map_gives_protocols_to_names() -> None:
    assert parse_protocol_map("lan:plaintext, WAN:SASL_SSL,") == {
        "LAN": "PLAINTEXT",
        "WAN": "SASL_SSL",
    }


@pytest.mark.parametrize("text", ["LAN", "LAN:FOO", ":PLAINTEXT"])
def test_a_malformed_map_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME:PROTOCOL with a protocol of PLAINTEXT"):
        parse_protocol_map(text)


def test_a_name_twice_in_the_map_is_refused() -> None:
    with pytest.raises(ConfigError, match="names LAN twice"):
        parse_protocol_map("LAN:SSL,lan:PLAINTEXT")


def test_only_plaintext_is_opened() -> None:
    refuse_unsupported(parse_listeners("listeners", ["LAN://a:1"], PROTOCOLS))
    with pytest.raises(ConfigError, match=r"TLS://a:1: security protocol SSL is not supported yet"):
        refuse_unsupported(parse_listeners("listeners", ["TLS://a:1"], PROTOCOLS))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:9093", ("localhost", 9093)),
        ("localhost", ("localhost", 9092)),
        ("[::1]:9093", ("::1", 9093)),
        ("[::1]", ("::1", 9092)),
        ("10.0.0.1:0", ("10.0.0.1", 0)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":9092", "host:", "host:port", "host:65536", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse_address(text)
