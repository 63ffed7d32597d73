"""Transactional producers of a log, and what a client makes of a list of aborted transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.cleaned_transactions import ControlType, control_type
from pykbroker.storage.transaction_index import AbortedTransaction

MARKER_BYTES = 1000


class Transactional:
    """A transactional producer, as a model knows it."""

    def __init__(self, producer_id: int) -> None:
        self.id = producer_id
        self.epoch = 0
        self.sequence = 0

    def header(self) -> dict[str, Any]:
        """What its next batch says, for `a_batch`."""
        return {
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "base_sequence": self.sequence,
            "is_transactional": True,
        }

    def begin_epoch(self) -> None:
        """As the end of a transaction does from version 2 on."""
        self.epoch += 1
        self.sequence = 0


def with_skips(
    batches: Iterable[RecordBatch], listed: Sequence[AbortedTransaction]
) -> Iterator[tuple[RecordBatch, bool]]:
    """Say of each batch whether a client leaves it out."""
    waiting = sorted(listed, key=lambda each: each.first_offset)
    skipped: set[int] = set()
    for batch in batches:
        while waiting and waiting[0].first_offset <= batch.last_offset:
            skipped.add(waiting.pop(0).producer_id)
        if batch.is_control:
            if control_type(batch, MARKER_BYTES) is ControlType.ABORT:
                skipped.discard(batch.producer_id)
            yield batch, True
        else:
            yield batch, batch.is_transactional and batch.producer_id in skipped
