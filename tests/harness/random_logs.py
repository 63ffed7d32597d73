"""Random logs to compact, with all codecs, transactions, gaps, tombstones and missing keys."""

from __future__ import annotations

import random
from pathlib import Path

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.protocol.records import Record
from pykbroker.storage.cleaning_job import SourceSegment
from pykbroker.storage.transaction_index import AbortedTransaction
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.compaction import a_marker, write_segment

KEYS = [b"a", b"b", b"c", b"d" * 40, b"e" * 40, b""]


class WrittenLog:
    """A random log, and what is true of it.

    Attributes:
        committed: Offset -> each record that a reader of committed data sees.
        markers: (Producer, first offset, marker's offset, whether committed) of each transaction.
        last_data: Producer -> its last batch of data.
        segments: Its segments; all are closed.
        offset: The log end offset.
    """

    def __init__(self, path: Path, rnd: random.Random) -> None:
        self._rnd = rnd
        self._path = path
        self.offset = 0
        self.committed: dict[int, Record] = {}
        self.markers: list[tuple[int, int, int, bool]] = []
        self.last_data: dict[int, RecordBatch] = {}
        self.segments: list[SourceSegment] = []
        self._sequences: dict[int, int] = {}
        self._open: dict[int, tuple[int, list[Record]]] = {}
        self._segment: list[RecordBatch] = []
        self._aborted: list[AbortedTransaction] = []
        self._base = 0
        for _ in range(rnd.randint(3, 40)):
            if rnd.random() < 0.2 and self._open:
                self._end_transaction(rnd.choice(sorted(self._open)))
            else:
                self._write()
            if rnd.random() < 0.25:
                self._roll()
        for producer_id in sorted(self._open):
            self._end_transaction(producer_id)
        self._roll()

    def _write(self) -> None:
        rnd = self._rnd
        producer_id = rnd.choice([-1, -1, 1, 2, 11, 12])
        is_transactional = producer_id > 10
        records = []
        offset = self.offset + (rnd.randint(0, 2) if rnd.random() < 0.2 else 0)
        base_offset = offset
        for _ in range(rnd.choice([1, 2, 5, 40])):
            key = None if rnd.random() < 0.05 else rnd.choice(KEYS)
            value = None if rnd.random() < 0.3 else rnd.randbytes(rnd.choice([0, 3, 200]))
            headers = (("h", b"v"),) if rnd.random() < 0.1 else ()
            timestamp = NOW_MS + rnd.randint(-10_000, 10_000)
            records.append(Record(offset, timestamp, key, value, headers))
            offset += 1 if rnd.random() < 0.9 else rnd.randint(1, 9000)
        batch = a_batch(
            base_offset,
            records=records,
            keep_offsets=True,
            codec=rnd.choice(list(Codec)),
            producer_id=producer_id,
            producer_epoch=0 if producer_id > 0 else -1,
            base_sequence=self._sequences.get(producer_id, 0) if producer_id > 0 else -1,
            is_transactional=is_transactional,
            leader_epoch=3,
        )
        if producer_id > 0:
            self._sequences[producer_id] = batch.last_sequence + 1
            self.last_data[producer_id] = batch
        if is_transactional:
            self._open.setdefault(producer_id, (base_offset, []))[1].extend(records)
        else:
            self.committed |= {record.offset: record for record in records}
        self._segment.append(batch)
        self.offset = batch.last_offset + 1

    def _end_transaction(self, producer_id: int) -> None:
        first, records = self._open.pop(producer_id)
        is_committed = self._rnd.random() < 0.5
        self._segment.append(a_marker(self.offset, producer_id, commit=is_committed))
        self.markers.append((producer_id, first, self.offset, is_committed))
        if is_committed:
            self.committed |= {record.offset: record for record in records}
        else:
            stable = min((start for start, _ in self._open.values()), default=self.offset + 1)
            self._aborted.append(AbortedTransaction(producer_id, first, self.offset, stable))
        self.offset += 1

    def _roll(self) -> None:
        if self._segment:
            self.segments.append(
                write_segment(self._path, self._base, self._segment, aborted=self._aborted)
            )
        self._base = self.offset
        self._segment, self._aborted = [], []
