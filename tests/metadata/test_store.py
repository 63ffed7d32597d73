import errno
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.metadata import store as store_module
from pykbroker.metadata.features import TRANSACTION_VERSION, FeatureUpdate, UpgradeType
from pykbroker.metadata.image import MetadataImage, ResourceType
from pykbroker.metadata.store import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    MetadataStore,
    MetadataStoreError,
)
from tests.harness.metadata import CLUSTER_ID, a_topic, an_id, an_image


def a_store(path: Path) -> MetadataStore:
    store = MetadataStore(path / "metadata.db", fsync=False)
    if store.cluster_id() is None:
        store.initialise(CLUSTER_ID)
    return store


def reopened(path: Path, node_id: int = 1) -> MetadataImage:
    store = a_store(path)
    try:
        return store.load(node_id)
    finally:
        store.close()


def save(path: Path, old: MetadataImage, new: MetadataImage) -> None:
    store = a_store(path)
    store.save(old, new)
    store.close()


def test_a_new_file_holds_an_empty_cluster(tmp_path: Path) -> None:
    assert reopened(tmp_path) == an_image()


def test_the_cluster_id_is_given_once(tmp_path: Path) -> None:
    store = MetadataStore(tmp_path / "metadata.db", fsync=False)

    assert store.cluster_id() is None
    with pytest.raises(MetadataStoreError, match="has no cluster id"):
        store.load(1)
    store.initialise("id")
    assert store.cluster_id() == "id"
    store.close()


def test_everything_comes_back(tmp_path: Path) -> None:
    image = (
        an_image(
            a_topic("a", partitions=3, leader_epoch=5, configs={"retention.ms": "1"}),
            a_topic("b"),
        )
        .with_configs(ResourceType.BROKER, "", {"x": "1", "y": "2"})
        .with_configs(ResourceType.GROUP, "g", {"x": "ü"})
        .with_configs(ResourceType.CLIENT_METRICS, "m", {"x": ""})
        .with_next_producer_id(3000)
    )

    save(tmp_path, an_image(), image)

    assert reopened(tmp_path) == image


def test_the_node_id_and_rack_come_from_the_broker(tmp_path: Path) -> None:
    store = a_store(tmp_path)

    image = store.load(7, "rack-1")
    store.close()

    assert (image.node_id, image.controller_id) == (7, 7)
    assert image.brokers[7].rack == "rack-1"


def test_a_topic_created_anew_has_nothing_of_the_old_one(tmp_path: Path) -> None:
    old = an_image(a_topic("t", topic_id=an_id(1), partitions=3, configs={"a": "1"}))
    new = an_image(a_topic("t", topic_id=an_id(2)))

    save(tmp_path, an_image(), old)
    save(tmp_path, old, new)

    assert reopened(tmp_path) == new


TOPICS = st.builds(
    lambda name, version, partitions, epoch, configs: a_topic(
        name,
        topic_id=f"{name}{version}".encode().rjust(16, b"\0"),
        partitions=partitions,
        leader_epoch=epoch,
        configs=configs,
    ),
    st.sampled_from("abc"),
    st.integers(0, 1),
    st.integers(1, 3),
    st.integers(0, 2),
    st.dictionaries(st.sampled_from("xy"), st.text(max_size=2), max_size=2),
)


@st.composite
def images(draw: st.DrawFn) -> MetadataImage:
    image = an_image(*draw(st.lists(TOPICS, max_size=4)))
    for resource_type in (ResourceType.BROKER, ResourceType.GROUP):
        configs = draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2))
        name = draw(st.sampled_from(["", "1"]))
        image = image.with_configs(resource_type, name, configs)
    return image.with_next_producer_id(draw(st.integers(0, 2)) * 1000)


@given(st.lists(images(), min_size=1, max_size=4))
@settings(max_examples=20)
def test_any_sequence_of_images_is_followed(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[MetadataImage]
) -> None:
    path = tmp_path_factory.mktemp("store")
    store = a_store(path)
    current = store.load(1)
    for image in sequence:
        store.save(current, image)
        current = image
        assert store.load(1) == image
    store.close()


def test_a_change_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    image = an_image(a_topic("t"))
    twin = an_image(a_topic("t"), a_topic("u", topic_id=a_topic("t").topic_id))
    store = a_store(tmp_path)

    with pytest.raises(sqlite3.IntegrityError):
        store.save(an_image(), twin)
    store.save(an_image(), image)
    store.close()

    assert reopened(tmp_path) == image


def test_another_process_sees_a_change_as_soon_as_it_is_saved(tmp_path: Path) -> None:
    """As after a kill: the file is read while the writer has not closed it."""
    image = an_image(a_topic("t"))
    store = a_store(tmp_path)
    store.save(an_image(), image)

    assert reopened(tmp_path) == image
    store.close()


def test_a_missing_partition_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, an_image(), an_image(a_topic("t", partitions=3)))
    with sqlite3.connect(tmp_path / "metadata.db") as connection:
        connection.execute("DELETE FROM partitions WHERE partition = 1")
    connection.close()

    with pytest.raises(MetadataStoreError, match="lacks partition 1 of topic"):
        reopened(tmp_path)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    a_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "metadata.db") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    with pytest.raises(MetadataStoreError, match="written by a newer version of pykbroker"):
        a_store(tmp_path)


def test_a_file_of_an_older_version_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = an_image(a_topic("t"))
    save(tmp_path, an_image(), image)
    step = ("CREATE TABLE extra (name TEXT PRIMARY KEY)",)
    monkeypatch.setattr(store_module, "MIGRATIONS", (*store_module.MIGRATIONS, step))
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)

    assert reopened(tmp_path) == image

    connection = sqlite3.connect(tmp_path / "metadata.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
    assert connection.execute("SELECT * FROM extra").fetchall() == []
    connection.close()


def test_a_migration_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_store(tmp_path).close()
    step = ("CREATE TABLE extra (name TEXT)", "CREATE TABLE extra (name TEXT)")
    monkeypatch.setattr(store_module, "MIGRATIONS", (*store_module.MIGRATIONS, step))
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)

    with pytest.raises(MetadataStoreError, match="table extra already exists"):
        a_store(tmp_path)

    monkeypatch.undo()
    assert reopened(tmp_path) == an_image()


def test_other_files_are_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "metadata.db")
    foreign.execute("PRAGMA user_version = 1")
    foreign.execute("CREATE TABLE t (a)")
    foreign.close()
    with pytest.raises(MetadataStoreError, match="is not a metadata file of pykbroker"):
        a_store(tmp_path)

    (tmp_path / "metadata.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(MetadataStoreError, match=r"cannot use .*: file is not a database"):
        a_store(tmp_path)

    with pytest.raises(MetadataStoreError, match="cannot open"):
        MetadataStore(tmp_path / "missing" / "metadata.db")


def test_the_file_is_written_as_promised(tmp_path: Path) -> None:
    store = MetadataStore(tmp_path / "metadata.db")
    pragma = store._connection.execute

    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
    assert pragma("PRAGMA synchronous").fetchone() == (2,)
    assert pragma("PRAGMA foreign_keys").fetchone() == (1,)
    assert pragma("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    store.close()


def test_deleted_topics_are_known_until_they_are_forgotten(tmp_path: Path) -> None:
    image = an_image(a_topic("t", topic_id=an_id(5)), a_topic("u", topic_id=an_id(6)))
    save(tmp_path, an_image(), image)
    deleted = image.without_topics(["t", "u"])
    save(tmp_path, image, deleted)
    assert reopened(tmp_path).deleted_topics == {an_id(5): "t", an_id(6): "u"}

    save(tmp_path, deleted, deleted.without_deleted_topics([an_id(5)]))

    assert reopened(tmp_path).deleted_topics == {an_id(6): "u"}


def test_the_levels_of_features_come_back(tmp_path: Path) -> None:
    image = an_image()
    for number, level in enumerate((1, 0, 2)):
        update = FeatureUpdate(
            TRANSACTION_VERSION,
            level,
            UpgradeType.UPGRADE if level == 2 else UpgradeType.SAFE_DOWNGRADE,
        )
        changed = image.with_features(image.features.updated([update], image.node_id))
        save(tmp_path, image, changed)
        image = reopened(tmp_path)
        assert image == changed
        assert (image.features.transaction_version, image.features.epoch) == (level, number + 1)
        assert image.features.has_consumer_groups


def test_a_file_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    image = an_image(a_topic("t"))
    save(tmp_path, an_image(), image)
    with sqlite3.connect(tmp_path / "metadata.db") as connection:
        connection.execute("DROP TABLE deleted_topics")
        connection.execute("DROP TABLE features")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    assert reopened(tmp_path) == image

    save(tmp_path, image, image.without_topics(["t"]))
    assert list(reopened(tmp_path).deleted_topics.values()) == ["t"]


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (SimpleNamespace(f_bavail=3, f_frsize=4096), "its disk is full, make room and start again"),
        (SimpleNamespace(f_bavail=1 << 20, f_frsize=4096), "unable to open database file"),
        (PermissionError(errno.EACCES, "Permission denied"), r"\(Permission denied\)"),
    ],
)
def test_a_full_disk_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volume: object, words: str
) -> None:
    def statvfs(path: Path) -> object:
        if isinstance(volume, OSError):
            raise volume
        return volume

    monkeypatch.setattr("os.statvfs", statvfs)

    with pytest.raises(MetadataStoreError, match=words):
        MetadataStore(tmp_path / "missing" / "metadata.db")
