from __future__ import annotations

import pytest

from compat.groups.ownership import Ownership, overlaps


def told(*lines: tuple[str, dict[str, object]]) -> Ownership:
    ownership = Ownership()
    for member, said in lines:
        ownership.take(member, said)
    return ownership


def test_two_owners_at_one_time_are_named() -> None:
    ownership = told(
        ("a", {"assigned": [0, 1], "at": 1_000_000}),
        ("b", {"assigned": [0], "at": 2_000_000}),
        ("a", {"revoked": [0, 1], "at": 5_000_000}),
    )

    assert list(overlaps(ownership.intervals)) == [
        "partition 0: b had it 3.0 ms while a had it",
    ]
    assert ownership.owned() == [0]


@pytest.mark.parametrize(
    "end",
    [{"revoked": [0], "at": 2}, {"closing": True, "at": 2}, {"lost": [0], "at": 9}],
    ids=lambda said: next(iter(said)),
)
def test_one_owner_after_the_other_is_as_it_should_be(end: dict[str, object]) -> None:
    ownership = told(
        ("a", {"assigned": [0], "at": 1}), ("a", end), ("b", {"assigned": [0], "at": 3})
    )

    assert list(overlaps(ownership.intervals)) == []
    assert ownership.owned_by("b") == {0}


def test_a_member_that_was_killed_owns_nothing_more() -> None:
    ownership = told(("a", {"assigned": [0], "at": 1}))
    ownership.end("a", 2)
    ownership.take("b", {"assigned": [0], "at": 3})

    assert list(overlaps(ownership.intervals)) == []
    assert ownership.owned() == [0]


def test_what_is_assigned_while_a_member_closes_is_nobodys() -> None:
    ownership = told(
        ("a", {"closing": True, "at": 1}),
        ("a", {"assigned": [0], "at": 2}),
        ("b", {"assigned": [0], "at": 3}),
    )

    assert ownership.owned() == [0]
    assert list(overlaps(ownership.intervals)) == []


def test_a_long_owner_is_seen_behind_a_short_one() -> None:
    ownership = told(
        ("a", {"assigned": [0], "at": 1}),
        ("b", {"assigned": [0], "at": 2}),
        ("b", {"revoked": [0], "at": 3}),
        ("c", {"assigned": [0], "at": 4}),
    )

    assert len(list(overlaps(ownership.intervals))) == 2


def test_records_count_each_time_and_are_kept_once() -> None:
    ownership = told(("a", {"record": [0, 5]}), ("b", {"record": [0, 5]}))

    assert ownership.read == 2
    assert ownership.records == {(0, 5)}
