"""The log of one partition: what Produce appends to and Fetch reads from.

A log is a chain of segments; the last one is active and takes the appends. Offsets:

    log start offset <= last stable offset <= high watermark <= log end offset

The high watermark is the log end offset as long as there is one replica. The last stable offset is
the start of the oldest open transaction, else the high watermark. `recovery_point` says up to where
an fsync has made the log durable.

Threads: everything runs in the event loop except `flush` (a worker thread, while appends go on) and
the look-ups, which may run in a worker thread too. The tuple of segments is replaced as a whole.

Failures: an append that the disk refuses leaves the log as it was, see `write_failures`. A failed
fsync takes the whole data directory offline for writing too; reads go on.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import NO_SEQUENCE, RecordBatch
from pykbroker.protocol.records import Record
from pykbroker.storage import log_search
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.control_records import marker_batch
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import DESCRIPTOR_ERRNOS, tolerate_full_disk
from pykbroker.storage.file_slice import FileSlice
from pykbroker.storage.log_producers import LogProducers
from pykbroker.storage.log_search import TimestampedOffset
from pykbroker.storage.own_batches import batch_of
from pykbroker.storage.partition_files import PartitionFiles, Runner
from pykbroker.storage.producer_state import AppendOrigin
from pykbroker.storage.recovery import LoadedLog
from pykbroker.storage.retention import count_deletable
from pykbroker.storage.segment import Segment
from pykbroker.storage.segment_chain import SegmentChain
from pykbroker.storage.write_failures import write_failed


class AppendResult(NamedTuple):
    """Where a batch went.

    `log_append_time_ms` is -1 for CreateTime. For a duplicate all fields are those of the batch
    that was written first, the time being its largest timestamp (as Kafka answers).
    """

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    is_duplicate: bool


class LogRead(NamedTuple):
    """What a read found; `slice` is None when there is nothing."""

    slice: FileSlice | None
    size_bytes: int


_NOTHING: Final = LogRead(None, 0)


class PartitionLog:
    """One partition's log.

    Args:
        directory: The data directory it is in.
        path: Its own directory, `<topic>-<partition>`.
        topic: Name of the topic.
        topic_id: Id of the topic, 16 bytes.
        partition: Number of the partition.
        config: The topic's settings; see `reconfigure`.
        loaded: What `recovery.LogLoader` found, or the empty log.
        on_advance: Called after every append and every move of an offset, and when the log is
            closed (`is_closed`).

    Attributes:
        chain: The segments, for compaction.
        leader_epoch: Written into every batch; set by whoever knows the metadata.
        is_being_cleaned: Compaction reads the closed segments, so none of them may be removed.
        transactions: Checks producers, and knows the aborted transactions.
        unflushed_since_ms: When the oldest record that is not durable was appended, or None.
    """

    __slots__ = (
        "_end_offset_when_idle",
        "_files",
        "_flush_lock",
        "_is_roll_unflushed",
        "_latest_epoch",
        "chain",
        "config",
        "directory",
        "epochs",
        "high_watermark",
        "is_being_cleaned",
        "is_closed",
        "last_stable_offset",
        "leader_epoch",
        "log_end_offset",
        "log_start_offset",
        "on_advance",
        "partition",
        "path",
        "producers",
        "recovery_point",
        "topic",
        "topic_id",
        "transactions",
        "unflushed_since_ms",
    )

    def __init__(
        self,
        directory: DataDirectory,
        path: Path,
        topic: str,
        topic_id: bytes,
        partition: int,
        config: TopicConfig,
        loaded: LoadedLog,
        *,
        on_advance: "Callable[[PartitionLog], None] | None" = None,
    ) -> None:
        self.directory = directory
        self.path = path
        self.topic = topic
        self.topic_id = topic_id
        self.partition = partition
        self.config = config
        self.on_advance = on_advance
        self.is_closed = False
        self.is_being_cleaned = False
        self.log_start_offset = loaded.log_start_offset
        self.log_end_offset = self.high_watermark = loaded.log_end_offset
        self.recovery_point = loaded.recovery_point
        self.epochs = loaded.epochs
        self._latest_epoch = loaded.epochs.latest_epoch
        self.leader_epoch = max(loaded.epochs.latest_epoch, 0)
        self.producers = loaded.producers
        self.last_stable_offset = self.high_watermark
        self.unflushed_since_ms: int | None = None
        self._end_offset_when_idle = self.log_end_offset
        self._files = PartitionFiles(directory, path, loaded.snapshot_offsets)
        self.chain = SegmentChain(directory.files, path, self._files, loaded.segments)
        self.transactions = LogProducers(self.producers, directory, self.chain, self._files)
        self._is_roll_unflushed = False
        self._flush_lock = threading.Lock()
        if loaded.checked_from is not None or not self.log_end_offset:
            self._files.note_recovered(loaded.checked_segments)
        if not loaded.are_epochs_saved:
            self._files.save_epochs(self.epochs)
        self._update_last_stable_offset()

    def __repr__(self) -> str:
        return f"PartitionLog({self.path.name}, {self.log_start_offset}..{self.log_end_offset})"

    @property
    def is_offline(self) -> bool:
        """Whether appends are refused because the data directory has failed."""
        return self.directory.failure is not None

    @property
    def size_bytes(self) -> int:
        """Bytes of all `.log` files."""
        return self.chain.size_bytes

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, oldest first."""
        return self.chain.all

    def reconfigure(self, config: TopicConfig) -> None:
        """Use other settings from now on."""
        self.config = config
        for segment in self.chain.all:
            segment.index_interval_bytes = config.index_interval_bytes

    # Appending

    def append(
        self,
        batch: RecordBatch,
        now_ms: int,
        *,
        origin: AppendOrigin = AppendOrigin.CLIENT,
        transaction_version: int = 0,
    ) -> AppendResult:
        """Append one validated batch: check its producer, give it offsets, write it.

        Args:
            batch: Its data must be writable, as offsets and leader epoch are put into it.
            now_ms: Wall time.
            origin: Who wrote it.
            transaction_version: Of the transaction that it ends, where it is a marker.

        Raises:
            KafkaError: RECORD_LIST_TOO_LARGE (larger than a segment), KAFKA_STORAGE_ERROR (the
                disk failed or is full, or the log is damaged), UNKNOWN_TOPIC_OR_PARTITION (the log
                is closed), or what `ProducerStateManager.check` found. Nothing was appended.
        """
        if self.directory.failure is not None or self.is_closed:
            raise self._unavailable()
        config = self.config
        if batch.size_bytes > config.segment_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"the batch has {batch.size_bytes} bytes, a segment {config.segment_bytes}",
            )
        has_producer = batch.producer_id >= 0
        if has_producer:
            duplicate = self.transactions.check(batch, origin, transaction_version)
            if duplicate is not None:
                return AppendResult(
                    duplicate.first_offset, duplicate.last_offset, duplicate.timestamp, True
                )
        base_offset = self.log_end_offset
        last_offset = base_offset + batch.last_offset_delta
        segment = self.chain.active
        try:
            if segment.should_roll(
                batch,
                last_offset,
                now_ms,
                segment_bytes=config.segment_bytes,
                segment_ms=config.max_segment_ms,
            ):
                segment = self._roll(base_offset, now_ms)
            batch.assign(base_offset, self.leader_epoch)
            if self.leader_epoch > self._latest_epoch:
                self._begin_epoch(base_offset)
            if not segment.append(batch):
                self._files.note_changed()  # the first batch makes the file where there is none
        except (DamagedSegmentError, OSError) as error:
            raise self._write_failed(error, now_ms) from error
        self.log_end_offset = self.high_watermark = last_offset + 1
        if has_producer:
            self.transactions.record(batch, segment)
        self._update_last_stable_offset()
        if self.unflushed_since_ms is None:
            self.unflushed_since_ms = now_ms
        if self.on_advance is not None:
            self.on_advance(self)
        time_ms = batch.max_timestamp if batch.is_log_append_time else -1
        return AppendResult(base_offset, last_offset, time_ms, False)

    def append_records(
        self,
        records: Sequence[Record],
        now_ms: int,
        codec: Codec = Codec.NONE,
        producer: tuple[int, int] | None = None,
        base_sequence: int = NO_SEQUENCE,
    ) -> AppendResult:
        """Append the broker's own records as one batch; see `append` and `own_batches`."""
        batch = batch_of(records, codec, producer, self.config.max_message_bytes, base_sequence)
        return self.append(batch, now_ms, origin=AppendOrigin.COORDINATOR)

    def append_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        now_ms: int,
        transaction_version: int = 0,
    ) -> AppendResult:
        """Append the marker that ends the producer's transaction, see `append`.

        Args:
            producer_epoch: That of the transaction, or later; from transaction version 2 on later.
            is_commit: Whether its records are to be seen, or skipped.
            coordinator_epoch: Leader epoch of the transaction coordinator's partition.
            transaction_version: That of the transaction.

        Raises:
            KafkaError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, or see `append`.
        """
        batch = marker_batch(
            producer_id,
            producer_epoch,
            is_commit=is_commit,
            coordinator_epoch=coordinator_epoch,
            now_ms=now_ms,
            is_append_time=self.config.message_timestamp_type == "LogAppendTime",
        )
        return self.append(
            batch, now_ms, origin=AppendOrigin.COORDINATOR, transaction_version=transaction_version
        )

    def has_open_transaction(self, producer_id: int, producer_epoch: int) -> bool:
        """Whether a transaction that the producer began in this epoch is open here."""
        return self.producers.has_open_transaction(producer_id, producer_epoch)

    def _update_last_stable_offset(self) -> None:
        unstable = self.producers.first_unstable_offset
        self.last_stable_offset = (
            self.high_watermark if unstable is None else max(unstable, self.log_start_offset)
        )

    def _begin_epoch(self, start_offset: int) -> None:
        self.epochs.assign(self.leader_epoch, start_offset)
        self._files.save_epochs(self.epochs)  # again, where an earlier attempt has failed
        self._latest_epoch = self.epochs.latest_epoch

    def _unavailable(self) -> KafkaError:
        if self.is_closed:
            return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.directory.failure)

    def _write_failed(self, error: DamagedSegmentError | OSError, now_ms: int) -> KafkaError:
        return write_failed(self.directory, self.path, error, now_ms)

    # Rolling

    def roll(self, now_ms: int) -> None:
        """Start a new segment unless the active one is empty; KAFKA_STORAGE_ERROR if it cannot."""
        try:
            if self.chain.active.size_bytes:
                self._roll(self.log_end_offset, now_ms)
        except (DamagedSegmentError, OSError) as error:
            raise self._write_failed(error, now_ms) from error

    def _roll(self, base_offset: int, now_ms: int) -> Segment:
        active = self.chain.active
        if active.base_offset == base_offset and not active.size_bytes:
            return active
        self._files.save_snapshot(self.producers, base_offset)
        segment = self.chain.roll(base_offset, self.config, now_ms)
        self._is_roll_unflushed = True
        return segment

    # Reading

    def read(self, offset: int, max_bytes: int, *, up_to: int, at_least_one_batch: bool) -> LogRead:
        """Find the bytes for a Fetch; nothing is read yet but batch headers.

        Args:
            offset: Where to start; the batch that contains it is returned whole.
            max_bytes: At most so many, cut inside of a batch if need be.
            up_to: Exclusive end: the high watermark or the last stable offset.
            at_least_one_batch: Return the first batch even if it is larger than `max_bytes`.

        Raises:
            KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE (the log is damaged there),
                KAFKA_STORAGE_ERROR.
        """
        if offset < self.log_start_offset or offset > self.log_end_offset:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"offset {offset} is outside of {self.log_start_offset}..{self.log_end_offset}",
            )
        if offset >= up_to:
            return _NOTHING
        try:
            found = self.chain.read(
                offset, max_bytes, up_to=up_to, at_least_one_batch=at_least_one_batch
            )
        except DamagedSegmentError as error:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, str(error)) from error
        except OSError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return LogRead(found, found.size_bytes) if found is not None else _NOTHING

    def read_batches(self, offset: int, up_to: int) -> Iterator[RecordBatch]:
        """Yield the batches from the one that contains `offset` on; waits for the disk.

        Raises:
            DamagedSegmentError: Bytes of the log are not a batch.
        """
        return self.chain.batches(offset, up_to)

    def offset_for_timestamp(self, timestamp_ms: int, up_to: int) -> TimestampedOffset | None:
        """Find the first record at or after a time, below `up_to`; waits for the disk."""
        start = self.log_start_offset
        return log_search.find_timestamp(self.chain.all, timestamp_ms, start, up_to)

    def max_timestamp_offset(self, up_to: int) -> TimestampedOffset | None:
        """Find the first record with the largest timestamp; None if it is not below `up_to`."""
        start, end = self.log_start_offset, self.log_end_offset
        found = log_search.find_max_timestamp(self.chain.all, start, end)
        return found if found is not None and found.offset < up_to else None

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """Return (epoch, end offset) of the largest known epoch up to `epoch`, or (-1, -1)."""
        return self.epochs.end_offset_for(epoch, self.leader_epoch, self.log_end_offset)

    def epoch_at(self, offset: int) -> int:
        """Return the leader epoch that `offset` was written in, or -1."""
        return self.epochs.epoch_at(offset)

    # Deleting

    def delete_records(self, before_offset: int, now_ms: int) -> int:
        """Make the records below an offset unreadable; segments wholly below it are removed.

        Args:
            before_offset: The new log start offset; -1 means the high watermark. An offset at or
                below the current start changes nothing. While the log is being cleaned, retention
                removes the segments later.
            now_ms: Wall time.

        Returns:
            The log start offset.

        Raises:
            KafkaError: OFFSET_OUT_OF_RANGE above the high watermark or below -1;
                KAFKA_STORAGE_ERROR.
        """
        if self.directory.failure is not None or self.is_closed:
            raise self._unavailable()
        if before_offset == -1:
            before_offset = self.high_watermark
        if before_offset < 0 or before_offset > self.high_watermark:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"cannot delete up to {before_offset}, the high watermark is {self.high_watermark}",
            )
        if before_offset > self.log_start_offset:
            count = 0 if self.is_being_cleaned else self.chain.count_below(before_offset)
            self._advance_start(before_offset, count, now_ms)
        return self.log_start_offset

    def apply_retention(self, now_ms: int) -> int:
        """Remove the segments that the topic's retention settings let go.

        Returns:
            How many segments were removed.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR.
            DamagedSegmentError, OSError: Nothing can be said of the timestamps.
        """
        if self.directory.failure is not None or self.is_closed or self.is_being_cleaned:
            return 0
        config = self.config
        segments = self.chain.all
        count = count_deletable(
            segments,
            log_start_offset=self.log_start_offset,
            high_watermark=self.high_watermark,
            log_end_offset=self.log_end_offset,
            is_delete_policy="delete" in config.cleanup_policy,
            retention_ms=config.retention_ms,
            retention_bytes=config.retention_bytes,
            now_ms=now_ms,
        )
        if count:
            end = segments[count].base_offset if count < len(segments) else self.log_end_offset
            self._advance_start(max(self.log_start_offset, end), count, now_ms)
        return count

    def _advance_start(self, start_offset: int, segment_count: int, now_ms: int) -> None:
        """Move the log start offset and remove the oldest segments.

        They must go from a full disk too, for that makes room: then the active one stays, and the
        leader epochs are saved another time.
        """
        try:
            if segment_count == len(self.chain.all):
                segment_count -= 1
                with tolerate_full_disk():
                    self._roll(self.log_end_offset, now_ms)
                    segment_count += 1
            self.log_start_offset = start_offset
            self.chain.remove_oldest(segment_count, now_ms + self.config.file_delete_delay_ms)
            if self.epochs.truncate_from_start(start_offset):
                with tolerate_full_disk():
                    self._files.save_epochs(self.epochs)
        except OSError as error:
            raise self._write_failed(error, now_ms) from error
        self._update_last_stable_offset()
        if self.on_advance is not None:
            self.on_advance(self)

    def remove_deleted_files(self, now_ms: int) -> None:
        """Delete the files whose `file.delete.delay.ms` is over; for a worker thread."""
        self._files.remove_retired(now_ms)

    # Durability

    def is_flush_due(self, now_ms: int) -> bool:
        """Whether `flush.messages`, `flush.ms` or a roll asks for a flush."""
        if self.directory.failure is not None:
            return False
        if self._is_roll_unflushed:
            return True
        since_ms = self.unflushed_since_ms
        return since_ms is not None and (
            now_ms - since_ms >= self.config.flush_ms or self.is_flush_interval_over
        )

    @property
    def is_flush_interval_over(self) -> bool:
        """Whether `flush.messages` wants a flush before the last append is answered."""
        return self.log_end_offset - self.recovery_point >= self.config.flush_messages

    def is_checkpoint_due(self, checkpointed: int) -> bool:
        """Whether a segment was closed and made durable since this recovery point was written."""
        return checkpointed < self.chain.active.base_offset <= self.recovery_point

    def is_removal_due(self, now_ms: int) -> bool:
        """Whether there are files whose `file.delete.delay.ms` is over."""
        return self._files.is_removal_due(now_ms)

    def flush(self, run: Runner = map) -> None:
        """Make everything appended before the call durable; then `recovery_point` says so.

        Runs in a worker thread while appends go on.

        Args:
            run: How small files are synced, see `PartitionFiles.sync`.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR; the data directory is offline. An fsync that failed is
                never tried again: the kernel may have dropped the pages and report success.
        """
        with self._flush_lock:
            if self.directory.failure is not None or self.is_closed:
                raise self._unavailable()
            # What is captured here is in the files; what comes later is for the next flush.
            end_offset = self.log_end_offset
            try:
                self.chain.save_from(self.recovery_point)
            except OSError as error:
                raise self._write_failed(error, self.unflushed_since_ms or 0) from error
            self._is_roll_unflushed = False
            self.unflushed_since_ms = None
            try:
                self.chain.sync_from(self.recovery_point)
                self._files.sync(run)
            except OSError as error:
                if self.is_closed:  # deleted meanwhile, so the files are elsewhere
                    raise self._unavailable() from error
                if error.errno in DESCRIPTOR_ERRNOS:  # no fsync has failed, there was none
                    self._is_roll_unflushed = True
                    raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
                self.directory.fail(f"cannot sync {self.path}: {error.strerror or error}")
                raise self._unavailable() from error
            self.recovery_point = max(self.recovery_point, end_offset)

    def note_created(self) -> None:
        """Have the next flush make the new directory itself durable."""
        self._files.note_created()

    def close(self, run: Runner = map) -> None:
        """Write and sync everything; after this the directory needs no recovery.

        A log that never held anything is left as it is: it is made anew where it is missing.

        Args:
            run: How small files are synced, see `PartitionFiles.sync`.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR; recovery is needed at the next start.
        """
        if self.is_closed:
            return
        try:
            if self.directory.failure is None and self.log_end_offset:
                self._write_tail()
                self.flush(run)
        except (DamagedSegmentError, OSError) as error:
            raise self._write_failed(error, 0) from error
        finally:
            self.abandon()

    def _write_tail(self) -> None:
        """Write what a clean stop leaves besides the log: indexes and a producer snapshot."""
        active = self.chain.active
        end_offset = self.log_end_offset
        if not self._files.has_snapshot(end_offset):
            self._files.save_snapshot(self.producers, end_offset)
        if active.are_indexes_unsaved():
            self._files.save_indexes(active)

    def abandon(self) -> None:
        """Let go of the files without writing anything; the log is gone for its users."""
        if self.is_closed:
            return
        self.is_closed = True
        self.chain.close()
        if self.on_advance is not None:
            self.on_advance(self)

    def release_idle_files(self) -> None:
        """Close the files but those of a log that was appended to since the last call."""
        is_busy = self.log_end_offset != self._end_offset_when_idle
        self._end_offset_when_idle = self.log_end_offset
        if is_busy:
            self.chain.release_closed()
        else:
            self.chain.release()
