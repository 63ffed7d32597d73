"""Text as Java sees it: in UTF-16 units. Kafka places groups and counts metadata that way."""

from functools import lru_cache
from typing import Final

_BITS: Final = 0xFFFFFFFF
_SIGN_BIT: Final = 0x80000000
# Ids come with every request, and from clients: a few thousand long ones would be much memory.
MAX_REMEMBERED_LENGTH: Final = 128


def utf16_length(text: str) -> int:
    """Return String.length(): characters outside the basic plane count twice."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def java_hash(text: str) -> int:
    """Return String.hashCode(): base 31 over UTF-16 units in signed 32-bit arithmetic."""
    result = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(encoded[::2], encoded[1::2], strict=True):
        result = (31 * result + (high << 8) + low) & _BITS
    return result - (_SIGN_BIT << 1) if result & _SIGN_BIT else result


@lru_cache(maxsize=8192)
def _remembered_hash(text: str) -> int:
    return java_hash(text)


def partition_for(coordinator_key: str, partition_count: int) -> int:
    """Return the partition of an internal topic that a group or transactional id belongs to.

    The absolute value of the smallest int32 counts as 0 (Kafka's Utils.abs).
    """
    is_short = len(coordinator_key) <= MAX_REMEMBERED_LENGTH
    hashed = _remembered_hash(coordinator_key) if is_short else java_hash(coordinator_key)
    return (0 if hashed == -_SIGN_BIT else abs(hashed)) % partition_count
