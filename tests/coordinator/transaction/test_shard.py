from __future__ import annotations

from pykbroker.coordinator.transaction.admin import ListFilters
from pykbroker.coordinator.transaction.shard import TransactionShard
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.errors import ErrorCode
from tests.harness.transactions import ID, MINUTE_MS, T0, Driver

WEEK_MS = 7 * 24 * 60 * 60 * 1_000


def test_a_restart_knows_what_was_known_but_for_retries() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    driver.end(producer)
    restarted = TransactionShard()
    for offset, record in enumerate(driver.log):
        restarted.replay(record, offset, 0)
    assert restarted.transactions == driver.shard.transactions
    assert restarted.record_offsets == driver.shard.record_offsets == {ID: 2}
    assert restarted.open_ids == driver.shard.open_ids == {ID: None}
    assert restarted.ending() == [ID]
    assert len(restarted) == 1


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    assert driver.shard.ending() == []
    driver.now_ms += MINUTE_MS
    assert driver.shard.timed_out(driver.now_ms) == []
    driver.now_ms += 1
    assert driver.shard.timed_out(driver.now_ms) == [ID]
    driver.run(lambda step: driver.shard.abort_timed_out(step, ID))
    assert driver.known.state is TransactionState.PREPARE_ABORT
    assert driver.known.producer_epoch == 1
    assert driver.shard.timed_out(driver.now_ms) == []
    assert driver.shard.ending() == [ID]
    driver.complete()
    assert driver.shard.ending() == []
    assert "transaction_timed_out transactional_id=id producer_id=1000" in driver.events[-1]


def test_ids_expire_when_nothing_is_open() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    driver.now_ms += 2 * WEEK_MS
    driver.run(driver.shard.expire_ids)
    assert len(driver.shard) == 1
    producer = driver.end(producer)
    driver.complete()
    driver.now_ms += WEEK_MS - 1
    driver.run(driver.shard.expire_ids)
    assert len(driver.shard) == 1
    driver.now_ms += 1
    driver.run(driver.shard.expire_ids)
    assert driver.shard == TransactionShard()
    assert driver.log[-1].value is None
    assert driver.events[-1] == "transactional_id_expired transactional_id=id"


def test_a_change_of_the_producer_id_is_told() -> None:
    driver = Driver()
    producer = driver.at_epoch(32766)
    driver.add(producer, T0)
    driver.end(producer)
    driver.complete()
    assert driver.events[-1] == "producer_id_changed transactional_id=id old=1000 new=1001"


def test_what_the_runtime_asks_of_any_shard_is_nothing_here() -> None:
    driver = Driver()
    driver.begin()
    shard = driver.shard
    shard.end_transaction(5, is_committed=True)
    for transition in (
        shard.loaded(driver.step),
        shard.expire(driver.step, ("none",)),
        shard.computed(driver.step, ("none",), None),
        shard.undo(driver.step, None, ErrorCode.NOT_COORDINATOR),
    ):
        assert not transition.records
    (listed,) = shard.list_transactions(driver.step, ListFilters())
    assert listed.transactional_id == ID
