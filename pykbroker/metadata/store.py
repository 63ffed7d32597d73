"""The metadata on disk: one SQLite file, one transaction per change.

The file is `pykbroker-metadata.db` in the first log directory, where Kafka ignores it. Tables:

    cluster      name, value            cluster_id, next_producer_id, features_epoch
    topics       topic_id, name         topic_id is the 16 bytes of the UUID
    partitions   topic_id, partition, leader, leader_epoch, replicas, isr
                                        replicas and isr: broker ids joined by commas
    configs      resource_type, resource_name, name, value
                                        resource_type: Kafka's number (2 topic, 4 broker, ...)
    deleted_topics  topic_id, name      topics that may have left directories behind
    features     name, level            those whose level was changed; others have the newest

`PRAGMA user_version` is the schema version. A file of an older version is migrated when it is
opened, one transaction per step; a file of a newer one is refused. WAL with synchronous=FULL
means that a saved change survives a power cut; with fsync off it survives only the process.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pykbroker.metadata.features import Features
from pykbroker.metadata.image import (
    BrokerImage,
    MetadataImage,
    PartitionImage,
    ResourceType,
    TopicImage,
)

FILE_NAME: Final = "pykbroker-metadata.db"
APPLICATION_ID: Final = 0x70796B62  # "pykb": tells our files from other SQLite files

# Step n brings a file from schema version n to n + 1. Never change a released step: add one.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE cluster (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE topics (topic_id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE) WITHOUT ROWID",
        "CREATE TABLE partitions ("
        " topic_id BLOB NOT NULL REFERENCES topics ON DELETE CASCADE,"
        " partition INTEGER NOT NULL,"
        " leader INTEGER NOT NULL,"
        " leader_epoch INTEGER NOT NULL,"
        " replicas TEXT NOT NULL,"
        " isr TEXT NOT NULL,"
        " PRIMARY KEY (topic_id, partition)) WITHOUT ROWID",
        "CREATE TABLE configs ("
        " resource_type INTEGER NOT NULL,"
        " resource_name TEXT NOT NULL,"
        " name TEXT NOT NULL,"
        " value TEXT NOT NULL,"
        " PRIMARY KEY (resource_type, resource_name, name)) WITHOUT ROWID",
    ),
    ("CREATE TABLE deleted_topics (topic_id BLOB PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",),
    ("CREATE TABLE features (name TEXT PRIMARY KEY, level INTEGER NOT NULL) WITHOUT ROWID",),
)
SCHEMA_VERSION: Final = len(MIGRATIONS)

# The write-ahead log and its index, at least.
_ROOM_TO_OPEN_BYTES: Final = 128 * 1024
_CONFIG_TYPES = (ResourceType.BROKER, ResourceType.GROUP, ResourceType.CLIENT_METRICS)


class MetadataStoreError(Exception):
    """The metadata file cannot be used; the message says which file and why."""


class MetadataStore:
    """The SQLite file. Synchronous; calls must not overlap, but may come from any thread."""

    __slots__ = ("_connection", "path")

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        """Open or create the file and bring its schema up to date.

        Raises:
            MetadataStoreError: It is no metadata file, is damaged, cannot be opened, or was
                written by a newer version.
        """
        self.path = path
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=5.0
            )
        except sqlite3.Error as error:
            raise MetadataStoreError(f"cannot open {path}: {_reason_of(error, path)}") from error
        try:
            self._prepare(fsync)
        except sqlite3.Error as error:
            self._connection.close()
            raise MetadataStoreError(f"cannot use {path}: {_reason_of(error, path)}") from error
        except MetadataStoreError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Write the WAL back into the file and close it."""
        self._connection.close()

    def cluster_id(self) -> str | None:
        """Return the cluster's id; None before the first `initialise`."""
        return self._cluster_value("cluster_id")

    def initialise(self, cluster_id: str) -> None:
        """Give a new file the id of its cluster."""
        with self._transaction() as connection:
            connection.execute("INSERT INTO cluster VALUES ('cluster_id', ?)", (cluster_id,))

    def load(self, node_id: int, rack: str | None = None) -> MetadataImage:
        """Read everything; this broker is the only live one and the controller.

        Raises:
            MetadataStoreError: The contents contradict themselves.
        """
        cluster_id = self.cluster_id()
        if cluster_id is None:
            raise MetadataStoreError(f"{self.path} has no cluster id")
        configs = self._load_configs()
        topics = self._load_topics(configs.pop(ResourceType.TOPIC, {}))
        frozen = {kind: MappingProxyType(configs.get(kind, {})) for kind in _CONFIG_TYPES}
        return MetadataImage(
            cluster_id=cluster_id,
            node_id=node_id,
            controller_id=node_id,
            brokers=MappingProxyType({node_id: BrokerImage(node_id, rack)}),
            topics=MappingProxyType({topic.name: topic for topic in topics}),
            topics_by_id=MappingProxyType({topic.topic_id: topic for topic in topics}),
            broker_configs=frozen[ResourceType.BROKER],
            group_configs=frozen[ResourceType.GROUP],
            client_metrics_configs=frozen[ResourceType.CLIENT_METRICS],
            next_producer_id=int(self._cluster_value("next_producer_id") or 0),
            deleted_topics=MappingProxyType(
                dict(self._connection.execute("SELECT topic_id, name FROM deleted_topics"))
            ),
            features=self._load_features(),
        )

    def save(self, old: MetadataImage, new: MetadataImage) -> None:
        """Persist what differs between two images, as one transaction.

        Raises:
            sqlite3.Error: The disk refused; nothing was changed.
        """
        with self._transaction() as connection:
            _save_topics(connection, old, new)
            _save_deleted_topics(connection, old.deleted_topics, new.deleted_topics)
            for kind in _CONFIG_TYPES:
                _save_configs(connection, kind, old, new)
            _save_features(connection, old.features, new.features)
            if new.next_producer_id != old.next_producer_id:
                connection.execute(
                    "INSERT OR REPLACE INTO cluster VALUES ('next_producer_id', ?)",
                    (str(new.next_producer_id),),
                )

    def _prepare(self, fsync: bool) -> None:
        execute = self._connection.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        (application_id,) = execute("PRAGMA application_id").fetchone()
        if version and application_id != APPLICATION_ID:
            raise MetadataStoreError(f"{self.path} is not a metadata file of pykbroker")
        if version > SCHEMA_VERSION:
            raise MetadataStoreError(
                f"{self.path} was written by a newer version of pykbroker (schema {version}; "
                f"this version knows {SCHEMA_VERSION}): use that version or a newer one"
            )
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if fsync else 'OFF'}")
        execute("PRAGMA foreign_keys = ON")
        for step in range(version, SCHEMA_VERSION):
            with self._transaction() as connection:
                for statement in MIGRATIONS[step]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {step + 1}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _cluster_value(self, name: str) -> str | None:
        query = "SELECT value FROM cluster WHERE name = ?"
        row = self._connection.execute(query, (name,)).fetchone()
        return None if row is None else str(row[0])

    def _load_features(self) -> Features:
        newest = Features()
        changed = dict(self._connection.execute("SELECT name, level FROM features"))
        return Features(
            levels=MappingProxyType({**newest.levels, **changed}),
            epoch=int(self._cluster_value("features_epoch") or newest.epoch),
        )

    def _load_configs(self) -> dict[int, dict[str, Mapping[str, str]]]:
        found: dict[int, dict[str, dict[str, str]]] = {}
        query = "SELECT resource_type, resource_name, name, value FROM configs"
        for kind, resource, name, value in self._connection.execute(query):
            found.setdefault(kind, {}).setdefault(resource, {})[name] = value
        return {
            kind: {name: MappingProxyType(values) for name, values in resources.items()}
            for kind, resources in found.items()
        }

    def _load_topics(self, configs: Mapping[str, Mapping[str, str]]) -> list[TopicImage]:
        partitions: dict[bytes, list[PartitionImage]] = {}
        query = (
            "SELECT topic_id, partition, leader, leader_epoch, replicas, isr"
            " FROM partitions ORDER BY topic_id, partition"
        )
        for topic_id, partition, leader, epoch, replicas, isr in self._connection.execute(query):
            of_topic = partitions.setdefault(topic_id, [])
            if partition != len(of_topic):
                raise MetadataStoreError(
                    f"{self.path} lacks partition {len(of_topic)} of topic {topic_id.hex()}"
                )
            of_topic.append(PartitionImage(partition, leader, epoch, _ids(replicas), _ids(isr)))
        nothing: Mapping[str, str] = MappingProxyType({})
        return [
            TopicImage(
                name, topic_id, tuple(partitions.get(topic_id, ())), configs.get(name, nothing)
            )
            for topic_id, name in self._connection.execute(
                "SELECT topic_id, name FROM topics ORDER BY name"
            )
        ]


def _reason_of(error: sqlite3.Error, path: Path) -> str:
    """Say what SQLite means: it takes a full disk for a broken one, or for a file without access.

    The error is raised at different calls, so the disk itself is asked.
    """
    try:
        volume = os.statvfs(path.parent)
    except OSError as unreadable:
        return f"{error} ({unreadable.strerror})"
    if volume.f_bavail * volume.f_frsize < _ROOM_TO_OPEN_BYTES:
        return f"its disk is full, make room and start again ({error})"
    return str(error)


def _ids(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _save_topics(connection: sqlite3.Connection, old: MetadataImage, new: MetadataImage) -> None:
    if new.topics is old.topics:
        return
    for topic in old.topics.values():
        successor = new.topics.get(topic.name)
        if successor is None or successor.topic_id != topic.topic_id:
            connection.execute("DELETE FROM topics WHERE topic_id = ?", (topic.topic_id,))
            _replace_configs(connection, ResourceType.TOPIC, topic.name, {})
    for topic in new.topics.values():
        before = old.topics.get(topic.name)
        if before is topic:
            continue
        if before is None or before.topic_id != topic.topic_id:
            connection.execute("INSERT INTO topics VALUES (?, ?)", (topic.topic_id, topic.name))
            before = TopicImage(topic.name, topic.topic_id, ())
        connection.execute(
            "DELETE FROM partitions WHERE topic_id = ? AND partition >= ?",
            (topic.topic_id, len(topic.partitions)),
        )
        known = {partition.partition: partition for partition in before.partitions}
        connection.executemany(
            "INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    topic.topic_id,
                    partition.partition,
                    partition.leader,
                    partition.leader_epoch,
                    ",".join(map(str, partition.replicas)),
                    ",".join(map(str, partition.isr)),
                )
                for partition in topic.partitions
                if known.get(partition.partition) != partition
            ],
        )
        if before.configs != topic.configs:
            _replace_configs(connection, ResourceType.TOPIC, topic.name, topic.configs)


def _save_deleted_topics(
    connection: sqlite3.Connection, before: Mapping[bytes, str], after: Mapping[bytes, str]
) -> None:
    if before is after:
        return
    connection.executemany(
        "DELETE FROM deleted_topics WHERE topic_id = ?",
        [(topic_id,) for topic_id in before.keys() - after.keys()],
    )
    connection.executemany(
        "INSERT INTO deleted_topics VALUES (?, ?)",
        [(topic_id, after[topic_id]) for topic_id in after.keys() - before.keys()],
    )


def _save_configs(
    connection: sqlite3.Connection, kind: ResourceType, old: MetadataImage, new: MetadataImage
) -> None:
    before, after = old.configs_by_name(kind), new.configs_by_name(kind)
    if before is after:
        return
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            _replace_configs(connection, kind, name, after.get(name, {}))


def _save_features(connection: sqlite3.Connection, before: Features, after: Features) -> None:
    if before == after:
        return
    connection.executemany(
        "INSERT OR REPLACE INTO features VALUES (?, ?)",
        [(name, level) for name, level in after.levels.items() if level != before.levels[name]],
    )
    connection.execute(
        "INSERT OR REPLACE INTO cluster VALUES ('features_epoch', ?)", (str(after.epoch),)
    )


def _replace_configs(
    connection: sqlite3.Connection, kind: ResourceType, name: str, configs: Mapping[str, str]
) -> None:
    connection.execute(
        "DELETE FROM configs WHERE resource_type = ? AND resource_name = ?", (int(kind), name)
    )
    connection.executemany(
        "INSERT INTO configs VALUES (?, ?, ?, ?)",
        [(int(kind), name, setting, value) for setting, value in configs.items()],
    )
