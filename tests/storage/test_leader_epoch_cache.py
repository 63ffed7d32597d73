"""Leader epochs: where each one starts and ends."""

from __future__ import annotations

import pytest

from pykbroker.storage.leader_epoch_cache import LeaderEpochCache

ENTRIES = [(1, 0), (3, 10), (4, 25)]


def test_only_newer_epochs_are_added() -> None:
    cache = LeaderEpochCache()
    assert cache.latest_epoch == -1

    assert cache.assign(2, 0)
    assert not cache.assign(2, 5)
    assert not cache.assign(1, 5)
    assert not cache.assign(-1, 5)
    assert cache.assign(4, 5)

    assert cache.entries == [(2, 0), (4, 5)]
    assert cache.latest_epoch == 4


def test_an_epoch_without_records_is_replaced() -> None:
    cache = LeaderEpochCache(ENTRIES)

    assert cache.assign(5, 25)

    assert cache.entries == [(1, 0), (3, 10), (5, 25)]


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (-1, (-1, -1)),
        (-2, (-2, 0)),  # Kafka knows only -1 as none
        (0, (0, 0)),  # older than all that are known
        (1, (1, 10)),
        (2, (1, 10)),
        (3, (3, 25)),
        (4, (4, 100)),
        (5, (-1, -1)),
    ],
)
def test_an_epoch_ends_where_the_next_one_starts(epoch: int, expected: tuple[int, int]) -> None:
    assert LeaderEpochCache(ENTRIES).end_offset_for(epoch, 4, 100) == expected


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(3, (3, 25)), (4, (4, 100)), (5, (4, 100)), (6, (6, 100)), (7, (-1, -1))],
)
def test_an_epoch_begins_before_anything_is_written_in_it(
    epoch: int, expected: tuple[int, int]
) -> None:
    assert LeaderEpochCache(ENTRIES).end_offset_for(epoch, 6, 100) == expected


def test_an_empty_cache_knows_no_epoch() -> None:
    assert LeaderEpochCache().end_offset_for(1, 0, 0) == (-1, -1)
    assert LeaderEpochCache().end_offset_for(0, 1, 0) == (0, 0)
    assert LeaderEpochCache().epoch_at(5) == -1


@pytest.mark.parametrize(("offset", "epoch"), [(0, 1), (9, 1), (10, 3), (25, 4), (99, 4)])
def test_the_epoch_of_an_offset_is_known(offset: int, epoch: int) -> None:
    assert LeaderEpochCache(ENTRIES).epoch_at(offset) == epoch


@pytest.mark.parametrize(
    ("end", "expected"), [(26, ENTRIES), (25, ENTRIES[:2]), (10, ENTRIES[:1]), (0, [])]
)
def test_cutting_the_end_drops_the_epochs_there(end: int, expected: list[tuple[int, int]]) -> None:
    cache = LeaderEpochCache(ENTRIES)

    assert cache.truncate_from_end(end) is (expected != ENTRIES)

    assert cache.entries == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (0, ENTRIES),
        (5, [(1, 5), (3, 10), (4, 25)]),
        (10, [(3, 10), (4, 25)]),
        (12, [(3, 12), (4, 25)]),
        (99, [(4, 99)]),
    ],
)
def test_cutting_the_start_keeps_the_epoch_that_holds_it(
    start: int, expected: list[tuple[int, int]]
) -> None:
    cache = LeaderEpochCache(ENTRIES)

    assert cache.truncate_from_start(start) is (expected != ENTRIES)

    assert cache.entries == expected


def test_cutting_the_start_of_an_empty_cache_does_nothing() -> None:
    cache = LeaderEpochCache([(1, 10)])

    assert not LeaderEpochCache().truncate_from_start(5)
    assert not cache.truncate_from_start(5)
