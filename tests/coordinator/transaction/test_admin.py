from __future__ import annotations

import pytest

from pykbroker.coordinator.transaction.admin import ListFilters, describe, list_transactions
from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.messages.describe_transactions import TopicData
from pykbroker.protocol.messages.describe_transactions import TransactionState as Described

OPEN = TransactionMetadata(
    "open",
    9,
    timeout_ms=60_000,
    last_update_ms=100,
    state=TransactionState.ONGOING,
    producer_epoch=3,
    partitions=frozenset({("u", 0), ("t", 1), ("t", 0)}),
    start_ms=50,
)
EMPTY = TransactionMetadata("empty", 10, 1, 2, producer_epoch=0)
NOW_MS = 150


def test_a_description_says_what_is_known() -> None:
    assert describe(OPEN) == Described(
        error_code=0,
        transactional_id="open",
        transaction_state="Ongoing",
        transaction_timeout_ms=60_000,
        transaction_start_time_ms=50,
        producer_id=9,
        producer_epoch=3,
        topics=[TopicData("t", [0, 1]), TopicData("u", [0])],
    )


@pytest.mark.parametrize(
    ("filters", "listed"),
    [
        (ListFilters(), ["open", "empty"]),
        (ListFilters(states=frozenset({"Ongoing"})), ["open"]),
        (ListFilters(states=frozenset({"ongoing"})), []),
        (ListFilters(states=frozenset({"Ongoing", "Nonsense"})), ["open"]),
        (ListFilters(producer_ids=frozenset({10, 11})), ["empty"]),
        (ListFilters(longer_than_ms=99), ["open", "empty"]),
        (ListFilters(longer_than_ms=100), ["empty"]),
        (ListFilters(matches=lambda text: text.startswith("o")), ["open"]),
    ],
)
def test_all_filters_have_to_be_passed(filters: ListFilters, listed: list[str]) -> None:
    found = list_transactions([OPEN, EMPTY], filters, NOW_MS)
    assert [each.transactional_id for each in found] == listed


def test_states_that_there_are_not_are_named() -> None:
    filters = ListFilters(states=frozenset({"Ongoing", "ongoing", "Nonsense"}))
    assert filters.unknown_states == ["Nonsense", "ongoing"]
