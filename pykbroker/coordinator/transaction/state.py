"""The states of a transactional id, and which may follow which.

| state | what is going on | what leaves it |
|---|---|---|
| Empty | a producer has come, and no transaction yet | adding a partition; an abort of nothing |
| Ongoing | partitions are part of a transaction | EndTxn; a timeout; a new producer |
| PrepareCommit, PrepareAbort | decided; markers are being written | the last marker |
| CompleteCommit, CompleteAbort | every marker is on the disk | a transaction; a new producer |
| PrepareEpochFence | the producer is fenced, the transaction about to be aborted | the abort |
| Dead | expired | a tombstone has been written |

Only Dead and PrepareEpochFence are never in a record. Source: Kafka's TransactionState.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class TransactionState(IntEnum):
    """A state, by the number that records have."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7

    @property
    def display_name(self) -> str:
        """Kafka's name, as administrators see it."""
        return "".join(word.capitalize() for word in self.name.split("_"))


_S = TransactionState

# state -> the states that it may be entered from
ENTERED_FROM: Final[Mapping[TransactionState, frozenset[TransactionState]]] = {
    _S.EMPTY: frozenset({_S.EMPTY, _S.COMPLETE_COMMIT, _S.COMPLETE_ABORT}),
    _S.ONGOING: frozenset({_S.ONGOING, _S.EMPTY, _S.COMPLETE_COMMIT, _S.COMPLETE_ABORT}),
    _S.PREPARE_COMMIT: frozenset({_S.ONGOING}),
    _S.PREPARE_ABORT: frozenset(
        {_S.ONGOING, _S.PREPARE_EPOCH_FENCE, _S.EMPTY, _S.COMPLETE_COMMIT, _S.COMPLETE_ABORT}
    ),
    _S.COMPLETE_COMMIT: frozenset({_S.PREPARE_COMMIT}),
    _S.COMPLETE_ABORT: frozenset({_S.PREPARE_ABORT}),
    _S.DEAD: frozenset({_S.EMPTY, _S.COMPLETE_COMMIT, _S.COMPLETE_ABORT}),
    _S.PREPARE_EPOCH_FENCE: frozenset({_S.ONGOING}),
}

# Decided, and not carried out everywhere yet.
ENDING: Final = frozenset({_S.PREPARE_COMMIT, _S.PREPARE_ABORT})
# Nothing is open, so the id may be given to a new producer, or expire.
AT_REST: Final = ENTERED_FROM[_S.DEAD]

STATES_BY_NAME: Final[Mapping[str, TransactionState]] = {
    state.display_name: state for state in TransactionState
}
