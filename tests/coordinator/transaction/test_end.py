from __future__ import annotations

from functools import partial

import pytest

from pykbroker.coordinator.transaction.metadata import LAST_CLIENT_EPOCH, MAX_EPOCH
from pykbroker.coordinator.transaction.state import TransactionState as S
from pykbroker.coordinator.transaction.step import TransactionSettings
from pykbroker.protocol.errors import ErrorCode
from tests.harness.transactions import T0, Driver, code_of

NONE = ErrorCode.NONE
FENCED = ErrorCode.PRODUCER_FENCED
STATE = ErrorCode.INVALID_TXN_STATE
BUSY = ErrorCode.CONCURRENT_TRANSACTIONS


def in_state(state: S, version: int) -> tuple[Driver, tuple[int, int]]:
    """A transactional id in a state, and the producer as it names itself by now."""
    driver = Driver()
    producer = driver.begin()
    if state is S.EMPTY:
        return driver, producer
    driver.add(producer, T0)
    if state is not S.ONGOING:
        is_commit = state in (S.PREPARE_COMMIT, S.COMPLETE_COMMIT)
        producer = driver.end(producer, is_commit=is_commit, version=version)
        if state in (S.COMPLETE_COMMIT, S.COMPLETE_ABORT):
            driver.complete()
    assert driver.known.state is state
    return driver, producer


# state -> abort, abort again, commit, commit again; an epoch is what the answer has
BY_VERSION_2 = {
    S.EMPTY: (1, FENCED, STATE, FENCED),
    S.ONGOING: (1, FENCED, 1, FENCED),
    S.PREPARE_ABORT: (FENCED, BUSY, FENCED, STATE),
    S.PREPARE_COMMIT: (FENCED, STATE, FENCED, BUSY),
    S.COMPLETE_ABORT: (2, 1, STATE, STATE),
    S.COMPLETE_COMMIT: (2, STATE, STATE, 1),
}


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("state", list(BY_VERSION_2))
def test_what_each_state_answers_by_version_2(state: S, column: int) -> None:
    driver, (producer_id, epoch) = in_state(state, 2)
    asked = epoch - column % 2
    expected = BY_VERSION_2[state][column]

    def end() -> int:
        answer = driver.end((producer_id, asked), is_commit=column >= 2)
        assert answer.producer_id == producer_id
        return answer.epoch

    if isinstance(expected, ErrorCode):
        assert code_of(end) is expected
        assert driver.known.state is state
    else:
        assert end() == expected


BY_VERSION_1 = {
    S.EMPTY: (STATE, STATE),
    S.ONGOING: (NONE, NONE),
    S.PREPARE_ABORT: (BUSY, STATE),
    S.PREPARE_COMMIT: (STATE, BUSY),
    S.COMPLETE_ABORT: (NONE, STATE),
    S.COMPLETE_COMMIT: (STATE, NONE),
}


@pytest.mark.parametrize("is_commit", [False, True])
@pytest.mark.parametrize("state", list(BY_VERSION_1))
def test_what_each_state_answers_by_version_1(state: S, is_commit: bool) -> None:
    driver, producer = in_state(state, 0)
    expected = BY_VERSION_1[state][is_commit]
    assert code_of(lambda: driver.end(producer, is_commit=is_commit, version=0)) is expected
    for epoch in (producer[1] - 1, producer[1] + 1):
        assert code_of(partial(driver.end, (producer[0], epoch), version=0)) is FENCED
    assert driver.known.producer_epoch == 0


@pytest.mark.parametrize("version", [0, 2])
def test_strangers_end_nothing(version: int) -> None:
    driver, _ = in_state(S.ONGOING, version)
    mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert code_of(lambda: driver.end((999, 0), version=version)) is mapping
    assert code_of(lambda: Driver().end((1000, 0), version=version)) is mapping


def test_an_abort_of_nothing_is_complete_at_once() -> None:
    driver, producer = in_state(S.EMPTY, 2)
    driver.now_ms = 5_000
    assert driver.end(producer, is_commit=False) == (1000, 1)
    assert driver.known.state is S.COMPLETE_ABORT
    assert driver.known.start_ms == 5_000
    assert [record.value.transaction_status for record in driver.log[-2:]] == [  # type: ignore[union-attr]
        S.PREPARE_ABORT,
        S.COMPLETE_ABORT,
    ]


def test_the_end_in_the_last_epoch_gives_another_producer_id() -> None:
    driver = Driver()
    producer = driver.at_epoch(LAST_CLIENT_EPOCH)
    driver.add(producer, T0)
    assert driver.end(producer) == (1001, 0)
    assert (driver.known.producer_id, driver.known.producer_epoch) == (1000, MAX_EPOCH)
    assert code_of(lambda: driver.end(producer)) is BUSY
    driver.complete()
    assert (driver.known.producer_id, driver.known.producer_epoch) == (1001, 0)
    assert driver.end(producer) == (1001, 0), "a retry"
    assert code_of(lambda: driver.end(producer, is_commit=False)) is STATE
    assert driver.init((1000, LAST_CLIENT_EPOCH)) == (1001, 0)
    assert code_of(lambda: driver.end(producer)) is ErrorCode.INVALID_PRODUCER_ID_MAPPING


def test_the_answer_is_the_same_after_a_restart() -> None:
    driver, _ = in_state(S.COMPLETE_COMMIT, 2)
    restarted = Driver()
    for record in driver.log:
        restarted.replay(record)
    assert restarted.end((1000, 0)) == (1000, 1)


def test_what_version_2_has_begun_is_ended_at_version_0_by_its_rules() -> None:
    driver = Driver()
    producer = driver.begin()
    driver.add(producer, T0)
    driver.settings = TransactionSettings(version=0)
    written = len(driver.log)
    assert code_of(partial(driver.end, producer)) is ErrorCode.UNSUPPORTED_VERSION
    assert len(driver.log) == written
    assert driver.end(producer, version=0) == producer
    driver.complete()
    assert driver.known.state is S.COMPLETE_COMMIT
