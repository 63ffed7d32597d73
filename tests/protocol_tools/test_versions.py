"""Ranges of versions."""

import pytest

from protocol.versions import NO_VERSIONS, VersionRange


@pytest.mark.parametrize(
    ("text", "first", "last"), [("0", 0, 0), ("3-7", 3, 7), ("4+", 4, 32767), ("none", 0, -1)]
)
def test_a_range_is_read_and_written_as_kafka_spells_it(text: str, first: int, last: int) -> None:
    versions = VersionRange.parse(text)
    assert (versions.first, versions.last) == (first, last)
    assert str(versions) == text


@pytest.mark.parametrize("text", ["", "a", "1-b", "+"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        VersionRange.parse(text)


def test_ranges_can_be_cut_and_joined() -> None:
    low, high = VersionRange(0, 5), VersionRange(4, 9)
    assert low & high == VersionRange(4, 5)
    assert low.hull(high) == VersionRange(0, 9)
    assert not VersionRange(0, 1) & VersionRange(3, 4)
    assert NO_VERSIONS.hull(low) == low.hull(NO_VERSIONS) == low


def test_what_a_range_covers() -> None:
    assert VersionRange(0, 5).covers(VersionRange(1, 5))
    assert not VersionRange(0, 5).covers(VersionRange(1, 6))
    assert VersionRange(3, 5).covers(NO_VERSIONS)
    assert [version for version in range(7) if version in VersionRange(3, 5)] == [3, 4, 5]
    assert list(VersionRange(3, 5)) == [3, 4, 5]
