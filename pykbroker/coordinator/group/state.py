"""The states of a classic group and the moves between them.

| state | who is in it |
|---|---|
| Empty | no members; offsets may be kept |
| PreparingRebalance | JoinGroup requests are parked until every member has joined or time is up |
| CompletingRebalance | the generation is known; SyncGroup waits for the leader's assignment |
| Stable | every member can have its assignment |
| Dead | the group is gone; nothing leads out |

Source: KIP-62 and Kafka's ClassicGroupState.
"""

from enum import Enum
from typing import Final


class GroupState(Enum):
    """State of a classic group; the value is the name that clients see."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


ENTERED_FROM: Final[dict[GroupState, frozenset[GroupState]]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE}),
    GroupState.PREPARING_REBALANCE: frozenset(
        {GroupState.EMPTY, GroupState.STABLE, GroupState.COMPLETING_REBALANCE}
    ),
    GroupState.COMPLETING_REBALANCE: frozenset({GroupState.PREPARING_REBALANCE}),
    GroupState.STABLE: frozenset({GroupState.COMPLETING_REBALANCE}),
    GroupState.DEAD: frozenset(GroupState),
}
"""Each state and the states it may be entered from; the README's diagram shows this table."""
