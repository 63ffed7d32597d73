from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.verify.batches import BatchChecks
from pykbroker.storage.verify.indexes import TransactionIndexCheck
from tests.harness.batches import (
    a_batch,
    a_batch_of_payload,
    a_record,
    record_bytes,
)

LOG = Path("0.log")


class Walk:
    """Checks batches that are a hundred bytes apart and keeps what is said."""

    def __init__(self, base_offset: int = 0, **options: Any) -> None:
        options = {"epochs": None, "log_start_offset": 0, "is_compacted": False, **options}
        self.checks = BatchChecks(
            options["epochs"], options["log_start_offset"], is_compacted=options["is_compacted"]
        )
        self.said: list[tuple[str, int | None]] = []
        self.base_offset = base_offset
        self.position = 0
        self.checks.on_segment(LOG, base_offset, self._complain)
        self.aborted = TransactionIndexCheck(Path("/nowhere/0.txnindex"), self._complain)

    def _complain(
        self, path: Path, text: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        self.said.append((text, position))

    def add(self, *batches: RecordBatch) -> "Walk":
        for batch in batches:
            self.checks.check(
                LOG, self.base_offset, self.position, batch, self._complain, self.aborted
            )
            self.position += 100
        return self


def at(offset: int, records: int = 2, **header: Any) -> RecordBatch:
    return a_batch(offset, records=records, **header)


def test_batches_that_follow_each_other_are_fine() -> None:
    walk = Walk().add(at(0), at(2), at(4))

    assert walk.said == []
    assert (walk.checks.batches, walk.checks.records, walk.checks.next_offset) == (3, 6, 6)


def test_an_offset_that_comes_again_is_wrong() -> None:
    assert Walk().add(at(0), at(1), at(3)).said == [("offset 1 comes after 1", 100)]


def test_of_two_batches_the_one_that_fits_neither_side_is_wrong() -> None:
    walk = Walk().add(at(0), at(66), at(4), at(6))

    assert walk.said == [("offset 66 stands where 2 should: offset 4 follows", 100)]
    assert walk.checks.gaps == 0


def test_gaps_are_counted_and_the_first_one_is_known() -> None:
    checks = Walk().add(at(0), at(4), at(9)).checks

    assert checks.gaps == 2
    assert checks.first_gap is not None
    assert (checks.first_gap.position, checks.first_gap.offset) == (100, 2)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (at(3), "offset 3 is below the segment's first, 10"),
        (at(2**31 + 10), "offset 2147483659 is too far from the segment's first, 10"),
        (
            a_batch_of_payload(record_bytes(), 1, base_offset=10, last_offset_delta=-1),
            "1 records cannot have 0 offsets",
        ),
    ],
)
def test_offsets_that_the_segment_cannot_have_are_wrong(batch: RecordBatch, text: str) -> None:
    assert Walk(10).add(batch).said[0] == (text, 0)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (a_batch_of_payload(record_bytes() + b"x", 1), "record 1 of the batch"),
        (a_batch_of_payload(record_bytes(length=3), 1), "record 0 of the batch"),
        (a_batch_of_payload(record_bytes(), 1, attributes=7), "there is no compression codec 7"),
        (a_batch_of_payload(record_bytes(), 1, attributes=4), "the records do not decompress"),
        (
            a_batch_of_payload(record_bytes(1) + record_bytes(0), 2),
            "offset 0 comes after 1",
        ),
        (a_batch_of_payload(record_bytes(5), 1), "offset 5 comes after -1"),
    ],
)
def test_records_that_are_not_what_the_header_says_are_wrong(batch: RecordBatch, text: str) -> None:
    ((said, position),) = Walk().add(batch).said

    assert said.startswith(f"records: {text}")
    assert position == 0


def test_what_compaction_leaves_is_fine() -> None:
    emptied = a_batch_of_payload(b"", 0, last_offset_delta=4)
    thinned = a_batch(
        5, records=[a_record(6), a_record(8)], keep_offsets=True
    )  # offset 5 and 7 are gone
    walk = Walk().add(emptied, thinned)

    assert walk.said == []
    assert walk.checks.is_compacted


def test_leader_epochs_follow_the_checkpoint() -> None:
    epochs = [(0, 0), (3, 2)]

    assert Walk(epochs=epochs).add(at(0, leader_epoch=0), at(2, leader_epoch=3)).said == []
    assert Walk(epochs=epochs).add(at(0, leader_epoch=0), at(2, leader_epoch=0)).said == [
        ("leader epoch 0, but by the checkpoint of leader epochs 3", 112)
    ]
    assert Walk(epochs=[(0, 0), (1, 1)]).add(at(0, leader_epoch=0)).said == [
        ("leader epoch 0, but by the checkpoint of leader epochs 1", 12)
    ]


def test_below_the_log_start_offset_leader_epochs_are_not_known() -> None:
    walk = Walk(epochs=[(4, 3)], log_start_offset=3)

    assert walk.add(at(0, leader_epoch=2), at(2, leader_epoch=4)).said == []


def test_without_a_checkpoint_leader_epochs_ascend() -> None:
    assert Walk().add(at(0, leader_epoch=4), at(2, leader_epoch=3)).said == [
        ("leader epoch 3 comes after 4", 112)
    ]
    assert Walk().add(at(0, leader_epoch=4), at(2, leader_epoch=-1)).said == []
    assert Walk().add(at(0, leader_epoch=-2)).said == [("impossible leader epoch -2", 12)]


def test_of_many_wrong_epochs_the_first_is_told_and_the_others_are_counted() -> None:
    walk = Walk(epochs=[(9, 0)])
    walk.add(*(at(2 * n, leader_epoch=1) for n in range(5)))
    walk.checks.finish(walk._complain, Path("leader-epoch-checkpoint"))

    assert [text for text, _ in walk.said][1:] == ["4 more batches do not agree with it"]


def test_a_malformed_marker_ends_no_transaction() -> None:
    marker = at(0, 1, producer_id=1, producer_epoch=0, is_control=True)
    broken = a_batch_of_payload(b"zz", 1, base_offset=1, attributes=0x30, producer_id=1)

    walk = Walk().add(marker, broken)

    assert len(walk.said) == 1
