"""The changes to the metadata: checked, made durable, then shown, one after the other.

A change is built from the current image by pure rules (`topics`, `config_changes`,
`config_rules`), saved as one SQLite transaction in a worker thread, prepared (partition
directories are made, in the same thread), and only then published: the image is replaced and the
subscribers are told, in the event loop and without a wait in between. Changes never overlap. A
caller that goes away does not stop its change half-way.

Per-item answers come as a list in the order of the request, each a result or a `KafkaError`; one
bad item does not harm the others.
"""

import asyncio
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.keys import ConfigError
from pykbroker.config.sources import DescribedConfig
from pykbroker.config.topic import TopicConfig
from pykbroker.metadata import topics as topic_rules
from pykbroker.metadata.config_changes import ConfigChange, ConfigReplacement
from pykbroker.metadata.config_plans import describe_resource, describe_topic_image, plan_configs
from pykbroker.metadata.config_rules import effective_broker_config, validate_topic_configs
from pykbroker.metadata.features import FeatureUpdate
from pykbroker.metadata.image import (
    NO_LEADER_EPOCH,
    NULL_TOPIC_ID,
    MetadataImage,
    TopicImage,
)
from pykbroker.metadata.store import FILE_NAME, MetadataStore, MetadataStoreError
from pykbroker.metadata.topics import FoundTopic, NewPartitions, NewTopic, TopicToDelete
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.uuids import uuid_to_text

log = logging.getLogger(__name__)

Listener: TypeAlias = Callable[[MetadataImage, MetadataImage], None]
Result = TypeVar("Result")
Plan: TypeAlias = Callable[[MetadataImage], tuple[MetadataImage, Result]]

_INTERNAL_TOPICS_WITH_SETTINGS: Final = frozenset({"__consumer_offsets", "__transaction_state"})
# Kafka's own ids: zero means none, one is the id of its metadata log.
_RESERVED_IDS: Final = frozenset({NULL_TOPIC_ID, bytes(15) + b"\x01"})


def random_uuid() -> bytes:
    """Return a random uuid (version 4) whose text does not start with "-" (Kafka's Uuid).

    Command line tools would take such a text for an option.
    """
    while True:
        drawn = bytearray(os.urandom(16))
        drawn[6] = drawn[6] & 0x0F | 0x40
        drawn[8] = drawn[8] & 0x3F | 0x80
        uuid = bytes(drawn)
        if uuid not in _RESERVED_IDS and not uuid_to_text(uuid).startswith("-"):
            return uuid


class MetadataController:
    """Owns the metadata; every method belongs to the event loop except `open` and
    `adopt_topics`.

    Attributes:
        prepare: Called in the worker thread with the old and the new image, after the change is
            durable and before anybody sees it. An OSError of it is logged: the change stands.
    """

    def __init__(
        self,
        config: BrokerConfig,
        *,
        prepare: Listener | None = None,
        new_uuid: Callable[[], bytes] = random_uuid,
    ) -> None:
        self.prepare = prepare
        self._static_config = config
        self._config = config
        self._new_uuid = new_uuid
        self._image: MetadataImage | None = None
        self._store: MetadataStore | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metadata")
        self._lock = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()
        self._listeners: list[Listener] = []
        self._topic_configs: dict[str, TopicConfig] = {}

    # -- life ----------------------------------------------------------------------------------

    def open(self, directory: Path, cluster_id: str | None = None) -> None:
        """Load the metadata of a directory, or begin with none. Blocks on the disk.

        Args:
            directory: Where the file is or shall be; must exist.
            cluster_id: The cluster that the directory's logs belong to; without one a new
                directory gets a random id.

        Raises:
            MetadataStoreError: The file cannot be used, or belongs to another cluster.
        """
        config = self._static_config
        fsync = config.pykbroker_fsync == "always"
        store = MetadataStore(directory / FILE_NAME, fsync=fsync)
        try:
            stored_id = store.cluster_id()
            if stored_id is None:
                store.initialise(cluster_id or uuid_to_text(self._new_uuid()))
            elif cluster_id is not None and cluster_id != stored_id:
                raise MetadataStoreError(
                    f"{store.path} belongs to cluster {stored_id}, but the logs beside it belong "
                    f"to cluster {cluster_id}: move partition directories that another cluster "
                    "wrote here without its meta.properties"
                )
            image = store.load(config.node_id, config.broker_rack)
        except BaseException:
            store.close()
            raise
        try:
            self._config = self._broker_config_in(image)
        except ConfigError as error:
            # The file of settings has changed meanwhile; a broker that starts is worth more.
            log.error("dynamic settings ignored reason=%s", error)
        self._store = store
        self._image = image

    async def close(self) -> None:
        """Finish the changes that are under way and close the file."""
        while self._changes:
            await asyncio.wait(self._changes)
        await asyncio.to_thread(self._close_store)

    def _close_store(self) -> None:
        self._worker.shutdown()
        if self._store is not None:
            self._store.close()

    def adopt_topics(
        self, found: Sequence[FoundTopic], largest_producer_id: int = -1
    ) -> list[TopicImage]:
        """Make topics of logs that are not in the metadata; before serving. Blocks on the disk.

        A user topic keeps its records for ever, whatever the defaults are: its own settings are
        not among its files. An internal topic gets its settings, and at least as many partitions
        as it would have here. A topic that is known grows.

        Args:
            found: What there is.
            largest_producer_id: The largest one that these logs know. New producers get larger
                ones: with an id of the logs they would be taken for the producers of then.

        Raises:
            MetadataStoreError: The file cannot be written.
        """
        old = self.image
        adopted = []
        for topic in found:
            configs, min_partitions = self._keep_everything(), 0
            if topic.name in _INTERNAL_TOPICS_WITH_SETTINGS:
                internal = self._internal_topic(topic.name)
                configs = {name: value for name, value in internal.configs if value is not None}
                min_partitions = topic.partition_count or internal.num_partitions
            known = old.topics.get(topic.name)
            adopted.append(
                topic_rules.adopt(
                    topic, known, self._new_uuid(), old.node_id, configs, min_partitions
                )
            )
        new = old.with_topics(adopted).with_next_producer_id(
            max(old.next_producer_id, largest_producer_id + 1)
        )
        assert self._store is not None
        try:
            self._store.save(old, new)
        except sqlite3.Error as error:
            raise MetadataStoreError(f"cannot write {self._store.path}: {error}") from error
        self._image = new
        return adopted

    def _keep_everything(self) -> dict[str, str]:
        """Return the settings that keep the next housekeeping from removing records."""
        defaults = self._config.topic_defaults
        configs = {"retention.ms": "-1"}
        if defaults.retention_bytes >= 0:
            configs["retention.bytes"] = "-1"
        if "compact" in defaults.cleanup_policy:
            configs["cleanup.policy"] = "delete"
        return configs

    # -- reading -------------------------------------------------------------------------------

    @property
    def image(self) -> MetadataImage:
        """The metadata in force; another object after each change."""
        assert self._image is not None, "open() comes first"
        return self._image

    def subscribe(self, listener: Listener) -> None:
        """Have a function called with the old and the new image right after each change."""
        self._listeners.append(listener)

    def broker_config(self) -> BrokerConfig:
        """Return this broker's settings in force: static, under dynamic for all, under its own."""
        return self._config

    def describe_configs(self, resource_type: int, name: str) -> list[DescribedConfig]:
        """Return all settings of a resource with their sources, sorted by name.

        A group and a client metrics subscription need not exist.

        Raises:
            KafkaError: INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION; INVALID_REQUEST for
                another broker and for a type that has no settings here.
        """
        return describe_resource(resource_type, name, self.image, self._static_config)

    def describe_topic_configs(self, topic: TopicImage) -> list[DescribedConfig]:
        """Return all settings of a topic that need not be in the image, as `describe_configs`."""
        return describe_topic_image(topic, self.image, self._static_config)

    def topic_config(self, name: str) -> TopicConfig:
        """Return the settings in force of a topic; the defaults for one that does not exist."""
        config = self._topic_configs.get(name)
        if config is None:
            topic = self.image.topics.get(name)
            if topic is None:
                return self._config.topic_defaults
            config = self._topic_config_of(topic, self._config)
            self._topic_configs[name] = config
        return config

    def topic_config_in(self, image: MetadataImage, name: str) -> TopicConfig:
        """Return the settings of a topic as another image than the current one has them."""
        if image is self._image:
            return self.topic_config(name)
        config = self._broker_config_in(image)
        topic = image.topics.get(name)
        return config.topic_defaults if topic is None else self._topic_config_of(topic, config)

    @staticmethod
    def _topic_config_of(topic: TopicImage, broker: BrokerConfig) -> TopicConfig:
        if not topic.configs:
            return broker.topic_defaults
        return TopicConfig.from_overrides(topic.configs, broker.settings)

    def _broker_config_in(self, image: MetadataImage) -> BrokerConfig:
        if self._image is not None and image.broker_configs is self._image.broker_configs:
            return self._config
        configs = image.broker_configs
        return effective_broker_config(
            self._static_config, configs.get("", {}), configs.get(str(image.node_id), {})
        )

    # -- topics --------------------------------------------------------------------------------

    async def create_topics(
        self, topics: Sequence[NewTopic], *, validate_only: bool = False
    ) -> list[TopicImage | KafkaError]:
        """Create topics.

        Errors of an item: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS,
        INVALID_CONFIG, INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS,
        INVALID_REPLICA_ASSIGNMENT, and POLICY_VIOLATION for all when there are too many
        partitions in one request.

        Args:
            topics: What to create; one that is named twice is not created.
            validate_only: Answer as if, change nothing.
        """

        def plan(image: MetadataImage) -> tuple[MetadataImage, list[TopicImage | KafkaError]]:
            results = self._plan_topics(topics, image)
            created = [result for result in results if isinstance(result, TopicImage)]
            is_real = bool(created) and not validate_only
            return image.with_topics(created) if is_real else image, results

        return await self._change(plan)

    def _plan_topics(
        self, topics: Sequence[NewTopic], image: MetadataImage
    ) -> list[TopicImage | KafkaError]:
        repeated = Counter(topic.name for topic in topics)
        collisions = topic_rules.collision_index(image.topics)
        results: list[TopicImage | KafkaError] = []
        new_partitions = 0
        for topic in topics:
            try:
                if repeated[topic.name] > 1:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
                topic_rules.validate_new_name(topic.name, image.topics, collisions)
                planned = self._plan_topic(topic, image)
            except KafkaError as error:
                results.append(error)
                continue
            # Checked as it grows: a small request must not make the broker build millions.
            new_partitions += len(planned.partitions)
            if new_partitions > topic_rules.MAX_NEW_PARTITIONS_PER_REQUEST:
                return [_too_many_partitions()] * len(topics)
            results.append(planned)
        return results

    def _plan_topic(self, topic: NewTopic, image: MetadataImage) -> TopicImage:
        nulls = [name for name, value in topic.configs if value is None]
        if nulls:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"Null value not supported for topic configs: {','.join(nulls)}",
            )
        configs = {name: value for name, value in topic.configs if value is not None}
        config = self._config
        validate_topic_configs(configs, config.settings)
        if topic.num_partitions > topic_rules.MAX_NEW_PARTITIONS_PER_REQUEST:
            raise _too_many_partitions()
        partitions = topic_rules.plan_partitions(
            topic,
            image.brokers,
            num_partitions=config.num_partitions,
            replication_factor=config.default_replication_factor,
            cap_replication_factor=config.pykbroker_replication_factor_cap,
        )
        return TopicImage(topic.name, self._new_uuid(), partitions, MappingProxyType(configs))

    async def delete_topics(self, topics: Sequence[TopicToDelete]) -> list[TopicImage | KafkaError]:
        """Delete topics with their settings; each result is the topic as it was.

        Errors of an item: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID.
        """

        def plan(image: MetadataImage) -> tuple[MetadataImage, list[TopicImage | KafkaError]]:
            results = topic_rules.find_topics_to_delete(topics, image)
            doomed = [result.name for result in results if isinstance(result, TopicImage)]
            return image.without_topics(doomed) if doomed else image, results

        return await self._change(plan)

    async def forget_deleted_topics(self, topic_ids: Collection[bytes]) -> None:
        """Note that no directory is left of some deleted topics."""

        def plan(image: MetadataImage) -> tuple[MetadataImage, None]:
            return image.without_deleted_topics(topic_ids), None

        await self._change(plan)

    async def create_partitions(
        self, topics: Sequence[NewPartitions], *, validate_only: bool = False
    ) -> list[TopicImage | KafkaError]:
        """Grow topics; each result is the topic as it is then.

        Errors of an item: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS,
        INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR, POLICY_VIOLATION.
        """

        def plan(image: MetadataImage) -> tuple[MetadataImage, list[TopicImage | KafkaError]]:
            results = _plan_growth(topics, image)
            grown = [result for result in results if isinstance(result, TopicImage)]
            is_real = bool(grown) and not validate_only
            return image.with_topics(grown) if is_real else image, results

        return await self._change(plan)

    async def ensure_internal_topic(self, name: str) -> TopicImage:
        """Return an internal topic, created with its own settings if it does not exist.

        Raises:
            KafkaError: As `create_topics`; INVALID_TOPIC_EXCEPTION for a name that is no
                internal topic of this broker.
        """
        existing = self.image.topics.get(name)
        if existing is not None:
            return existing
        (result,) = await self.create_topics([self._internal_topic(name)])
        if isinstance(result, KafkaError):
            # Somebody else was faster: that is what was wanted.
            existing = self.image.topics.get(name)
            if existing is None:
                raise result
            return existing
        return result

    def _internal_topic(self, name: str) -> NewTopic:
        config = self._config
        if name == "__consumer_offsets":
            return NewTopic(
                name,
                config.offsets_topic_num_partitions,
                config.offsets_topic_replication_factor,
                configs=(
                    ("cleanup.policy", "compact"),
                    ("compression.type", "producer"),
                    ("segment.bytes", str(config.offsets_topic_segment_bytes)),
                ),
            )
        if name == "__transaction_state":
            return NewTopic(
                name,
                config.transaction_state_log_num_partitions,
                config.transaction_state_log_replication_factor,
                configs=(
                    ("cleanup.policy", "compact"),
                    ("compression.type", "uncompressed"),
                    ("min.insync.replicas", str(config.transaction_state_log_min_isr)),
                    ("segment.bytes", str(config.transaction_state_log_segment_bytes)),
                    ("unclean.leader.election.enable", "false"),
                ),
            )
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{name} is no internal topic")

    async def bump_leader_epochs(self, partitions: Mapping[tuple[str, int], int]) -> None:
        """Begin new leader epochs, as after a crash.

        Records that were lost with the page cache may be followed by others at the same offsets;
        the new epoch is what lets consumers notice (KIP-320).

        Args:
            partitions: (topic, partition) -> the epoch that its log has seen; those that this
                broker does not lead, or could not adopt, are left alone.
        """

        def plan(image: MetadataImage) -> tuple[MetadataImage, None]:
            names = {name for name, _ in partitions} & image.topics.keys()
            topics = [
                _with_next_epochs(image.topics[name], image.node_id, partitions) for name in names
            ]
            return image.with_topics(topics) if topics else image, None

        await self._change(plan)

    # -- settings ------------------------------------------------------------------------------

    async def incremental_alter_configs(
        self, changes: Sequence[ConfigChange], *, validate_only: bool = False
    ) -> list[KafkaError | None]:
        """Change some settings of topics, this broker, all brokers, groups, client metrics.

        Errors of an item: INVALID_REQUEST, INVALID_CONFIG, INVALID_TOPIC_EXCEPTION,
        UNKNOWN_TOPIC_OR_PARTITION.
        """
        return await self._alter(changes, validate_only)

    async def alter_configs(
        self, replacements: Sequence[ConfigReplacement], *, validate_only: bool = False
    ) -> list[KafkaError | None]:
        """Replace all settings of resources; otherwise as `incremental_alter_configs`."""
        return await self._alter(replacements, validate_only)

    async def _alter(
        self, changes: Sequence[ConfigChange | ConfigReplacement], validate_only: bool
    ) -> list[KafkaError | None]:
        def plan(image: MetadataImage) -> tuple[MetadataImage, list[KafkaError | None]]:
            after, results = plan_configs(changes, image, self._static_config, self._config)
            return image if validate_only else after, results

        return await self._change(plan)

    # -- features ------------------------------------------------------------------------------

    async def update_features(
        self, updates: Sequence[FeatureUpdate], *, validate_only: bool = False
    ) -> None:
        """Change the levels of features, all of them or none.

        Raises:
            KafkaError: INVALID_UPDATE_VERSION
        """

        def plan(image: MetadataImage) -> tuple[MetadataImage, None]:
            features = image.features.updated(updates, image.controller_id)
            is_same = validate_only or features is image.features
            return image if is_same else image.with_features(features), None

        await self._change(plan)

    # -- producer ids --------------------------------------------------------------------------

    async def allocate_producer_ids(self, count: int) -> range:
        """Return producer ids that nobody has got before, nor will get, even after a crash."""

        def plan(image: MetadataImage) -> tuple[MetadataImage, range]:
            first = image.next_producer_id
            return image.with_next_producer_id(first + count), range(first, first + count)

        return await self._change(plan)

    # -- the way of every change -----------------------------------------------------------------

    async def _change(self, plan: "Plan[Result]") -> Result:
        """Run a change to its end, whatever becomes of the caller."""
        change = asyncio.get_running_loop().create_task(self._apply(plan))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return await asyncio.shield(change)

    async def _apply(self, plan: "Plan[Result]") -> Result:
        async with self._lock:
            old = self.image
            new, result = plan(old)
            if new is old:
                return result
            assert self._store is not None
            config = self._broker_config_in(new)
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._worker, self._store.save, old, new)
            except sqlite3.Error as error:
                log.error("metadata not saved error=%s", error)
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be saved: {error}"
                ) from error
            # Saved is decided: whatever becomes of the preparation, all must see the change.
            try:
                await loop.run_in_executor(self._worker, self._prepare, old, new)
            finally:
                self._publish(old, new, config)
            return result

    def _prepare(self, old: MetadataImage, new: MetadataImage) -> None:
        """In the worker thread: make room for the change."""
        if self.prepare is None:
            return
        try:
            self.prepare(old, new)
        except OSError as error:
            log.error("metadata change not prepared error=%s", error)

    def _publish(self, old: MetadataImage, new: MetadataImage, config: BrokerConfig) -> None:
        self._image = new
        self._config = config
        if old.broker_configs is not new.broker_configs:
            self._topic_configs.clear()
        else:
            for name in list(self._topic_configs):
                if new.topics.get(name) is not old.topics.get(name):
                    del self._topic_configs[name]
        for listener in self._listeners:
            listener(old, new)


def _too_many_partitions() -> KafkaError:
    return KafkaError(
        ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request."
    )


def _plan_growth(
    topics: Sequence[NewPartitions], image: MetadataImage
) -> list[TopicImage | KafkaError]:
    repeated = Counter(topic.name for topic in topics)
    results: list[TopicImage | KafkaError] = []
    new_partitions = 0
    for wanted in topics:
        topic = image.topics.get(wanted.name)
        if repeated[wanted.name] > 1:
            results.append(KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name."))
            continue
        if topic is None:
            results.append(KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
            continue
        new_partitions += max(0, wanted.count - len(topic.partitions))
        if new_partitions > topic_rules.MAX_NEW_PARTITIONS_PER_REQUEST:
            return [_too_many_partitions()] * len(topics)
        try:
            results.append(topic_rules.grow(topic, wanted, image.brokers))
        except KafkaError as error:
            results.append(error)
    return results


def _with_next_epochs(
    topic: TopicImage, node_id: int, seen: Mapping[tuple[str, int], int]
) -> TopicImage:
    partitions = []
    for partition in topic.partitions:
        epoch = seen.get((topic.name, partition.partition))
        is_ours = partition.leader == node_id and partition.leader_epoch != NO_LEADER_EPOCH
        if epoch is not None and is_ours:
            epoch = max(epoch, partition.leader_epoch) + 1
            partition = replace(partition, leader_epoch=epoch)
        partitions.append(partition)
    return replace(topic, partitions=tuple(partitions))
