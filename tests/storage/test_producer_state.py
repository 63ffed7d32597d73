"""Producer state: what a duplicate is, which sequence may follow, transactions, snapshots."""

from __future__ import annotations

import struct
from typing import Any

import crc32c
import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import MAX_SEQUENCE, RecordBatch
from pykbroker.protocol.records import Record
from pykbroker.storage.producer_state import (
    AppendOrigin,
    DamagedSnapshotError,
    ProducerStateManager,
    next_sequence,
)
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.logs import error_code

CLIENT = AppendOrigin.CLIENT


def of_producer(
    sequence: int,
    offset: int = 0,
    *,
    records: int | list[Record] = 1,
    epoch: int = 0,
    **header: Any,
) -> RecordBatch:
    options: dict[str, Any] = {"producer_id": 7, "producer_epoch": epoch, "records": records}
    return a_batch(offset, base_sequence=sequence, **(options | header))


def a_marker(
    offset: int, *, commit: bool, epoch: int = 0, coordinator_epoch: int = 3, producer_id: int = 7
) -> RecordBatch:
    key = struct.pack(">hh", 0, int(commit))
    value = struct.pack(">hi", 0, coordinator_epoch)
    return a_batch(
        offset,
        records=[Record(offset, NOW_MS, key, value)],
        producer_id=producer_id,
        producer_epoch=epoch,
        is_transactional=True,
        is_control=True,
    )


def a_state(*batches: RecordBatch) -> ProducerStateManager:
    state = ProducerStateManager()
    for batch in batches:
        state.check(batch, CLIENT)
        state.record(batch)
    return state


@pytest.mark.parametrize(
    ("sequence", "epoch", "expected"),
    [
        (3, 0, ErrorCode.NONE),
        (4, 0, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # a gap
        (2, 0, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),  # inside of a known batch
        (0, 1, ErrorCode.NONE),  # a new epoch starts at 0
        (3, 1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        (3, -1, ErrorCode.INVALID_PRODUCER_EPOCH),
    ],
)
def test_a_batch_must_follow_the_last_one_of_its_producer(
    sequence: int, epoch: int, expected: ErrorCode
) -> None:
    state = a_state(of_producer(0, records=3))

    assert (
        error_code(lambda: state.check(of_producer(sequence, 3, epoch=epoch), CLIENT)) == expected
    )


def test_an_unknown_producer_may_start_anywhere() -> None:
    assert ProducerStateManager().check(of_producer(1234, epoch=9), CLIENT) is None


def test_the_last_five_batches_are_known_again_and_the_sixth_is_not() -> None:
    batches = [of_producer(2 * n, 2 * n, records=2) for n in range(6)]
    state = a_state(*batches)

    for number in range(1, 6):
        duplicate = state.check(of_producer(2 * number, records=2), CLIENT)
        assert duplicate is not None
        assert (duplicate.first_offset, duplicate.last_offset) == (2 * number, 2 * number + 1)
    code = error_code(lambda: state.check(of_producer(0, records=2), CLIENT))
    assert code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_duplicate_of_another_epoch_is_no_duplicate() -> None:
    state = a_state(of_producer(0), of_producer(0, 1, epoch=1))

    code = error_code(lambda: state.check(of_producer(0), CLIENT))

    assert code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_sequences_wrap_to_zero() -> None:
    state = a_state(of_producer(MAX_SEQUENCE - 1, records=2))

    assert error_code(lambda: state.check(of_producer(0, 2), CLIENT)) == ErrorCode.NONE
    assert next_sequence(MAX_SEQUENCE) == 0

    across = a_state(of_producer(MAX_SEQUENCE, records=2))  # MAX and 0
    assert error_code(lambda: across.check(of_producer(1, 2), CLIENT)) == ErrorCode.NONE
    assert across.producers[7].batches[0].last_sequence == 0


def test_a_coordinator_is_only_checked_for_its_epoch() -> None:
    state = a_state(of_producer(0, epoch=2))
    coordinator = AppendOrigin.COORDINATOR

    assert state.check(of_producer(-1, epoch=2), coordinator) is None
    code = error_code(lambda: state.check(of_producer(-1, epoch=1), coordinator))
    assert code == ErrorCode.INVALID_PRODUCER_EPOCH
    assert state.check(of_producer(-1, epoch=1), AppendOrigin.REPLICATION) is None


def test_an_idle_producer_is_forgotten_unless_its_transaction_is_open() -> None:
    state = a_state(
        of_producer(0),
        of_producer(0, 1, producer_id=8, is_transactional=True),
        of_producer(0, 2, producer_id=9, records=[Record(2, NOW_MS + 1, b"k", b"v")]),
    )

    assert state.remove_expired(NOW_MS + 1000, 1000) == 1

    assert sorted(state.producers) == [8, 9]


def test_a_transaction_holds_the_stable_offset_until_its_marker() -> None:
    state = a_state(
        of_producer(0, 0),
        of_producer(1, 1, is_transactional=True),
        of_producer(0, 2, producer_id=8, is_transactional=True),
        of_producer(2, 3, is_transactional=True),
    )
    assert state.first_unstable_offset == 1

    aborted = state.record(a_marker(4, commit=False))
    assert aborted is not None
    assert aborted == (7, 1, 4, True)
    assert state.last_stable_offset_after(aborted) == 2
    assert state.first_unstable_offset == 2

    committed = state.record(a_marker(5, commit=True, producer_id=8))
    assert committed == (8, 2, 5, False)
    assert state.last_stable_offset_after(committed) == 6
    assert state.first_unstable_offset is None


def test_a_marker_without_a_transaction_completes_nothing() -> None:
    state = ProducerStateManager()

    assert state.record(a_marker(0, commit=True, epoch=4)) is None

    assert state.producers[7].epoch == 4
    assert state.producers[7].coordinator_epoch == 3


def test_a_marker_of_a_newer_epoch_forgets_the_sequences() -> None:
    state = a_state(of_producer(0, records=5))
    state.record(a_marker(5, commit=True, epoch=1))

    assert error_code(lambda: state.check(of_producer(0, 6, epoch=1), CLIENT)) == ErrorCode.NONE
    code = error_code(lambda: state.check(of_producer(5, 6, epoch=1), CLIENT))
    assert code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_from_transaction_version_2_on_a_marker_needs_a_new_epoch() -> None:
    state = a_state(of_producer(0, epoch=3, is_transactional=True))
    stale, bumped = a_marker(1, commit=True, epoch=3), a_marker(1, commit=True, epoch=4)

    assert state.check(stale, AppendOrigin.COORDINATOR, 1) is None
    code = error_code(lambda: state.check(stale, AppendOrigin.COORDINATOR, 2))
    assert code == ErrorCode.INVALID_PRODUCER_EPOCH
    assert state.check(bumped, AppendOrigin.COORDINATOR, 2) is None

    state.record(bumped)

    # The same marker again, after a crash of the coordinator.
    assert state.check(a_marker(2, commit=True, epoch=4), AppendOrigin.COORDINATOR, 2) is None
    code = error_code(lambda: state.check(stale, AppendOrigin.COORDINATOR, 2))
    assert code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_transaction_is_open_from_its_first_batch_to_its_marker() -> None:
    state = a_state(of_producer(0))
    assert not state.has_open_transaction(7, 0)
    assert not state.has_open_transaction(8, 0)

    state.record(of_producer(1, 1, is_transactional=True))

    assert state.has_open_transaction(7, 0)
    assert not state.has_open_transaction(7, 1)
    state.record(a_marker(2, commit=False))
    assert not state.has_open_transaction(7, 0)


def test_a_marker_of_an_older_coordinator_is_fenced() -> None:
    state = a_state(of_producer(0, is_transactional=True))
    state.record(a_marker(1, commit=True, coordinator_epoch=5))
    coordinator = AppendOrigin.COORDINATOR

    stale = a_marker(2, commit=True, coordinator_epoch=4)
    assert error_code(lambda: state.check(stale, coordinator)) == (
        ErrorCode.TRANSACTION_COORDINATOR_FENCED
    )
    assert state.check(a_marker(2, commit=True, coordinator_epoch=5), coordinator) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"\0\0\0\0\0\1"),
        (b"\0\0\0\1", None),
        (b"\0", b"\0\0\0\0\0\1"),
        (b"\0\0\0\2", b"\0\0\0\0\0\1"),  # a leader change
        (b"\0\0\0\1", b"\0"),
    ],
)
def test_control_records_that_are_no_transaction_markers_change_nothing(
    key: bytes | None, value: bytes | None
) -> None:
    state = a_state(of_producer(0, is_transactional=True))
    control = a_batch(
        1,
        records=[Record(1, NOW_MS, key, value)],
        producer_id=7,
        producer_epoch=0,
        is_control=True,
    )

    assert state.check(control, AppendOrigin.COORDINATOR) is None
    assert state.record(control) is None

    assert state.first_unstable_offset == 0


def test_plain_records_inside_of_a_transaction_are_refused() -> None:
    state = a_state(of_producer(0, is_transactional=True))

    code = error_code(lambda: state.check(of_producer(1, 1), CLIENT))

    assert code == ErrorCode.INVALID_TXN_STATE


def test_a_snapshot_has_kafkas_bytes() -> None:
    state = a_state(of_producer(0, 10, records=3, epoch=2))

    assert state.encode_snapshot().hex(" ") == (
        "00 01 "  # version
        "c7 54 c9 e6 "  # CRC-32C of what follows
        "00 00 00 01 "  # one producer
        "00 00 00 00 00 00 00 07 "  # producer id
        "00 02 "  # epoch
        "00 00 00 02 "  # last sequence
        "00 00 00 00 00 00 00 0c "  # last offset, 12
        "00 00 00 02 "  # offset delta
        "00 00 01 8b cf e5 68 02 "  # timestamp
        "ff ff ff ff "  # coordinator epoch
        "ff ff ff ff ff ff ff ff"  # no open transaction
    )


def test_a_snapshot_brings_back_the_last_batch_and_open_transactions() -> None:
    state = a_state(
        of_producer(0, 0, records=2),
        of_producer(MAX_SEQUENCE, 2, records=2, producer_id=8, is_transactional=True),
        of_producer(0, 4, producer_id=9, is_transactional=True),
    )
    state.record(a_marker(5, commit=True, producer_id=6))

    restored = ProducerStateManager()
    restored.load_snapshot(state.encode_snapshot())

    assert restored.first_unstable_offset == 2
    assert restored.check(of_producer(0, records=2), CLIENT) == (0, 1, 0, 1, NOW_MS + 1)
    again = restored.check(
        of_producer(MAX_SEQUENCE, records=2, producer_id=8, is_transactional=True), CLIENT
    )
    assert again is not None
    assert again.first_offset == 2
    assert restored.producers[6].last_sequence == -1
    assert restored.encode_snapshot() == state.encode_snapshot()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: b"\0\2" + data[2:],
        lambda data: data[:-1] + b"\0",
        lambda data: data[:2] + struct.pack(">I", 0xE3069283) + data[6:],
        lambda data: b"",
    ],
)
def test_a_damaged_snapshot_is_refused_and_changes_nothing(damage: Any) -> None:
    data = a_state(of_producer(0)).encode_snapshot()
    state = a_state(of_producer(5))

    with pytest.raises(DamagedSnapshotError):
        state.load_snapshot(damage(data))

    assert state.producers[7].last_sequence == 5


def test_a_snapshot_whose_count_does_not_fit_is_refused() -> None:
    body = struct.pack(">i", 2)
    data = struct.pack(">hI", 1, crc32c.crc32c(body)) + body

    with pytest.raises(DamagedSnapshotError, match="2 producers"):
        ProducerStateManager().load_snapshot(data)


def test_older_batches_are_restored_as_far_as_they_chain() -> None:
    batches = [of_producer(2 * n, 2 * n, records=2) for n in range(8)]
    state = a_state(*batches)
    known = list(state.producers[7].batches)
    restored = ProducerStateManager()
    restored.load_snapshot(state.encode_snapshot())
    entry = restored.producers[7]

    entry.restore_older(known)

    assert list(entry.batches) == known
    assert not entry.is_restored

    gap = ProducerStateManager()
    gap.load_snapshot(state.encode_snapshot())
    gap.producers[7].restore_older([*known[:2], *known[3:]])
    assert list(gap.producers[7].batches) == known[3:]


def test_restoring_needs_a_batch_to_chain_to() -> None:
    state = ProducerStateManager()
    state.record(a_marker(0, commit=True))

    state.producers[7].restore_older([])
    state.producers[7].restore_older(list(a_state(of_producer(0)).producers[7].batches))

    assert not state.producers[7].batches


def test_more_than_five_older_batches_are_not_kept() -> None:
    state = a_state(*[of_producer(n, n) for n in range(5)])
    older = list(state.producers[7].batches)

    state.producers[7].restore_older([older[0]._replace(first_offset=-2, last_offset=-1), *older])

    assert list(state.producers[7].batches) == older


def verify(
    state: ProducerStateManager, sequence: int, *, epoch: int = 0, is_epoch_bumped: bool = False
) -> bool:
    return state.begin_verification(7, epoch, sequence, NOW_MS, is_epoch_bumped=is_epoch_bumped)


def refusal(state: ProducerStateManager, batch: RecordBatch) -> ErrorCode | None:
    """The error of a client's batch, None if it may be appended."""
    try:
        state.check(batch, CLIENT)
    except KafkaError as error:
        return error.code
    return None


def test_the_coordinator_is_asked_until_a_transaction_is_open() -> None:
    state = a_state(of_producer(0))
    assert verify(state, 1)
    assert verify(state, 1)

    state.record(of_producer(1, 1, is_transactional=True))

    assert not verify(state, 2)
    assert verify(state, 0, epoch=1), "it may have been ended"
    state.record(a_marker(2, commit=True))
    assert verify(state, 2)


def test_an_old_epoch_is_not_worth_a_question() -> None:
    state = a_state(of_producer(0, epoch=3))

    code = error_code(lambda: verify(state, 0, epoch=2))

    assert code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_nothing_overtakes_a_batch_that_waits_for_the_coordinator() -> None:
    state = ProducerStateManager()
    for sequence in (3, 1, 2):
        verify(state, sequence)
    later, first = (of_producer(n, is_transactional=True) for n in (2, 1))
    assert refusal(state, later) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    assert refusal(state, first) is None
    state.record(first)

    assert refusal(state, later) is None


@pytest.mark.parametrize(("sequence", "is_right"), [(0, True), (4, False)])
def test_a_producer_with_an_epoch_for_each_transaction_starts_at_0(
    sequence: int, is_right: bool
) -> None:
    batch = of_producer(sequence, is_transactional=True)
    expected = None if is_right else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    unknown = ProducerStateManager()
    verify(unknown, sequence, is_epoch_bumped=True)
    assert refusal(unknown, batch) == expected

    ended = a_state(a_marker(0, commit=True))
    verify(ended, sequence, is_epoch_bumped=True)
    assert refusal(ended, batch) == expected, "no batch is known of it"

    older = ProducerStateManager()
    verify(older, sequence)
    assert refusal(older, batch) is None


def test_a_new_epoch_forgets_what_waited_in_the_old_one() -> None:
    state = ProducerStateManager()
    verify(state, 0)
    verify(state, 2, epoch=1)
    verify(state, 1, epoch=0)

    assert refusal(state, of_producer(2, epoch=1, is_transactional=True)) is None
    assert refusal(state, of_producer(3, epoch=1, is_transactional=True)) is not None


def test_questions_are_forgotten_as_producers_are() -> None:
    state = ProducerStateManager()
    verify(state, 0)
    later = of_producer(5, is_transactional=True)
    state.remove_expired(NOW_MS + 999, 1000)
    assert refusal(state, later) is not None

    state.remove_expired(NOW_MS + 1000, 1000)

    assert refusal(state, later) is None
    verify(state, 0)
    state.clear()
    assert refusal(state, later) is None


def test_another_producers_question_does_no_harm() -> None:
    state = a_state(of_producer(0, producer_id=8))
    verify(state, 0)

    assert refusal(state, of_producer(9, producer_id=9)) is None
    assert refusal(state, of_producer(1, producer_id=8)) is None
