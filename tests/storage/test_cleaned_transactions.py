"""Which transactions a walk over a log has seen, as in Kafka's CleanedTransactionMetadata."""

from __future__ import annotations

import pytest

from pykbroker.storage.cleaned_transactions import CleanedTransactions, ControlType, control_type
from tests.harness.batches import a_batch, a_record
from tests.harness.compaction import MAX_BYTES, a_marker, an_aborted, keyed

COMMIT, ABORT = ControlType.COMMIT, ControlType.ABORT


def data(offset: int, producer_id: int = 7, *, is_transactional: bool = True):  # type: ignore[no-untyped-def]
    return keyed(offset, ("k", "v"), producer_id=producer_id, is_transactional=is_transactional)


def marker(offset: int, producer_id: int = 7):  # type: ignore[no-untyped-def]
    return a_marker(offset, producer_id, commit=True)


def test_control_batches_are_told_apart() -> None:
    assert control_type(a_marker(0, 7, commit=True), MAX_BYTES) is COMMIT
    assert control_type(a_marker(0, 7, commit=False), MAX_BYTES) is ABORT
    for key in (b"\0\0\0\2", b"\0", None):
        other = a_batch(records=[a_record(key=key)], is_control=True)
        assert control_type(other, MAX_BYTES) is ControlType.OTHER


def test_data_of_an_aborted_transaction_is_known() -> None:
    transactions = CleanedTransactions([an_aborted(7, 10, 20)])

    assert not transactions.on_data(data(5)), "before it"
    assert not transactions.on_control(marker(6), COMMIT)
    assert transactions.on_data(data(10))
    assert not transactions.on_data(data(11, 8)), "of another producer"
    assert not transactions.on_data(data(12, 7, is_transactional=False))
    assert not transactions.on_control(marker(20), ABORT), "its data was read"
    assert not transactions.on_data(data(21)), "behind it"


def test_a_commit_marker_goes_when_no_data_was_read() -> None:
    transactions = CleanedTransactions([])

    assert transactions.on_control(marker(5), COMMIT)
    transactions.on_data(data(6))
    assert not transactions.on_control(marker(7), COMMIT)
    assert transactions.on_control(marker(8), COMMIT)


def test_an_abort_marker_goes_when_no_data_was_read() -> None:
    transactions = CleanedTransactions([an_aborted(7, 10, 20)])

    assert transactions.on_control(marker(20), ABORT)
    assert transactions.on_control(marker(25), ABORT), "nobody knows of such a transaction"
    assert transactions.take_retained() == []


def test_the_entry_stays_with_the_marker() -> None:
    first, second = an_aborted(7, 10, 20), an_aborted(7, 30, 40)
    transactions = CleanedTransactions([second, first, first])

    transactions.on_data(data(10))
    assert transactions.take_retained() == []
    transactions.on_control(marker(20), ABORT)
    assert transactions.take_retained() == [first]
    assert transactions.take_retained() == []
    assert transactions.on_data(data(30))
    transactions.on_control(marker(40), ABORT)
    assert transactions.take_retained() == [second]


@pytest.mark.parametrize(
    ("kind", "is_discardable"), [(ControlType.EMPTY, True), (ControlType.OTHER, False)]
)
def test_other_control_batches(kind: ControlType, is_discardable: bool) -> None:
    assert CleanedTransactions([]).on_control(marker(3), kind) is is_discardable
