"""What a compaction leaves of a batch: Kafka's rules, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.cleaned_transactions import CleanedTransactions
from pykbroker.storage.compaction import BatchCleaner, LastRecord, check_batch, put_keys
from pykbroker.storage.offset_map import OffsetMap, entry_bytes
from pykbroker.storage.transaction_index import AbortedTransaction
from tests.harness.batches import NOW_MS, a_batch, a_batch_of_payload, a_record, record_bytes
from tests.harness.compaction import MAX_BYTES, RETENTION_MS, a_marker, an_aborted, keyed

HORIZON_MS = NOW_MS + RETENTION_MS
FOREVER_MS = (1 << 63) - 1


def a_map(*batches: RecordBatch) -> OffsetMap:
    offset_map = OffsetMap(1 << 24)
    for batch in batches:
        assert put_keys(offset_map, batch, 0, MAX_BYTES)
        offset_map.latest_offset = batch.last_offset
    return offset_map


def a_cleaner(
    offset_map: OffsetMap,
    *,
    aborted: Sequence[AbortedTransaction] = (),
    now_ms: int = NOW_MS,
    retention_ms: int = RETENTION_MS,
    end_offset: int = 1000,
    producers: Mapping[int, LastRecord] | None = None,
    max_bytes: int = MAX_BYTES,
) -> BatchCleaner:
    return BatchCleaner(
        offset_map,
        CleanedTransactions(aborted),
        now_ms=now_ms,
        delete_retention_ms=retention_ms,
        end_offset=end_offset,
        active_producers=producers or {},
        max_decompressed_bytes=max_bytes,
    )


def cleaned(cleaner: BatchCleaner, batch: RecordBatch) -> RecordBatch:
    """What is left of the batch, which is something."""
    data = cleaner.clean(batch)
    assert data is not None
    left = RecordBatch.parse(data)
    assert left.is_crc_valid()
    assert left.size_bytes == len(data)
    left.check_records(MAX_BYTES)
    return left


def values(batch: RecordBatch) -> dict[int, bytes | None]:
    return {record.offset: record.value for record in batch.records(MAX_BYTES)}


def stamped(batch: RecordBatch) -> RecordBatch:
    """The batch after a pass that gave it a delete horizon."""
    left = cleaned(a_cleaner(a_map(batch)), batch)
    assert left.has_delete_horizon
    return left


@pytest.mark.parametrize("codec", list(Codec))
def test_a_batch_of_which_all_stays_is_not_touched(codec: Codec) -> None:
    batch = keyed(0, ("a", "1"), ("b", "2"), codec=codec)

    assert a_cleaner(a_map(batch)).clean(batch) is batch.data


@pytest.mark.parametrize("codec", list(Codec))
def test_the_records_that_were_replaced_go(codec: Codec) -> None:
    batch = keyed(10, ("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), codec=codec)

    left = cleaned(a_cleaner(a_map(batch, keyed(14, ("c", "5")))), batch)

    assert values(left) == {11: b"2", 12: b"3"}
    assert left.codec is codec
    assert (left.record_count, left.max_timestamp) == (2, NOW_MS + 2)


def test_the_header_keeps_what_it_says_of_the_producer() -> None:
    header: dict[str, Any] = {
        "producer_id": 9,
        "producer_epoch": 3,
        "base_sequence": 2**31 - 2,
        "leader_epoch": 5,
        "is_transactional": True,
    }
    batch = keyed(10, ("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("c", "5"), **header)

    left = cleaned(a_cleaner(a_map(batch, keyed(15, ("c", "6")))), batch)

    assert values(left) == {12: b"3", 13: b"4"}
    for name in ("base_offset", "last_offset", "last_sequence", "partition_leader_epoch"):
        assert getattr(left, name) == getattr(batch, name), name
    assert (left.producer_id, left.producer_epoch, left.is_transactional) == (9, 3, True)
    assert left.magic == 2


def test_a_batch_of_which_nothing_stays_goes() -> None:
    batch = keyed(0, ("a", "1"))
    cleaner = a_cleaner(a_map(batch, keyed(1, ("a", "2"))))

    assert cleaner.clean(batch) is None
    assert cleaner.stats.records_read == 1
    assert cleaner.stats.records_kept == cleaner.stats.bytes_kept == 0
    assert cleaner.stats.bytes_read == batch.size_bytes


def test_records_without_a_key_go_and_are_counted() -> None:
    batch = keyed(0, (None, "1"), ("a", "2"), (None, "3"))
    offset_map = a_map(batch)
    offset_map.latest_offset = 1
    cleaner = a_cleaner(offset_map)

    assert values(cleaned(cleaner, batch)) == {1: b"2", 2: b"3"}, "behind the map all stays"
    assert cleaner.stats.invalid_records == 1


def test_log_append_time_stays() -> None:
    batch = keyed(0, ("a", "1"), ("b", "2"), ("a", None), log_append_time_ms=NOW_MS + 77)

    left = cleaned(a_cleaner(a_map(batch)), batch)

    assert left.is_log_append_time
    assert left.max_timestamp == NOW_MS + 77
    assert {r.timestamp for r in left.records(MAX_BYTES)} == {NOW_MS + 77}
    assert left.has_delete_horizon


def test_records_without_a_timestamp_have_none_afterwards() -> None:
    records = [a_record(n, timestamp=-1, key=b"k%d" % (n % 2)) for n in range(3)]
    batch = a_batch(records=records)

    left = cleaned(a_cleaner(a_map(batch)), batch)

    assert left.max_timestamp == -1
    assert [r.timestamp for r in left.records(MAX_BYTES)] == [-1, -1]


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
def test_a_tombstone_gets_a_delete_horizon(codec: Codec) -> None:
    batch = keyed(0, ("a", "1"), ("b", None), ("a", "2"), codec=codec)
    cleaner = a_cleaner(a_map(batch))

    left = cleaned(cleaner, batch)

    assert left.has_delete_horizon
    assert left.base_timestamp == HORIZON_MS
    assert left.max_timestamp == NOW_MS + 2
    assert values(left) == {1: None, 2: b"2"}
    assert [r.timestamp for r in left.records(MAX_BYTES)] == [NOW_MS + 1, NOW_MS + 2]
    assert (cleaner.stats.pending_batches, cleaner.stats.next_horizon_ms) == (1, HORIZON_MS)


def test_a_delete_horizon_is_set_once() -> None:
    batch = stamped(keyed(0, ("a", "1"), ("b", None)))
    later = a_cleaner(a_map(batch), now_ms=HORIZON_MS - 1)

    assert later.clean(batch) is batch.data
    assert later.stats.next_horizon_ms == HORIZON_MS


def test_a_delete_horizon_stays_when_values_go() -> None:
    batch = stamped(keyed(0, ("a", "1"), ("b", None), ("c", "3")))

    left = cleaned(a_cleaner(a_map(batch, keyed(3, ("a", "4"))), now_ms=HORIZON_MS - 1), batch)

    assert left.base_timestamp == HORIZON_MS
    assert [(r.offset, r.timestamp) for r in left.records(MAX_BYTES)] == [
        (1, NOW_MS + 1),
        (2, NOW_MS + 2),
    ]


def test_a_tombstone_goes_after_its_horizon() -> None:
    batch = stamped(keyed(0, ("a", "1"), ("b", None)))
    cleaner = a_cleaner(a_map(batch), now_ms=HORIZON_MS)

    assert values(cleaned(cleaner, batch)) == {0: b"1"}
    assert (cleaner.stats.pending_batches, cleaner.stats.next_horizon_ms) == (0, None)


def test_a_tombstone_behind_the_map_stays_after_its_horizon() -> None:
    batch = stamped(keyed(0, ("a", "1"), ("b", None)))
    offset_map = a_map(batch)
    offset_map.latest_offset = 0

    assert a_cleaner(offset_map, now_ms=HORIZON_MS).clean(batch) is batch.data


def test_a_horizon_beyond_64_bits_is_none() -> None:
    batch = keyed(0, ("a", None))
    cleaner = a_cleaner(a_map(batch), retention_ms=FOREVER_MS)

    assert cleaner.clean(batch) is batch.data
    assert cleaner.stats.next_horizon_ms is None


def test_aborted_data_goes_whatever_the_map_says() -> None:
    batch = keyed(5, ("a", "1"), producer_id=7, is_transactional=True)

    assert a_cleaner(OffsetMap(1), aborted=[an_aborted(7, 5, 6)]).clean(batch) is None


@pytest.mark.parametrize("commit", [True, False])
def test_a_marker_stays_as_long_as_data_does(commit: bool) -> None:
    data = keyed(5, ("a", "1"), producer_id=7, is_transactional=True)
    marker = a_marker(6, 7, commit=commit)
    cleaner = a_cleaner(a_map(data), aborted=[] if commit else [an_aborted(7, 5, 6)])

    cleaner.clean(data)

    assert cleaner.clean(marker) is marker.data
    assert cleaner.stats.pending_batches == 0


def test_a_marker_without_data_goes_after_its_horizon() -> None:
    marker = a_marker(6, 7, commit=True)

    stamp = cleaned(a_cleaner(OffsetMap(1)), marker)
    assert stamp.has_delete_horizon
    assert stamp.is_control
    (record,) = stamp.records(MAX_BYTES)
    (before,) = marker.records(MAX_BYTES)
    assert record == before

    waiting = a_cleaner(OffsetMap(1), now_ms=HORIZON_MS - 1)
    assert waiting.clean(stamp) is stamp.data
    assert waiting.stats.next_horizon_ms == HORIZON_MS
    assert a_cleaner(OffsetMap(1), now_ms=HORIZON_MS).clean(stamp) is None


def test_the_last_batch_of_a_producer_is_emptied() -> None:
    batch = keyed(
        5,
        ("a", "1"),
        ("b", None),
        producer_id=7,
        producer_epoch=2,
        base_sequence=40,
        codec=Codec.LZ4,
        log_append_time_ms=NOW_MS + 9,
    )
    offset_map = a_map(batch, keyed(7, ("a", "2"), ("b", "3")))
    producers = {7: LastRecord(2, 6), 8: LastRecord(0, 6)}

    left = cleaned(a_cleaner(offset_map, producers=producers), batch)

    assert left.record_count == 0
    assert left.size_bytes == 61
    assert left.codec is Codec.NONE
    assert (left.base_offset, left.last_offset, left.last_sequence) == (5, 6, 41)
    assert (left.producer_id, left.producer_epoch) == (7, 2)
    assert left.is_log_append_time
    assert (left.base_timestamp, left.max_timestamp) == (-1, NOW_MS + 9)
    again = a_cleaner(offset_map, producers=producers)
    assert again.clean(left) is left.data
    assert a_cleaner(offset_map, producers={7: LastRecord(2, 60)}).clean(left) is None
    assert a_cleaner(offset_map, producers={8: LastRecord(2, 6)}).clean(left) is None


def test_the_last_marker_of_a_producer_is_emptied() -> None:
    """A producer that wrote no data of its epoch: the marker alone says the epoch."""
    stamp = stamped_marker()
    producers = {7: LastRecord(4, None)}

    left = cleaned(a_cleaner(OffsetMap(1), now_ms=HORIZON_MS, producers=producers), stamp)

    assert left.is_control
    assert (left.record_count, left.producer_epoch) == (0, 4)
    assert not left.has_delete_horizon
    again = a_cleaner(OffsetMap(1), now_ms=HORIZON_MS, producers=producers)
    assert again.clean(left) is left.data
    older = a_cleaner(OffsetMap(1), now_ms=HORIZON_MS, producers={7: LastRecord(5, None)})
    assert older.clean(left) is None


def stamped_marker() -> RecordBatch:
    return cleaned(a_cleaner(OffsetMap(1)), a_marker(6, 7, commit=True, epoch=4))


def test_the_last_batch_of_the_range_is_emptied() -> None:
    batch = keyed(5, (None, "1"), (None, "2"))

    left = cleaned(a_cleaner(a_map(batch), end_offset=7), batch)

    assert (left.record_count, left.last_offset) == (0, 6)


def test_the_map_takes_keys_from_an_offset_on() -> None:
    offset_map = OffsetMap(1 << 20)

    assert put_keys(offset_map, keyed(0, ("a", "1"), ("b", "2")), 2, MAX_BYTES)
    assert len(offset_map) == 0
    assert put_keys(offset_map, keyed(2, ("c", "1"), ("d", "2"), ("e", "3")), 3, MAX_BYTES)
    assert len(offset_map) == 2


def test_a_full_map_says_so() -> None:
    offset_map = OffsetMap(entry_bytes(1))

    assert not put_keys(offset_map, keyed(0, ("a", "1"), ("b", "2")), 0, MAX_BYTES)
    assert offset_map.latest_offset == 0


def test_a_large_batch_is_cleaned_in_parts() -> None:
    pairs = [(f"key-{n % 9000}", f"value-{n}") for n in range(10_000)]
    batch = keyed(0, *pairs, codec=Codec.ZSTD)

    left = cleaned(a_cleaner(a_map(batch)), batch)

    assert values(left) == {n: f"value-{n}".encode() for n in range(1000, 10_000)}


def test_too_large_a_batch_is_refused() -> None:
    batch = keyed(0, ("a", "x" * 1000), codec=Codec.GZIP)

    with pytest.raises(CorruptBatchError):
        a_cleaner(a_map(batch), max_bytes=500).clean(batch)


def test_records_that_do_not_chain_are_refused() -> None:
    batch = a_batch_of_payload(record_bytes() + b"x", 1)

    with pytest.raises(CorruptBatchError, match="record 1"):
        put_keys(OffsetMap(1), batch, 0, MAX_BYTES)
    with pytest.raises(CorruptBatchError, match="record 1"):
        a_cleaner(OffsetMap(1)).clean(batch)


def test_a_batch_is_checked() -> None:
    check_batch(keyed(5, ("a", "1")), 5)
    with pytest.raises(CorruptBatchError, match="offset 5 after 5"):
        check_batch(keyed(5, ("a", "1")), 6)
    with pytest.raises(CorruptBatchError, match="checksum"):
        batch = keyed(5, ("a", "1"))
        batch.data[-1] ^= 1
        check_batch(batch, 5)
    with pytest.raises(CorruptBatchError, match="magic 1"):
        check_batch(a_batch_of_payload(b"", 0, magic=1), 0)
