"""Reading a coordinator's log back in pieces, as a start does."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pykbroker.coordinator.group.offsets import NO_PRODUCER_ID
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.errors import CorruptBatchError, ProtocolError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.control_records import ABORT, COMMIT, read_control_record

log = logging.getLogger(__name__)

# A piece of this size is replayed in a few milliseconds, between which the loop serves others.
LOAD_PIECE_RECORDS: Final = 1_000
MAX_DECOMPRESSED_BATCH_BYTES: Final = 256 * 1024 * 1024


@dataclass(slots=True)
class LoadedPiece:
    """Part of a log, decoded: the records of some batches, or the marker that ends a transaction.

    Batches of a transaction are told apart from others by their producer id.
    """

    producer_id: int
    records: list[tuple[int, CoordinatorRecord]] = field(default_factory=list)
    is_commit_marker: bool | None = None


def read_pieces(
    batches: Iterator[RecordBatch],
    max_bytes: int,
    decode: Callable[[bytes, bytes | None], CoordinatorRecord | None],
) -> list[LoadedPiece]:
    """Read and decode the next batches of a coordinator's log; blocks, an empty list is the end.

    They end after so many records that the loop replays them in a moment, or with the batch that
    reaches `max_bytes`.

    A record that is not what its type says is reported and left out: the log itself is sound, and
    one bad record must not keep the rest of the partition away.

    Raises:
        CorruptBatchError: The log is not sound.
        DamagedSegmentError: Neither are its batches.
        OSError: The disk refused.
    """
    pieces: list[LoadedPiece] = []
    piece: LoadedPiece | None = None
    total = total_bytes = 0
    for batch in batches:
        if not batch.is_crc_valid():
            raise CorruptBatchError(f"the checksum of the batch at {batch.base_offset} is wrong")
        if batch.is_control:
            piece = None
            for record in batch.records(MAX_DECOMPRESSED_BATCH_BYTES):
                control = read_control_record(record)
                if control is not None and control.name in (COMMIT, ABORT):
                    is_commit = control.name == COMMIT
                    pieces.append(LoadedPiece(batch.producer_id, is_commit_marker=is_commit))
            total += 1
        else:
            producer_id = batch.producer_id if batch.is_transactional else NO_PRODUCER_ID
            if piece is None or piece.producer_id != producer_id:
                piece = LoadedPiece(producer_id)
                pieces.append(piece)
            for offset, key, value in batch.key_values(MAX_DECOMPRESSED_BATCH_BYTES):
                total += 1
                try:
                    decoded = decode(key or b"", value)
                except ProtocolError as error:
                    log.error("coordinator_record_unreadable offset=%d %s", offset, error)
                    continue
                if decoded is not None:
                    piece.records.append((offset, decoded))
        total_bytes += batch.size_bytes
        if total >= LOAD_PIECE_RECORDS or total_bytes >= max_bytes:
            break
    return pieces
