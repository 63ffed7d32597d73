"""Addresses to listen on and to advertise: `NAME://host:port`.

A listener has a name; the security protocol belongs to the name by
`listener.security.protocol.map`. An empty host means all interfaces; an IPv6 address stands in
brackets. Rules of Kafka 4.3's `AbstractKafkaConfig.listenerListToEndPoints` and
`KafkaConfig.validateValues`. Only PLAINTEXT is supported yet; controller listeners are not
opened, because this broker has no separate controller.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pykbroker.config.keys import ConfigError

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SUPPORTED_PROTOCOLS = ("PLAINTEXT",)
_LISTENER = re.compile(r"([^:/]*)://(?:\[([0-9a-fA-F:.%\w]*)\]|([0-9a-zA-Z\-%._:]*)):([0-9]{1,10})")
_MAX_PORT = 65535
DEFAULT_PORT = 9092


class Listener(NamedTuple):
    """One address. `host` is "" for all interfaces; port 0 lets the system choose."""

    name: str
    security_protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


def parse_address(text: str) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: The port is no number of 0 to 65535, or there is no host.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        host, port = text, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def parse_protocol_map(text: str) -> dict[str, str]:
    """Read `NAME:PROTOCOL,NAME:PROTOCOL`; names count in upper case."""
    protocols: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, colon, protocol = (part.strip().upper() for part in item.partition(":"))
        if not colon or not name or protocol not in SECURITY_PROTOCOLS:
            raise ConfigError(
                f"Invalid value {text} for configuration listener.security.protocol.map: "
                f"expected NAME:PROTOCOL with a protocol of {', '.join(SECURITY_PROTOCOLS)}"
            )
        if name in protocols:
            raise ConfigError(f"listener.security.protocol.map names {name} twice")
        protocols[name] = protocol
    return protocols


def parse_listeners(
    setting: str, items: Sequence[str], protocols: Mapping[str, str]
) -> tuple[Listener, ...]:
    """Read the items of `listeners` or `advertised.listeners`.

    Raises:
        ConfigError: An item cannot be read, or has no known security protocol, or two of them
            have the same name or, in `listeners`, the same port.
    """
    found = tuple(_parse_listener(setting, item, protocols) for item in items)
    names = [listener.name for listener in found]
    if len(set(names)) != len(names):
        raise ConfigError(f"{setting}: each listener must have a different name: {','.join(items)}")
    if setting == "listeners":
        _refuse_shared_ports(found, items)
    return found


def _parse_listener(setting: str, item: str, protocols: Mapping[str, str]) -> Listener:
    match = _LISTENER.fullmatch(item.strip())
    if match is None or int(match[4]) > _MAX_PORT:
        raise ConfigError(
            f"Invalid value {item} for configuration {setting}: expected NAME://host:port, "
            "for instance PLAINTEXT://127.0.0.1:9092 or PLAINTEXT://[::1]:9092"
        )
    name = match[1].upper()
    protocol = protocols.get(name)
    if protocol is None:
        raise ConfigError(
            f"{setting}: no security protocol is defined for listener {name}; "
            "add it to listener.security.protocol.map"
        )
    return Listener(name, protocol, match[2] or match[3] or "", int(match[4]))


def _refuse_shared_ports(listeners: Sequence[Listener], items: Sequence[str]) -> None:
    """Allow one port twice only for an IPv4 and an IPv6 address (KIP-797)."""
    for index, listener in enumerate(listeners):
        for other in listeners[index + 1 :]:
            if listener.port == 0 or listener.port != other.port:
                continue
            if (":" in listener.host) == (":" in other.host):
                raise ConfigError(
                    f"listeners: each listener must have a different port: {','.join(items)}"
                )


def refuse_unsupported(listeners: Sequence[Listener]) -> None:
    """Refuse to listen with a security protocol that is not implemented."""
    for listener in listeners:
        if listener.security_protocol not in SUPPORTED_PROTOCOLS:
            raise ConfigError(
                f"listener {listener}: security protocol {listener.security_protocol} is not "
                f"supported yet, only {', '.join(SUPPORTED_PROTOCOLS)}"
            )
