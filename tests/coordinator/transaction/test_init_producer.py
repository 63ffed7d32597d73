from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.metadata import LAST_CLIENT_EPOCH, MAX_EPOCH
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.errors import ErrorCode
from tests.harness.transactions import MINUTE_MS, T0, Driver, code_of


def test_a_new_id_gets_a_producer_id_and_epoch_0() -> None:
    driver = Driver()
    assert driver.init() == (1000, 0)
    assert driver.known.state is TransactionState.EMPTY
    assert driver.known.timeout_ms == MINUTE_MS


def test_each_producer_that_comes_fences_the_one_before() -> None:
    driver = Driver()
    driver.begin()
    assert driver.init(timeout_ms=5) == (1000, 1)
    assert driver.known.timeout_ms == 5


def test_a_new_id_takes_no_notice_of_what_the_producer_had() -> None:
    assert Driver().init((5, 7)) == (1000, 0)


def test_a_producer_that_comes_back_is_told_its_next_epoch_again_if_it_missed_it() -> None:
    driver = Driver()
    driver.begin()
    assert driver.init((1000, 0)) == (1000, 1)
    assert driver.init((1000, 0)) == (1000, 1)
    assert driver.init((1000, 1)) == (1000, 2)
    assert code_of(lambda: driver.init((1000, 0))) is ErrorCode.PRODUCER_FENCED
    assert code_of(lambda: driver.init((999, 2))) is ErrorCode.PRODUCER_FENCED
    driver.begin()  # another one: nobody's retry is one any more
    assert code_of(lambda: driver.init((1000, 2))) is ErrorCode.PRODUCER_FENCED


def test_an_epoch_that_the_end_has_bumped_is_known_too() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    driver.end(producer)
    driver.complete()
    assert driver.init(producer) == (1000, 1)


@pytest.mark.parametrize("version", [1, 2])
def test_an_open_transaction_is_aborted_first(version: int) -> None:
    driver = Driver(version)
    producer = driver.begin()
    driver.add(producer, T0)
    assert driver.init() is None
    assert driver.known.state is TransactionState.PREPARE_ABORT
    assert driver.known.producer_epoch == 1
    assert driver.known.client_version == (2 if version == 2 else 0)
    assert code_of(driver.init) is ErrorCode.CONCURRENT_TRANSACTIONS
    driver.complete()
    assert driver.init() == (1000, 2)


def test_when_the_epochs_are_used_up_the_producer_gets_another_id() -> None:
    driver = Driver()
    producer = driver.at_epoch(LAST_CLIENT_EPOCH)
    assert driver.init(producer) == (1001, 0)
    assert driver.init(producer) == (1001, 0), "a retry"
    assert driver.init((1001, 0)) == (1001, 1)
    driver = Driver()
    driver.at_epoch(LAST_CLIENT_EPOCH)
    assert driver.init() == (1001, 0)


def test_fencing_in_the_last_epoch_changes_the_producer_id() -> None:
    driver = Driver()
    producer = driver.at_epoch(LAST_CLIENT_EPOCH)
    driver.add(producer, T0)
    assert driver.init() is None
    assert (driver.known.producer_id, driver.known.producer_epoch) == (1000, MAX_EPOCH)
    driver.complete()
    assert (driver.known.producer_id, driver.known.producer_epoch) == (1001, 0)
    assert driver.init(producer) == (1001, 0), "it takes the new id for the answer that it missed"
    assert driver.init() == (1001, 1)


def test_the_highest_epoch_is_never_given_to_a_client() -> None:
    driver = Driver(version=1)
    producer = driver.at_epoch(LAST_CLIENT_EPOCH)
    driver.add(producer, T0)
    assert driver.init() is None
    driver.complete()
    assert driver.known.producer_epoch == MAX_EPOCH
    fenced = code_of(lambda: driver.end(producer, is_commit=False))
    assert fenced is ErrorCode.PRODUCER_FENCED
    assert code_of(lambda: driver.init(producer)) is ErrorCode.PRODUCER_FENCED
    assert driver.init() == (1001, 0)
