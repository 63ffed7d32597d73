"""Compaction in the background: which log is cleaned next, and putting the result in its place.

Threads (`log.cleaner.threads`) look for the log with the largest part that is worth cleaning, have
a process of its own do it (`compaction_client`), and swap each new segment in as it comes. So no
work of a cleaning is done where requests are answered, but the exchange of a segment for another.
Up to where a log is clean is kept in `cleaner-offset-checkpoint` (Kafka's `LogCleaner`,
`LogCleanerManager`).

A log whose cleaning fails for another reason than space is not tried again before the next start:
nothing is lost, it only grows. While others can be cleaned, one that is tried again waits.
"""

import logging
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Final, Protocol, TypeVar

from pykbroker.config.broker import BrokerConfig
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.cleanable import CleanableRange, find_cleanable
from pykbroker.storage.cleaning_job import (
    CleanedSegment,
    CleaningJob,
    CleaningSummary,
    SourceSegment,
)
from pykbroker.storage.compaction import LastRecord
from pykbroker.storage.compaction_client import CompactionProcess, CompactionProcessError
from pykbroker.storage.data_directory import CLEANER_OFFSETS, DataDirectory
from pykbroker.storage.file_layer import PASSING_ERRNOS
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.log_search import DECOMPRESSED_LIMIT_BYTES
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment import Segment

_MAX_PROCESS_DEATHS: Final = 3
_MIN_BACKOFF_MS: Final = 10  # the setting may be 0, which must not take a whole processor

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class CallInLoop(Protocol):
    """Calls a function in the event loop, which owns the logs, and returns what it returns."""

    def __call__(self, function: Callable[[], T], /) -> T:
        """Wait until it is done."""


class Compactor(Protocol):
    """What does the work of a cleaning; `CompactionProcess` in the broker."""

    def run(self, job: CleaningJob) -> Generator[CleanedSegment, None, CleaningSummary]:
        """See `segment_cleaner.clean`; also raises `CompactionProcessError`."""


class LogCleaner:
    """Cleans the compacted logs of the broker.

    Args:
        logs: The logs; they must be open when `start` is called.
        config: The broker's settings.
        now_ms: Returns the time that tombstones go by, see `RetentionClock`; from any thread.
        call_in_loop: See `CallInLoop`.
    """

    def __init__(
        self,
        logs: LogManager,
        config: Callable[[], BrokerConfig],
        now_ms: Callable[[], int],
        call_in_loop: CallInLoop,
    ) -> None:
        self._logs = logs
        self._config = config
        self._now_ms = now_ms
        self._call_in_loop = call_in_loop
        self._closing = threading.Event()
        self._lock = threading.Lock()  # held while what is known of the logs is used
        self._threads: list[threading.Thread] = []
        self._processes: dict[int, CompactionProcess] = {}  # by the number of the thread
        # Up to where each log is clean. A log is the key: a topic made anew has another one.
        self._cleaned_to: dict[PartitionLog, int] = {}
        self._process_deaths: dict[PartitionLog, int] = {}
        self._waiting: set[PartitionLog] = set()  # their last cleaning has failed
        self._uncleanable: set[PartitionLog] = set()

    def start(self) -> None:
        """Read how far the logs are clean, and begin to work."""
        for directory in self._logs.directories:
            self._load_checkpoint(directory)
        self._start_threads()

    def close(self) -> None:
        """Stop at once, in the middle of a cleaning too; waits for the threads."""
        self._closing.set()
        for process in list(self._processes.values()):
            process.close()
        for thread in self._threads:
            thread.join()

    def clean_next(self, compactor: Compactor) -> bool:
        """Clean the log that needs it most; waits until it is done.

        Returns:
            False if there was none, or it failed and should wait.
        """
        chosen = self._choose()
        if chosen is None:
            return False
        log, cleanable, job, sources = chosen
        try:
            summary = self._clean(compactor, log, job, sources)
        except (DamagedSegmentError, CompactionProcessError, OSError) as error:
            with self._lock:
                if not log.is_closed and not self._closing.is_set():
                    self._note_failure(log, error)
            return False
        finally:
            log.is_being_cleaned = False
        _log_summary(log, cleanable, summary)
        with self._lock:
            self._process_deaths.pop(log, None)
            self._waiting.discard(log)
            self._cleaned_to[log] = summary.clean_end_offset
            self._write_checkpoint(log.directory)
        return True

    # -- private -----------------------------------------------------------------------------

    def _start_threads(self) -> None:
        for number in range(len(self._threads), max(self._config().log_cleaner_threads, 1)):
            thread = threading.Thread(
                target=self._run, args=(number,), name=f"pykbroker-cleaner-{number}"
            )
            self._threads.append(thread)
            thread.start()

    def _run(self, number: int) -> None:
        while not self._closing.is_set():
            if number == 0:
                self._start_threads()  # the setting may have grown
            # Starts with the first job; its memory is not needed when there are no more.
            process = self._processes[number] = CompactionProcess()
            while (
                number < self._config().log_cleaner_threads
                and not self._closing.is_set()
                and self.clean_next(process)
            ):
                pass
            process.close()
            backoff_ms = max(self._config().log_cleaner_backoff_ms, _MIN_BACKOFF_MS)
            self._closing.wait(backoff_ms / 1000)

    def _choose(self) -> tuple[PartitionLog, CleanableRange, CleaningJob, list[Segment]] | None:
        now_ms = self._now_ms()
        with self._lock:
            self._forget_closed()
            cleanable = [
                (log, found)
                for log in self._logs.all()
                if (found := self._cleanable(log, now_ms)) is not None
            ]
            if not cleanable:
                return None
            best = max(cleanable, key=lambda item: (item[0] not in self._waiting, item[1].ratio))
            return self._call_in_loop(partial(self._begin, *best, now_ms))

    def _cleanable(self, log: PartitionLog, now_ms: int) -> CleanableRange | None:
        """Return what to clean of a log if it is worth it."""
        config, segments = log.config, log.segments
        if not config.is_compacted or log.is_being_cleaned or log.is_closed or log.is_offline:
            return None
        if log in self._uncleanable or len(segments) == 1:
            return None
        try:
            found = find_cleanable(
                segments,
                cleaned_to=self._cleaned_to.get(log),
                log_start_offset=log.log_start_offset,
                log_end_offset=log.log_end_offset,
                last_stable_offset=log.last_stable_offset,
                min_compaction_lag_ms=config.min_compaction_lag_ms,
                max_compaction_lag_ms=config.max_compaction_lag_ms,
                now_ms=now_ms,
            )
        except (DamagedSegmentError, OSError) as error:
            if log.segments is segments:  # else retention has just removed one of them
                self._note_failure(log, error)
            return None
        return found if found.is_worth_it(config.min_cleanable_dirty_ratio) else None

    def _begin(
        self, log: PartitionLog, cleanable: CleanableRange, now_ms: int
    ) -> tuple[PartitionLog, CleanableRange, CleaningJob, list[Segment]] | None:
        """Reserve a log for cleaning; in the event loop, where nothing changes meanwhile."""
        sources = [s for s in log.segments if s.base_offset < cleanable.end_offset]
        if log.is_closed or not sources:  # deleted, or all of it has just been removed
            return None
        log.is_being_cleaned = True
        return log, cleanable, self._job(log, cleanable, sources, now_ms), sources

    def _job(
        self,
        log: PartitionLog,
        cleanable: CleanableRange,
        sources: list[Segment],
        now_ms: int,
    ) -> CleaningJob:
        config, settings = log.config, self._config()
        threads = max(settings.log_cleaner_threads, 1)
        map_bytes = settings.log_cleaner_dedupe_buffer_size // threads
        ends = [segment.base_offset for segment in sources[1:]] + [cleanable.end_offset]
        return CleaningJob(
            directory=str(log.path),
            segments=tuple(
                SourceSegment(segment.base_offset, end, segment.size_bytes)
                for segment, end in zip(sources, ends, strict=True)
            ),
            first_dirty_offset=cleanable.first_dirty_offset,
            end_offset=cleanable.end_offset,
            now_ms=now_ms,
            active_producers={
                entry.producer_id: LastRecord(
                    entry.epoch, entry.batches[-1].last_offset if entry.batches else None
                )
                for entry in log.producers.producers.values()
            },
            segment_bytes=config.segment_bytes,
            segment_index_bytes=config.segment_index_bytes,
            index_interval_bytes=config.index_interval_bytes,
            delete_retention_ms=config.delete_retention_ms,
            max_decompressed_bytes=DECOMPRESSED_LIMIT_BYTES,
            map_bytes=int(map_bytes * settings.log_cleaner_io_buffer_load_factor),
            io_buffer_bytes=settings.log_cleaner_io_buffer_size // threads,
            io_max_bytes_per_second=settings.log_cleaner_io_max_bytes_per_second / threads,
            fsync_enabled=log.directory.files.fsync_enabled,
        )

    def _clean(
        self,
        compactor: Compactor,
        log: PartitionLog,
        job: CleaningJob,
        sources: list[Segment],
    ) -> CleaningSummary:
        by_base = {segment.base_offset: segment for segment in sources}
        log.chain.prepare_cleaning()
        cleaning = compactor.run(job)
        while True:
            try:
                cleaned = next(cleaning)
            except StopIteration as end:
                summary: CleaningSummary = end.value
                return summary
            replaced = [by_base[base_offset] for base_offset in cleaned.sources]
            self._swap(log, cleaned, replaced)

    def _swap(self, log: PartitionLog, cleaned: CleanedSegment, sources: list[Segment]) -> None:
        config = log.config
        segment = Segment(
            log.directory.files,
            log.path,
            cleaned.base_offset,
            size_bytes=cleaned.size_bytes,
            index_sizes=(cleaned.offset_index_bytes, cleaned.time_index_bytes),
            max_index_bytes=config.segment_index_bytes,
            index_interval_bytes=config.index_interval_bytes,
            created_ms=sources[-1].created_ms,
        )
        segment.next_offset = cleaned.next_offset
        segment.flushed_bytes = cleaned.size_bytes
        try:
            due_ms = self._now_ms() + config.file_delete_delay_ms
            log.chain.swap_in(segment, sources, due_ms)
        except OSError as error:
            # When a source has lost its name, only a start can put that right.
            is_passing = error.errno in PASSING_ERRNOS or isinstance(error, FileNotFoundError)
            if not log.is_closed and not (is_passing and sources[0].path.exists()):
                log.directory.fail(f"cannot replace segments in {log.path}: {error}")
            raise
        self._call_in_loop(partial(log.chain.replace, sources, segment))

    def _note_failure(self, log: PartitionLog, error: Exception) -> None:
        if isinstance(error, CompactionProcessError):
            deaths = self._process_deaths[log] = self._process_deaths.get(log, 0) + 1
            is_final = deaths >= _MAX_PROCESS_DEATHS
        else:
            # Blocked by a process whose broker was killed, and that is about to end.
            is_passing = isinstance(error, OSError) and (
                error.errno in PASSING_ERRNOS or isinstance(error, BlockingIOError)
            )
            is_final = not is_passing
        _logger.error(
            "log not cleaned path=%s next_try=%s error=%s",
            log.path, "after the next start" if is_final else "soon", error,
        )  # fmt: skip
        (self._uncleanable if is_final else self._waiting).add(log)

    def _load_checkpoint(self, directory: DataDirectory) -> None:
        for (topic, partition), offset in directory.read_cleaner_offsets().items():
            log = self._logs.get(topic, partition)
            if log is not None and log.directory is directory:
                self._cleaned_to[log] = offset

    def _write_checkpoint(self, directory: DataDirectory) -> None:
        def gather() -> list[tuple[str, dict[tuple[str, int], int]]]:
            offsets = {
                (log.topic, log.partition): offset
                for log, offset in self._cleaned_to.items()
                if log.directory is directory and not log.is_closed
            }
            return [(CLEANER_OFFSETS, offsets)]

        try:
            # That a log was compacted says that its gaps are no damage: also while it is refused.
            directory.write_checkpoints(gather, keep=list(self._logs.refused))
        except OSError as error:
            # Without it more is cleaned again after a start, which changes nothing.
            _logger.error("checkpoint failed directory=%s error=%s", directory.path, error)

    def _forget_closed(self) -> None:
        # A topic that is made anew under this name must not be taken for cleaned after a start.
        gone = [log for log in self._cleaned_to if log.is_closed]
        for log in gone:
            del self._cleaned_to[log]
        for directory in {log.directory for log in gone}:
            self._write_checkpoint(directory)
        for log in [log for log in self._process_deaths if log.is_closed]:
            del self._process_deaths[log]
        self._waiting = {log for log in self._waiting if not log.is_closed}
        self._uncleanable = {log for log in self._uncleanable if not log.is_closed}


def _log_summary(log: PartitionLog, cleanable: CleanableRange, summary: CleaningSummary) -> None:
    stats = summary.stats
    _logger.info(
        "log cleaned path=%s from=%d to=%d bytes=%d bytes_kept=%d records=%d records_kept=%d"
        " seconds=%.1f",
        log.path, cleanable.first_dirty_offset, summary.clean_end_offset,
        stats.bytes_read, stats.bytes_kept, stats.records_read, stats.records_kept,
        summary.seconds,
    )  # fmt: skip
    if stats.invalid_records:
        _logger.warning(
            "records without a key were removed path=%s count=%d", log.path, stats.invalid_records
        )
