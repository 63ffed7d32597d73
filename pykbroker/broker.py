"""The composition root: builds everything below the shell, starts it in order, stops it in reverse.

No sockets here. What takes time on a disk (opening logs, making partition directories, checkpoints)
runs in worker threads; the housekeeping timers are armed here and nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pykbroker import adoption
from pykbroker.clock import Clock, TimerHandle
from pykbroker.config.broker import BrokerConfig
from pykbroker.delayed import ParkedFetches
from pykbroker.durability import GroupCommit
from pykbroker.fetch_sessions import FetchSessionCache
from pykbroker.metadata.controller import MetadataController
from pykbroker.metadata.image import MetadataImage, TopicImage
from pykbroker.metadata.store import MetadataStoreError
from pykbroker.producer_ids import ProducerIds
from pykbroker.protocol.errors import KafkaError
from pykbroker.request_context import ConnectionInfo
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.retention_clock import RetentionClock

if TYPE_CHECKING:
    from pykbroker.coordinator.runtime.group_coordinator import GroupCoordinator
    from pykbroker.coordinator.runtime.transaction_coordinator import TransactionCoordinator
    from pykbroker.storage.log_cleaner import LogCleaner

T = TypeVar("T")

log = logging.getLogger(__name__)

OFFSETS_TOPIC: Final = "__consumer_offsets"
TRANSACTION_TOPIC: Final = "__transaction_state"
FSYNC_ALWAYS: Final = "always"
# How often logs are looked at that flush.ms, flush.messages or a roll asks to flush.
MAX_FLUSH_INTERVAL_MS: Final = 1000
# Settings may say 0, which must not keep the loop from serving requests.
MIN_INTERVAL_MS: Final = 10
# Housekeeping that the event loop does in one go: a millisecond or two.
LOGS_TIDIED_AT_A_TIME: Final = 8
# Large batches that are decompressed at a time: each may take tens of megabytes, whatever its size.
MAX_DECOMPRESSIONS: Final = 2


class Broker:
    """Everything that a handler may ask for.

    Attributes:
        clock: Time.
        metadata: Topics, partitions, settings, and the way to change them.
        logs: The partition logs that this broker has.
        durability: Waits for fsyncs.
        start_offsets: Waits until it is written down where logs start.
        parked: Fetches that wait for records.
        fetch_sessions: KIP-227.
        producer_ids: For idempotent producers.
        decompressing: Held while a thread decompresses a large batch.
    """

    def __init__(
        self,
        config: BrokerConfig,
        clock: Clock,
        waiting_clock: Clock | None = None,
        files: FileLayer | None = None,
    ) -> None:
        """Build it, and start nothing.

        Args:
            config: The settings.
            clock: What everything with a state goes by.
            waiting_clock: What parked fetches go by; the same one if it is None.
            files: The file system of the logs; an ordinary one if it is None.
        """
        is_durable = config.pykbroker_fsync == FSYNC_ALWAYS
        self.clock = clock
        self.parked = ParkedFetches(waiting_clock or clock)
        self.durability = GroupCommit(enabled=is_durable)
        self.start_offsets = GroupCommit(enabled=True)
        self.logs = LogManager(
            [Path(path) for path in config.log_dirs],
            clock=clock,
            node_id=config.node_id,
            fsync_enabled=is_durable,
            on_advance=self.parked.notify,
            files=files,
        )
        self.metadata = MetadataController(config, prepare=self._make_logs)
        self.fetch_sessions = FetchSessionCache(
            config.max_incremental_fetch_session_cache_slots, clock, secrets.randbelow
        )
        self.producer_ids = ProducerIds(self.metadata.allocate_producer_ids)
        self.decompressing = asyncio.Semaphore(MAX_DECOMPRESSIONS)
        self._groups: GroupCoordinator | None = None
        self._transactions: TransactionCoordinator | None = None
        self._cleaner: LogCleaner | None = None
        self._ports: Mapping[str, int] = {}
        # Ids of topics that have partitions without a log, for want of room or a file descriptor.
        self._topics_without_logs: set[bytes] = set()
        self._make_logs_lock = threading.Lock()
        self._is_open = False
        self._retention_clock = RetentionClock(clock)
        self._timers: dict[str, TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> BrokerConfig:
        """The settings in force; another object after each change."""
        return self.metadata.broker_config()

    @property
    def groups(self) -> GroupCoordinator:
        """The group coordinator; made when it is first asked for, as its import takes a while."""
        if self._groups is None:
            from pykbroker.coordinator.runtime.group_coordinator import GroupCoordinator

            self._groups = GroupCoordinator(
                lambda: self.config, self.clock, self.metadata, self.logs, self.durability
            )
            self._groups.start()
        return self._groups

    @property
    def transactions(self) -> TransactionCoordinator:
        """The transaction coordinator; made when it is first asked for, as the one of groups."""
        if self._transactions is None:
            from pykbroker.coordinator.runtime.markers import MarkerWriter
            from pykbroker.coordinator.runtime.transaction_coordinator import (
                TransactionCoordinator,
            )

            markers = MarkerWriter(self.clock, self.logs, self.durability, lambda: self.groups)
            self._transactions = TransactionCoordinator(
                lambda: self.config,
                self.clock,
                self.metadata,
                self.logs,
                self.durability,
                self.producer_ids,
                markers,
            )
            self._transactions.start()
        return self._transactions

    async def start(self) -> None:
        """Lock and open the data directories, load the metadata and the logs.

        Raises:
            DataDirectoryError: A data directory is in use, not writable or damaged.
        """
        await asyncio.to_thread(self._open)
        self._is_open = True
        await self._forget_deleted_topics()
        self.metadata.subscribe(self._follow_metadata)
        if self.logs.unclean:
            await self._begin_leader_epochs()
        if OFFSETS_TOPIC in self.metadata.image.topics:
            _ = self.groups  # Begins to load what is known of them.
        if TRANSACTION_TOPIC in self.metadata.image.topics:
            _ = self.transactions  # Carries out what was decided before the stop.
        config = self.config
        if config.log_cleaner_enable:
            backoff_ms = config.log_cleaner_backoff_ms
            self._every(
                "cleaner",
                lambda: self.config.log_cleaner_backoff_ms,
                self._start_cleaner,
                backoff_ms,
            )
        first_ms = config.log_initial_task_delay_ms
        self._every(
            "retention",
            lambda: self.config.log_retention_check_interval_ms,
            self._tidy,
            first_ms,
        )
        self._every(
            "checkpoints",
            lambda: self.config.log_flush_offset_checkpoint_interval_ms,
            self._save,
            first_ms,
        )
        self._every(
            "start offsets",
            lambda: self.config.log_flush_start_offset_checkpoint_interval_ms,
            self._save_start_offsets,
            first_ms,
        )
        self._every("flush", self._flush_interval_ms, self._flush_due, self._flush_interval_ms())
        if config.pykbroker_fsync != FSYNC_ALWAYS:
            log.warning("pykbroker.fsync=%s: a power cut may lose records", config.pykbroker_fsync)
        for name in config.settings_without_effect:
            log.info("setting has no effect yet name=%s", name)

    def listening(self, ports: Mapping[str, int]) -> None:
        """Learn the ports of the listeners, by listener name."""
        self._ports = ports

    def drain(self) -> None:
        """Answer what is parked, now and from now on: the broker is about to stop."""
        self.parked.close()
        for coordinator in self._coordinators():
            self._keep(asyncio.get_running_loop().create_task(coordinator.close()))

    async def stop(self) -> None:
        """Flush and close everything; the next start then needs no recovery."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.parked.close()
        for coordinator in self._coordinators():
            await coordinator.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._cleaner is not None:
            await asyncio.to_thread(self._cleaner.close)
        await self.producer_ids.close()
        await asyncio.to_thread(self.durability.close)
        await asyncio.to_thread(self.start_offsets.close)
        if self._is_open:
            await self._forget_deleted_topics()
        await asyncio.to_thread(self.logs.close)
        await self.metadata.close()

    def advertised_endpoint(self, connection: ConnectionInfo) -> tuple[str, int]:
        """Return the address that a client should use for this broker.

        `advertised.listeners` says it; where it does not, it is the address that the client has
        connected to, which works through any network that let it come here.
        """
        for listener in self.config.advertised_listeners:
            if listener.name == connection.listener_name:
                return listener.host, listener.port or self._ports.get(listener.name, 0)
        return _plain_host(connection.local_host), connection.local_port

    # -- private -----------------------------------------------------------------------------

    def _coordinators(self) -> list[GroupCoordinator | TransactionCoordinator]:
        """Those that run, in the order in which they stop."""
        running: list[GroupCoordinator | TransactionCoordinator] = []
        if self._transactions is not None:
            running.append(self._transactions)
        if self._groups is not None:
            running.append(self._groups)
        return running

    def _open(self) -> None:
        """Open metadata and logs; in a worker thread."""
        self.logs.acquire()
        self._open_metadata(self.logs.directories[0].path)
        image = self.metadata.image
        self.logs.open(
            image.cluster_id,
            self.metadata.topic_config,
            lambda found: adoption.judge(found, image),
            lambda found: adoption.is_foreign(image, *found.key),
        )
        adoption.adopt(self.logs, self.metadata, self.clock.now_ms())
        image = self.metadata.image
        is_incomplete = len(self.logs.working_directories) < len(self.logs.directories)
        for topic in image.topics.values():
            if is_incomplete:
                self._refuse_missing_logs(topic)
            self._ensure_logs(image, topic)

    def _open_metadata(self, directory: Path) -> None:
        """Open the metadata of the cluster that was asked for, or of the one that is there."""
        wanted = self.config.pykbroker_cluster_id
        self.metadata.open(directory, self.logs.read_cluster_id() or wanted or None)
        found = self.metadata.image.cluster_id
        if wanted not in ("", found):
            raise MetadataStoreError(
                f"{directory} belongs to cluster {found}, but pykbroker.cluster.id is {wanted}"
            )

    def _refuse_missing_logs(self, topic: TopicImage) -> None:
        """Take what is missing for what is in a directory that is offline, not for new."""
        config = self.metadata.topic_config(topic.name)
        for partition in topic.partitions:
            key = topic.name, partition.partition
            if self.logs.get(*key) is None and key not in self.logs.refused:
                self.logs.refuse(*key, config)

    async def _begin_leader_epochs(self) -> None:
        """Let consumers notice if they have read what a crash has lost (KIP-320)."""
        try:
            await self.metadata.bump_leader_epochs(self.logs.unclean)
        except KafkaError as error:  # a full disk; serving what there is helps more
            log.error("no new leader epochs after a crash error=%s", error)

    async def _forget_deleted_topics(self) -> None:
        """Forget the deleted topics of which no directory is left."""
        deleted = self.metadata.image.deleted_topics
        if not deleted:
            return
        gone = await asyncio.to_thread(self._discard_remains, deleted)
        try:
            if gone:
                await self.metadata.forget_deleted_topics(gone)
        except KafkaError as error:
            log.error("deleted topics not forgotten error=%s", error)  # they are another time

    def _discard_remains(self, deleted: Mapping[bytes, str]) -> set[bytes]:
        """Not while logs are made: what was found under a name may be another topic's by then."""
        with self._make_logs_lock:
            return self.logs.discard_remains(deleted)

    def _make_logs(self, old: MetadataImage, new: MetadataImage) -> None:
        """Make the logs of new partitions before anybody sees them; in a worker thread."""
        for topic in new.topics.values():
            if old.topics.get(topic.name) is not topic:
                self._ensure_logs(new, topic)

    def _ensure_logs(self, image: MetadataImage, topic: TopicImage) -> None:
        with self._make_logs_lock:
            is_retry = topic.topic_id in self._topics_without_logs
            self._topics_without_logs.discard(topic.topic_id)
            for partition, error in self._make_logs_of(image, topic):
                if (topic.name, partition) in self.logs.refused:
                    continue  # which has been told
                self._topics_without_logs.add(topic.topic_id)
                if not is_retry:
                    # Others are served; this one answers KAFKA_STORAGE_ERROR.
                    log.error(
                        "log not available topic=%s partition=%d error=%s",
                        topic.name,
                        partition,
                        error,
                    )

    def _make_logs_of(
        self, image: MetadataImage, topic: TopicImage
    ) -> Iterator[tuple[int, KafkaError]]:
        """Make the logs that a topic lacks; yield the partitions for which that fails."""
        config = self.metadata.topic_config_in(image, topic.name)
        for partition in topic.partitions:
            if image.node_id in partition.replicas:
                try:
                    partition_log = self.logs.create(
                        topic.name, topic.topic_id, partition.partition, config
                    )
                    # Never backwards: a log that another broker wrote may be ahead.
                    partition_log.leader_epoch = max(
                        partition_log.leader_epoch, partition.leader_epoch
                    )
                except KafkaError as error:
                    yield partition.partition, error

    async def _make_missing_logs(self) -> None:
        """Try again what could not be made when its topic was."""
        image = self.metadata.image
        topics = [image.topics_by_id.get(topic_id) for topic_id in self._topics_without_logs]
        self._topics_without_logs.intersection_update(image.topics_by_id)
        for topic in filter(None, topics):
            await asyncio.to_thread(self._ensure_logs, image, topic)
            if topic.topic_id not in self.metadata.image.topics_by_id:
                for partition in topic.partitions:
                    self.logs.delete(topic.name, partition.partition, topic.topic_id)
            elif topic.topic_id not in self._topics_without_logs:
                log.info("logs made that were missing topic=%s", topic.name)
                if topic.name == OFFSETS_TOPIC and self._groups is not None:
                    self._groups.logs_made()
                if topic.name == TRANSACTION_TOPIC and self._transactions is not None:
                    self._transactions.logs_made()

    def _follow_metadata(self, old: MetadataImage, new: MetadataImage) -> None:
        """Drop the logs of deleted topics, and give the others their new settings."""
        for topic in old.topics.values():
            if topic.topic_id not in new.topics_by_id:
                for partition in topic.partitions:
                    self.logs.delete(topic.name, partition.partition, topic.topic_id)
        defaults_changed = old.broker_configs is not new.broker_configs
        for topic in new.topics.values():
            if not defaults_changed and old.topics.get(topic.name) is topic:
                continue
            config = self.metadata.topic_config(topic.name)
            for partition in topic.partitions:
                partition_log = self.logs.get(topic.name, partition.partition)
                if partition_log is not None:
                    partition_log.reconfigure(config)
                    partition_log.leader_epoch = max(
                        partition_log.leader_epoch, partition.leader_epoch
                    )

    async def _start_cleaner(self) -> None:
        """Start what compacts logs, as soon as there is one with a closed segment."""
        if any(each.config.is_compacted and len(each.segments) > 1 for each in self.logs.all()):
            self._timers.pop("cleaner", None)
            self._cleaner = await asyncio.to_thread(self._make_cleaner, asyncio.get_running_loop())
            await asyncio.to_thread(self._cleaner.start)

    def _make_cleaner(self, loop: asyncio.AbstractEventLoop) -> LogCleaner:
        from pykbroker.storage.log_cleaner import LogCleaner  # takes a while

        def call_in_loop(function: Callable[[], T]) -> T:
            async def call() -> T:
                return function()

            return asyncio.run_coroutine_threadsafe(call(), loop).result()

        return LogCleaner(
            self.logs, lambda: self.config, self._retention_clock.now_ms, call_in_loop
        )

    def _every(
        self,
        name: str,
        interval_ms: Callable[[], int],
        action: Callable[[], Coroutine[Any, Any, None]],
        first_ms: int,
    ) -> None:
        """Run an action again and again, at first after `first_ms`."""

        async def run() -> None:
            await action()
            if name in self._timers:
                arm(max(interval_ms(), MIN_INTERVAL_MS))

        def begin() -> None:
            self._keep(asyncio.get_running_loop().create_task(run()))

        def arm(delay_ms: int) -> None:
            self._timers[name] = self.clock.call_later(delay_ms, begin)

        arm(first_ms)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to a task until it is done, for the loop does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tidy(self) -> None:
        now_ms = self._retention_clock.now_ms()
        logs = list(self.logs.all())
        for first in range(0, len(logs), LOGS_TIDIED_AT_A_TIME):
            self.logs.housekeeping(
                logs[first : first + LOGS_TIDIED_AT_A_TIME],
                now_ms,
                producer_id_expiration_ms=self.config.producer_id_expiration_ms,
            )
            await asyncio.sleep(0)  # requests have come meanwhile

    async def _save(self) -> None:
        await asyncio.to_thread(self.logs.write_checkpoints, self.clock.now_ms())
        await self._forget_deleted_topics()

    async def _save_start_offsets(self) -> None:
        await asyncio.to_thread(self.logs.write_start_offsets, self.clock.now_ms())

    def _flush_interval_ms(self) -> int:
        # Kafka's default is never, and flush.ms then has no effect there.
        return min(self.config.log_flush_scheduler_interval_ms, MAX_FLUSH_INTERVAL_MS)

    async def _flush_due(self) -> None:
        if self._topics_without_logs:
            await self._make_missing_logs()
        now_ms = self.clock.now_ms()
        await asyncio.gather(*map(self._flush, self.logs.flush_due(now_ms)))
        if self.logs.is_behind(now_ms):
            await asyncio.to_thread(self.logs.catch_up, now_ms)

    async def _flush(self, partition_log: PartitionLog) -> None:
        try:
            await self.durability.wait(partition_log, partition_log.log_end_offset)
        except KafkaError as error:
            if not partition_log.is_closed:  # else it was deleted meanwhile
                log.error("flush failed log=%s error=%s", partition_log, error)


def _plain_host(host: str) -> str:
    """Write an IPv4 address that came in over an IPv6 socket as IPv4 clients know it."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else host
