"""The offset map: latest offsets, long keys, a limit on memory that is kept."""

from __future__ import annotations

import gc
import tracemalloc
from hashlib import blake2b

import pytest

from pykbroker.storage.offset_map import OffsetMap, entry_bytes


def put(offset_map: OffsetMap, *keys: bytes | None, start: int = 0) -> bool:
    longest = max((len(key) for key in keys if key is not None), default=-1)
    return offset_map.put(keys, range(start, start + len(keys)), longest)


def retained(offset_map: OffsetMap, *keys: bytes | None, start: int = 0) -> list[int]:
    longest = max((len(key) for key in keys if key is not None), default=-1)
    return list(offset_map.retained(keys, range(start, start + len(keys)), longest))


def test_the_latest_record_of_a_key_is_retained() -> None:
    offset_map = OffsetMap(1 << 20)

    assert put(offset_map, b"a", b"b", b"a")
    assert put(offset_map, b"c", b"b", start=3)

    assert len(offset_map) == 3
    assert offset_map.latest_offset == 4
    assert retained(offset_map, b"a", b"b", b"a", b"c", b"b") == [0, 0, 1, 1, 1]


def test_a_key_that_is_not_in_the_map_is_retained() -> None:
    offset_map = OffsetMap(1 << 20)
    put(offset_map, b"a", start=10)

    assert retained(offset_map, b"other", b"a", start=3) == [1, 0]


def test_a_record_without_a_key_is_not() -> None:
    offset_map = OffsetMap(1 << 20)

    assert put(offset_map, None, b"a", None)

    assert len(offset_map) == 1
    assert retained(offset_map, None, b"a", None) == [0, 1, 0]


def test_what_lies_behind_the_map_is_retained() -> None:
    offset_map = OffsetMap(1 << 20)
    put(offset_map, b"a", b"b", b"a")
    offset_map.latest_offset = 1

    assert retained(offset_map, b"a", b"b", b"a", None) == [0, 1, 1, 1]


@pytest.mark.parametrize("size", [31, 32, 33, 5000])
def test_long_keys_are_told_apart(size: int) -> None:
    one, other = b"k" * size, b"k" * (size - 1) + b"l"
    offset_map = OffsetMap(1 << 20)

    put(offset_map, one, other, None, one)

    assert len(offset_map) == 2
    assert retained(offset_map, one, other, None, one) == [0, 1, 0, 1]


def test_a_key_is_not_its_digest() -> None:
    key = b"k" * 100
    offset_map = OffsetMap(1 << 20)

    put(offset_map, key, blake2b(key, digest_size=32).digest())

    assert len(offset_map) == 2


def test_a_full_map_says_where_it_was_full() -> None:
    offset_map = OffsetMap(2 * entry_bytes(1))

    assert put(offset_map, b"a", None, b"a")
    assert not put(offset_map, b"b", None, b"a", b"c", b"d", start=3)

    assert len(offset_map) == 2
    assert offset_map.latest_offset == 5
    assert offset_map.utilization == 1.0
    assert retained(offset_map, b"a", b"b", b"a", b"c", start=2) == [0, 1, 0, 1]


def test_one_key_always_fits() -> None:
    offset_map = OffsetMap(0)

    assert not put(offset_map, None, b"key", b"key", b"other", start=7)

    assert offset_map.latest_offset == 9
    assert offset_map.utilization == 1.0


@pytest.mark.parametrize(("key_bytes", "count"), [(8, 44_000), (16, 88_000), (40, 20_000)])
def test_the_memory_is_what_was_estimated(key_bytes: int, count: int) -> None:
    """At its worst, when the table has just grown, it may be all of the estimate, but not more."""
    gc.collect()
    tracemalloc.start()
    try:
        offset_map = OffsetMap(1 << 40)
        before, _ = tracemalloc.get_traced_memory()
        for start in range(0, count, 100):
            keys = [b"%0*d" % (key_bytes, n) for n in range(start, start + 100)]
            offset_map.put(keys, range(start + 1000, start + 1100), key_bytes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    estimate = count * entry_bytes(key_bytes)
    assert 0.4 * estimate < peak - before < 1.01 * estimate
