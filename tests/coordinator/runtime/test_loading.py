from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pykbroker.coordinator.group.offsets import NO_PRODUCER_ID
from pykbroker.coordinator.group.records import decode_record, encode_record, offset_tombstone
from pykbroker.coordinator.runtime.loading import LOAD_PIECE_RECORDS, LoadedPiece
from pykbroker.coordinator.runtime.loading import read_pieces as read_pieces_with
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record

KEY, _ = encode_record(offset_tombstone("g", "t", 0))
NO_LIMIT = 1 << 40


def read_pieces(batches: Iterator[RecordBatch], max_bytes: int) -> list[LoadedPiece]:
    return read_pieces_with(batches, max_bytes, decode_record)


COMMIT, ABORT = b"\x00\x00\x00\x01", b"\x00\x00\x00\x00"


def a_batch(base_offset: int, *records: tuple[bytes, bytes | None], **fields: int) -> RecordBatch:
    return RecordBatch.parse(
        build_batch(
            [Record(i, 0, key, value) for i, (key, value) in enumerate(records)],
            base_offset=base_offset,
            **fields,  # type: ignore[arg-type]
        )
    )


def test_records_are_decoded_with_their_offsets() -> None:
    batches = iter([a_batch(5, (KEY, None), (KEY, None)), a_batch(7, (KEY, None))])
    tombstone = offset_tombstone("g", "t", 0)

    assert read_pieces(batches, NO_LIMIT) == [
        LoadedPiece(NO_PRODUCER_ID, [(5, tombstone), (6, tombstone), (7, tombstone)])
    ]
    assert read_pieces(batches, NO_LIMIT) == []


def test_transactions_and_their_markers_are_told_apart() -> None:
    producer = {"producer_id": 9, "producer_epoch": 0}
    batches = iter(
        [
            a_batch(0, (KEY, None), is_transactional=True, base_sequence=0, **producer),
            a_batch(1, (COMMIT, b"\x00" * 6), is_transactional=True, is_control=True, **producer),
            a_batch(2, (ABORT, b"\x00" * 6), is_transactional=True, is_control=True, **producer),
            a_batch(3, (KEY, None), base_sequence=0, **producer),
        ]
    )
    pieces = read_pieces(batches, NO_LIMIT)
    assert [piece.producer_id for piece in pieces] == [9, 9, 9, NO_PRODUCER_ID]
    assert [piece.is_commit_marker for piece in pieces] == [None, True, False, None]


def test_control_records_of_other_kinds_end_nothing() -> None:
    marker = {"producer_id": 9, "is_transactional": True, "is_control": True}
    leader_change, malformed = b"\x00\x00\x00\x02", b"\x00"
    batches = iter(
        [
            a_batch(0, (leader_change, b"\x00" * 6), **marker),
            a_batch(1, (malformed, None), **marker),
            a_batch(2, (COMMIT, b"\x00" * 6), **marker),
        ]
    )
    assert read_pieces(batches, NO_LIMIT) == [LoadedPiece(9, is_commit_marker=True)]


def test_a_record_that_cannot_be_read_is_told_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other_kind = b"\x00\x0b\x00\x01g"
    batches = iter([a_batch(0, (b"\x00", None), (other_kind, b"\x00\x00"), (KEY, None))])
    with caplog.at_level(logging.ERROR):
        (piece,) = read_pieces(batches, NO_LIMIT)
    assert [offset for offset, _ in piece.records] == [2]
    (told,) = caplog.messages
    assert "offset=0" in told


def test_a_long_log_comes_in_pieces() -> None:
    half = LOAD_PIECE_RECORDS // 2
    batches = iter([a_batch(n * half, *[(KEY, None)] * half) for n in range(3)])
    assert [len(piece.records) for piece in read_pieces(batches, NO_LIMIT)] == [2 * half]
    assert [len(piece.records) for piece in read_pieces(batches, NO_LIMIT)] == [half]
    assert read_pieces(batches, NO_LIMIT) == []


def test_a_piece_ends_when_it_has_the_bytes_of_the_load_buffer() -> None:
    batches = [a_batch(n, (KEY, None)) for n in range(3)]
    pieces = iter(batches)

    limit = 2 * batches[0].size_bytes
    for expected in (2, 1):
        (piece,) = read_pieces(pieces, limit)
        assert len(piece.records) == expected


def test_a_batch_with_a_wrong_checksum_is_refused() -> None:
    batch = a_batch(0, (KEY, None))
    batch.data[-1] ^= 1
    with pytest.raises(CorruptBatchError):
        read_pieces(iter([batch]), NO_LIMIT)
