from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.step import (
    NoProducerIdError,
    TransactionSettings,
    TransactionStep,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError

KNOWN = TransactionMetadata("id", 9, 1, 2, producer_epoch=0)


@pytest.mark.parametrize(("level", "value_version"), [(0, 0), (1, 1), (2, 1)])
def test_the_feature_says_in_which_version_records_are_written(
    level: int, value_version: int
) -> None:
    step = TransactionStep(5, TransactionSettings(version=level), lambda: None)
    step.write(KNOWN)
    transition = step.done("answer")
    assert transition.response == "answer"
    assert [record.value_version for record in transition.records] == [value_version]


def test_what_version_0_cannot_say_is_written_in_version_1() -> None:
    step = TransactionStep(5, TransactionSettings(version=0), lambda: None)
    added = frozenset({("t", 0)})
    step.write(KNOWN.with_partitions(added, 2, 5))
    assert step.records[0].value_version == 1


@pytest.mark.parametrize("level", range(3))
def test_version_0_has_no_place_for_producers_of_version_2(level: int) -> None:
    step = TransactionStep(5, TransactionSettings(version=level), lambda: None)
    step.check_client_version(0)
    if level:
        step.check_client_version(2)
        return
    with pytest.raises(KafkaError) as refusal:
        step.check_client_version(2)
    assert refusal.value.code is ErrorCode.UNSUPPORTED_VERSION


def test_without_a_fresh_producer_id_the_operation_is_called_off() -> None:
    fresh = iter([7, None])
    step = TransactionStep(5, TransactionSettings(), lambda: next(fresh))
    assert step.new_producer_id() == 7
    with pytest.raises(NoProducerIdError):
        step.new_producer_id()
