from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.coordinator.transaction import state as state_module
from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.state import (
    AT_REST,
    ENDING,
    ENTERED_FROM,
    STATES_BY_NAME,
    TransactionState,
)


def test_the_table_is_the_one_of_apache_kafka() -> None:
    moves = {
        (old.display_name, new.display_name) for new, olds in ENTERED_FROM.items() for old in olds
    }
    at_rest = ("Empty", "CompleteCommit", "CompleteAbort")
    assert moves == {
        *((old, new) for old in at_rest for new in ("Empty", "Ongoing", "PrepareAbort", "Dead")),
        ("Ongoing", "Ongoing"),
        ("Ongoing", "PrepareCommit"),
        ("Ongoing", "PrepareAbort"),
        ("Ongoing", "PrepareEpochFence"),
        ("PrepareEpochFence", "PrepareAbort"),
        ("PrepareCommit", "CompleteCommit"),
        ("PrepareAbort", "CompleteAbort"),
    }


def test_names_and_numbers_are_those_of_apache_kafka() -> None:
    assert [state.display_name for state in sorted(TransactionState)] == [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ]
    assert STATES_BY_NAME["PrepareEpochFence"] is TransactionState.PREPARE_EPOCH_FENCE
    assert {state.display_name for state in ENDING} == {"PrepareCommit", "PrepareAbort"}
    assert {state.display_name for state in AT_REST} == {
        "Empty",
        "CompleteCommit",
        "CompleteAbort",
    }


@pytest.mark.parametrize("old", list(TransactionState))
def test_a_step_that_the_table_does_not_have_is_a_bug(old: TransactionState) -> None:
    known = TransactionMetadata("id", 1, 1, 1, state=old, producer_epoch=0)
    added = frozenset({("t", 0)})
    if old in ENTERED_FROM[TransactionState.ONGOING]:
        assert known.with_partitions(added, 0, 5).state is TransactionState.ONGOING
    else:
        with pytest.raises(AssertionError):
            known.with_partitions(added, 0, 5)


def test_the_readme_shows_the_table() -> None:
    readme = Path(state_module.__file__).with_name("README.md").read_text()
    shown = {line.strip() for line in readme.splitlines() if " --> " in line}
    assert shown == {
        f"{old.display_name} --> {new.display_name}"
        for new, olds in ENTERED_FROM.items()
        for old in olds
    }
