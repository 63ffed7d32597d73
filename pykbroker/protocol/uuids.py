"""Kafka's spelling of a uuid: 22 characters of url-safe base64 without padding.

On the wire and in memory a uuid is 16 bytes. Source: Kafka's class `Uuid` (`toString`,
`fromString`).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

UUID_BYTES: Final = 16
_TEXT_LENGTH: Final = 22


def uuid_to_text(uuid: bytes) -> str:
    """Spell a uuid of 16 bytes as Kafka's tools do.

    Raises:
        ValueError: The uuid is not 16 bytes long.
    """
    if len(uuid) != UUID_BYTES:
        raise ValueError(f"a uuid has {UUID_BYTES} bytes, not {len(uuid)}")
    return urlsafe_b64encode(uuid).decode("ascii").rstrip("=")


def uuid_from_text(text: str) -> bytes:
    """Read the 22 characters that Kafka's tools print.

    Raises:
        ValueError: The text is not exactly such a spelling.
    """
    if len(text) != _TEXT_LENGTH:
        raise ValueError(f"a uuid is spelled with {_TEXT_LENGTH} characters: {text!r}")
    try:
        # The standard decoder would skip foreign characters and take "+" and "/" for "-" and "_".
        uuid = urlsafe_b64decode(text + "==")
        if len(uuid) == UUID_BYTES and uuid_to_text(uuid)[:-1] == text[:-1]:
            return uuid
    except (Base64Error, UnicodeEncodeError, ValueError):
        pass
    raise ValueError(f"{text!r} is no uuid in base64")
