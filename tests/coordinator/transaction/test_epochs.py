from __future__ import annotations

from dataclasses import replace

from pykbroker.coordinator.transaction.epochs import LastEpochs
from pykbroker.coordinator.transaction.metadata import TransactionMetadata

KNOWN = TransactionMetadata("id", 9, 1, 2, producer_epoch=5)


def test_a_note_counts_while_id_and_epoch_are_those_that_it_was_made_for() -> None:
    epochs = LastEpochs()
    assert epochs.last_epoch(KNOWN) == -1
    epochs.note(KNOWN, 4)
    assert epochs.last_epoch(KNOWN) == 4
    assert epochs.last_epoch(replace(KNOWN, producer_epoch=6)) == -1
    assert epochs.last_epoch(replace(KNOWN, producer_id=8)) == -1
    epochs.forget("id")
    epochs.forget("id")
    assert epochs.last_epoch(KNOWN) == -1
