from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.coordinator.group import state
from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.state import ENTERED_FROM, GroupState

EVERY_MOVE = [(old, new) for old in GroupState for new in GroupState]


def test_the_table_is_the_one_of_apache_kafka() -> None:
    moves = {(old.value, new.value) for new, olds in ENTERED_FROM.items() for old in olds}

    assert {move for move in moves if move[1] != "Dead"} == {
        ("PreparingRebalance", "Empty"),
        ("Empty", "PreparingRebalance"),
        ("Stable", "PreparingRebalance"),
        ("CompletingRebalance", "PreparingRebalance"),
        ("PreparingRebalance", "CompletingRebalance"),
        ("CompletingRebalance", "Stable"),
    }
    assert ENTERED_FROM[GroupState.DEAD] == set(GroupState)


@pytest.mark.parametrize(("old", "new"), EVERY_MOVE)
def test_a_group_moves_as_the_table_says_and_not_otherwise(
    old: GroupState, new: GroupState
) -> None:
    group = ClassicGroup("g", state=old)

    if old in ENTERED_FROM[new]:
        group.transition_to(new, 5)
        assert (group.state, group.state_timestamp_ms) == (new, 5)
    else:
        with pytest.raises(AssertionError):
            group.transition_to(new, 5)
        assert group.state is old


def test_a_dead_group_stays_dead() -> None:
    assert not any(
        GroupState.DEAD in olds for new, olds in ENTERED_FROM.items() if new is not GroupState.DEAD
    )


def test_the_readme_shows_the_table() -> None:
    readme = Path(state.__file__).with_name("README.md").read_text()
    shown = {line.strip() for line in readme.splitlines() if " --> " in line}
    assert shown == {
        f"{old.value} --> {new.value}" for new, olds in ENTERED_FROM.items() for old in olds
    }
