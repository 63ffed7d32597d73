"""Uuids as Kafka spells them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.uuids import uuid_from_text, uuid_to_text

SPELLINGS = [
    (bytes(16), "AAAAAAAAAAAAAAAAAAAAAA"),
    (b"\xff" * 16, "_____________________w"),
    (bytes(range(16)), "AAECAwQFBgcICQoLDA0ODw"),
    (b"\xfb\xef\xbe" * 5 + b"\xfb", "---------------------w"),
]


@pytest.mark.parametrize(("uuid", "text"), SPELLINGS)
def test_a_uuid_is_spelled_in_url_safe_base64_without_padding(uuid: bytes, text: str) -> None:
    assert uuid_to_text(uuid) == text
    assert uuid_from_text(text) == uuid


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.binary(min_size=16, max_size=16))
def test_every_uuid_survives_the_round_trip(uuid: bytes) -> None:
    assert uuid_from_text(uuid_to_text(uuid)) == uuid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAA AAAAAAAAAAA",
        "+++++++++++++++++++++A",
        "//////////////////////",
        "AAAAAAAAAAAAAAAAAAAA==",
        "größeAAAAAAAAAAAAAAAAA",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"uuid"):
        uuid_from_text(text)


@pytest.mark.parametrize("uuid", [b"", bytes(15), bytes(17)])
def test_other_lengths_are_refused(uuid: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        uuid_to_text(uuid)
