from __future__ import annotations

from pykbroker.coordinator.transaction.partitions import has_partitions, verify_partition
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.coordinator.transaction.step import TransactionSettings
from pykbroker.protocol.errors import ErrorCode
from tests.harness.transactions import T0, T1, Driver, code_of


def test_partitions_are_added_once() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    assert driver.known.state is TransactionState.ONGOING
    written = len(driver.log)
    driver.add(producer, T0)
    assert len(driver.log) == written
    driver.add(producer, T0, T1)
    assert driver.known.partitions == {T0, T1}


def test_only_the_holder_adds_partitions_and_not_while_a_transaction_ends() -> None:
    driver = Driver()
    producer_id, epoch = driver.begin()
    fenced = code_of(lambda: driver.add((producer_id, epoch + 1), T0))
    assert fenced is ErrorCode.PRODUCER_FENCED
    driver.add((producer_id, epoch), T0)
    producer = driver.end((producer_id, epoch))
    assert code_of(lambda: driver.add(producer, T1)) is ErrorCode.CONCURRENT_TRANSACTIONS
    driver.complete()
    driver.add(producer, T1)
    assert driver.known.partitions == {T1}


def test_a_partition_is_part_of_a_transaction_from_its_addition_to_its_end() -> None:
    driver = Driver()
    producer = driver.begin()

    def verified() -> ErrorCode:
        return verify_partition(driver.known, ProducerIdAndEpoch(*producer), T0)

    assert verified() is ErrorCode.TRANSACTION_ABORTABLE
    driver.add(producer, T0)
    assert verified() is ErrorCode.NONE
    assert has_partitions(driver.known, frozenset({T0}))
    assert not has_partitions(driver.known, frozenset({T0, T1}))
    driver.end(producer, version=0)
    assert not has_partitions(driver.known, frozenset({T0}))
    assert code_of(verified) is ErrorCode.CONCURRENT_TRANSACTIONS
    driver.complete()
    assert verified() is ErrorCode.TRANSACTION_ABORTABLE


def test_version_0_of_transactions_cannot_record_what_producers_of_version_2_add() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    driver.settings = TransactionSettings(version=0)
    driver.add(producer, T0)  # it is recorded already
    assert code_of(lambda: driver.add(producer, T1)) is ErrorCode.UNSUPPORTED_VERSION
    driver.add(producer, T1, version=0)
    assert driver.known.partitions == {T0, T1}
