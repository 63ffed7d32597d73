from __future__ import annotations

import pytest

from pykbroker.coordinator.group import java_text
from pykbroker.coordinator.group.java_text import (
    MAX_REMEMBERED_LENGTH,
    java_hash,
    partition_for,
    utf16_length,
)


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        # Values of Java's String.hashCode().
        ("", 0),
        ("a", 97),
        ("g", 103),
        ("simple", -902286926),
        ("hello world", 1794106052),
        ("polygenelubricants", -2147483648),
        ("é", 233),
        ("\U0001f600", 1772899),
    ],
)
def test_the_hash_is_that_of_java(text: str, hashed: int) -> None:
    assert java_hash(text) == hashed


@pytest.mark.parametrize(
    ("group_id", "partition"),
    [("g", 3), ("simple", 26), ("", 0), ("polygenelubricants", 0)],
)
def test_a_group_belongs_where_apache_kafka_puts_it(group_id: str, partition: int) -> None:
    assert partition_for(group_id, 50) == partition


@pytest.mark.parametrize("length", [MAX_REMEMBERED_LENGTH, MAX_REMEMBERED_LENGTH + 1])
def test_long_ids_belong_where_their_hash_says_and_are_not_remembered(length: int) -> None:
    remembered = java_text._remembered_hash.cache_info().misses

    assert partition_for("x" * length, 50) == abs(java_hash("x" * length)) % 50

    asked = java_text._remembered_hash.cache_info().misses - remembered
    assert asked == (length <= MAX_REMEMBERED_LENGTH)


def test_text_is_measured_in_utf16_units() -> None:
    assert utf16_length("abc") == 3
    assert utf16_length("é") == 1
    assert utf16_length("\U0001f600!") == 3
