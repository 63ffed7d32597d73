from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.metadata import (
    LAST_CLIENT_EPOCH,
    MAX_EPOCH,
    TransactionMetadata,
)
from pykbroker.coordinator.transaction.state import TransactionState

T0, T1 = ("t", 0), ("t", 1)
NEW = TransactionMetadata("id", 9, timeout_ms=60_000, last_update_ms=1)


def ongoing(epoch: int = 0, version: int = 2) -> TransactionMetadata:
    return NEW.renewed(9, epoch, 60_000, 2).with_partitions(frozenset({T0}), version, 3)


def test_a_producer_begins_with_nothing() -> None:
    assert NEW.is_new
    renewed = ongoing().prepared(is_commit=True, client_version=0, next_producer_id=-1, now_ms=4)
    renewed = renewed.completed(5).renewed(10, 0, 7, 6)
    assert (renewed.partitions, renewed.start_ms, renewed.timeout_ms) == (frozenset(), -1, 7)
    assert (renewed.previous_producer_id, renewed.producer_id) == (9, 10)
    assert not renewed.is_new


def test_partitions_gather_and_the_first_ones_begin_the_transaction() -> None:
    known = ongoing()
    assert known.start_ms == 3
    more = known.with_partitions(frozenset({T1}), 2, 8)
    assert more.partitions == {T0, T1}
    assert (more.start_ms, more.last_update_ms) == (3, 8)


@pytest.mark.parametrize(("version", "epoch"), [(0, 4), (1, 4), (2, 5)])
def test_the_end_bumps_the_epoch_by_version_2_alone(version: int, epoch: int) -> None:
    known = ongoing(4)
    prepared = known.prepared(
        is_commit=False, client_version=version, next_producer_id=-1, now_ms=4
    )
    assert (prepared.state, prepared.producer_epoch) == (TransactionState.PREPARE_ABORT, epoch)
    assert prepared.partitions == {T0}
    completed = prepared.completed(5)
    assert (completed.state, completed.producer_epoch) == (TransactionState.COMPLETE_ABORT, epoch)
    assert (completed.partitions, completed.start_ms) == (frozenset(), 3)


def test_an_abort_of_nothing_begins_when_it_ends() -> None:
    known = NEW.renewed(9, 0, 60_000, 2)
    prepared = known.prepared(is_commit=False, client_version=2, next_producer_id=-1, now_ms=4)
    assert prepared.start_ms == 4


def test_the_last_epoch_leads_to_another_producer_id() -> None:
    known = ongoing(LAST_CLIENT_EPOCH)
    assert known.is_epoch_exhausted
    prepared = known.prepared(is_commit=True, client_version=2, next_producer_id=77, now_ms=4)
    assert (prepared.producer_id, prepared.producer_epoch) == (9, MAX_EPOCH)
    completed = prepared.completed(5)
    assert (completed.producer_id, completed.producer_epoch) == (77, 0)
    assert (completed.previous_producer_id, completed.next_producer_id) == (9, -1)
    assert completed.state is TransactionState.COMPLETE_COMMIT


def test_fencing_leaves_the_last_epoch_as_it_is() -> None:
    fenced = ongoing(4).fenced()
    assert (fenced.state, fenced.producer_epoch) == (TransactionState.PREPARE_EPOCH_FENCE, 5)
    fenced = ongoing(MAX_EPOCH).fenced()
    assert fenced.producer_epoch == MAX_EPOCH
    prepared = fenced.prepared(is_commit=False, client_version=2, next_producer_id=-1, now_ms=4)
    assert prepared.producer_epoch == MAX_EPOCH
