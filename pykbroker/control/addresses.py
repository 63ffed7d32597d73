"""Addresses that only programs of this machine reach."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
