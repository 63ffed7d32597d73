"""The composition root: at the start, when metadata change, as time passes, and at the end."""

from __future__ import annotations

import errno
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from pykbroker.broker import MAX_FLUSH_INTERVAL_MS, MIN_INTERVAL_MS, OFFSETS_TOPIC, Broker
from pykbroker.clock import SystemClock
from pykbroker.metadata.config_changes import AlterOperation, ConfigChange, ConfigOperation
from pykbroker.metadata.image import ResourceType
from pykbroker.metadata.store import MetadataStore, MetadataStoreError
from pykbroker.metadata.topics import NewPartitions, TopicToDelete
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.data_directory import DataDirectoryInUseError
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.clock import ManualClock
from tests.harness.connections import FakeConnection
from tests.harness.logs import FaultyFiles, append, copy_of
from tests.harness.loop import run, turns, until
from tests.harness.servers import a_config

TEN_DAYS_MS = 10 * 24 * 3600 * 1000


async def alter(broker: BrokerHarness, resource: ResourceType, name: str, **settings: str) -> None:
    operations = tuple(
        ConfigOperation(key.replace("_", "."), AlterOperation.SET, value)
        for key, value in settings.items()
    )
    (error,) = await broker.broker.metadata.incremental_alter_configs(
        [ConfigChange(resource, name, operations)]
    )
    assert error is None


def is_in(text: bytes, file: Path) -> bool:
    return file.exists() and text in file.read_bytes()


def test_a_new_topic_has_its_logs_before_anybody_sees_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            seen: list[bool] = []
            broker.broker.metadata.subscribe(
                lambda old, new: seen.append(broker.logs.get("t", 1) is not None)
            )
            await broker.create_topic("t", partitions=2, segment_bytes="2000000")
            assert seen == [True]
            assert broker.log("t", 1).config.segment_bytes == 2_000_000

    run(main())


def test_new_partitions_get_logs(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.broker.metadata.create_partitions([NewPartitions("t", 3)])
            assert broker.log("t", 2).log_end_offset == 0

    run(main())


def test_settings_of_topics_and_their_defaults_take_effect_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.create_topic("u")
            await alter(broker, ResourceType.TOPIC, "t", retention_ms="1000")
            await alter(broker, ResourceType.BROKER, "", log_retention_ms="2000")
            assert broker.log("t").config.retention_ms == 1000
            assert broker.log("u").config.retention_ms == 2000

    run(main())


def test_a_deleted_topic_loses_its_logs(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            log = broker.log("t")
            await broker.delete_topic("t")
            assert log.is_closed
            assert broker.logs.get("t", 0) is None
            await broker.create_topic("t")
            assert broker.log("t") is not log

    run(main())


def test_logs_follow_the_leader_epoch_and_never_go_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.broker.metadata.bump_leader_epochs({("t", 0): 0})
            assert broker.log("t").leader_epoch == 1

    run(main())


def test_a_log_that_is_deleted_before_its_flush_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            log = broker.log("t")
            append(log)
            log.abandon()
            await broker.broker._flush(log)
            assert "flush failed" not in caplog.text

    run(main())


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_start_after_a_crash_begins_new_leader_epochs(tmp_path: Path, is_clean: bool) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            append(broker.log("t"))
        if not is_clean:
            (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
        async with a_broker(tmp_path) as broker:
            epoch = 0 if is_clean else 1
            assert [part.leader_epoch for part in broker.image.topics["t"].partitions] == [
                epoch
            ] * 2
            log = broker.log("t")
            assert log.leader_epoch == epoch
            append(log)
            assert log.end_offset_for_epoch(0) == (0, 2 if is_clean else 1)

    run(main())


def test_a_start_after_a_crash_works_with_metadata_that_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
        (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
        monkeypatch.setattr(MetadataStore, "save", refuse)
        async with a_broker(tmp_path) as broker:
            append(broker.log("t"))

    run(main())


def test_housekeeping_runs_in_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, log_retention_check_interval_ms="60000") as broker:
            await broker.create_topic("t", retention_ms="1000")
            data = tmp_path / "data"
            for wait_ms in (30_000, 60_000):  # log.initial.task.delay.ms, then each its own
                log = broker.log("t")
                produced = log.append(a_batch(records=2), broker.clock.now_ms())
                broker.clock.advance(wait_ms - 1)
                await turns()
                assert not (data / "log-start-offset-checkpoint").exists()
                assert log.log_start_offset == produced.base_offset
                broker.clock.advance(1)
                for name in ("recovery-point-offset", "log-start-offset"):
                    await until((data / f"{name}-checkpoint").exists)
                    # The next round is armed once this one is over.
                    await until(lambda: not broker.broker._tasks)
                    (data / f"{name}-checkpoint").unlink()
                    broker.logs.directories[0]._known.clear()
                assert log.log_start_offset == produced.last_offset + 1

    run(main())


def test_housekeeping_of_many_logs_lets_others_have_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", 20, retention_ms="1000")
            logs = [broker.log("t", partition) for partition in range(20)]
            for log in logs:
                log.append(a_batch(records=2), broker.clock.now_ms())
            broker.clock.advance(30_000)
            while not any(log.log_start_offset for log in logs):
                await turns(1)
            assert not all(log.log_start_offset for log in logs)
            await until(lambda: all(log.log_start_offset for log in logs))

    run(main())


def test_the_recovery_point_follows_a_roll_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t", segment_ms="10")
            for at_ms in (0, 100):
                record = a_record(timestamp=broker.clock.now_ms() + at_ms)
                batch = a_batch(records=[record, record])
                broker.log("t").append(batch, broker.clock.now_ms())
            broker.clock.advance(MAX_FLUSH_INTERVAL_MS)
            checkpoint = tmp_path / "data" / "recovery-point-offset-checkpoint"
            await until(partial(is_in, b"t 0 4", checkpoint))

    run(main())


def test_a_compacted_log_is_cleaned_in_the_background(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, log_cleaner_backoff_ms="0") as broker:
            await broker.create_topic("plain")
            broker.log("plain").roll(NOW_MS)
            broker.clock.advance(MIN_INTERVAL_MS)
            await until(lambda: not broker.broker._tasks)
            assert broker.broker._cleaner is None, "nothing to do, so it costs nothing"
            await broker.create_topic("table", cleanup_policy="compact")
            log = broker.log("table")
            for _ in range(3):
                append(log)
            log.roll(NOW_MS)
            broker.clock.advance(MIN_INTERVAL_MS)
            await until(lambda: [b.base_offset for b in log.read_batches(0, 3)] == [2])

    run(main())


def test_an_interval_of_zero_leaves_time_for_requests(tmp_path: Path) -> None:
    async def main() -> None:
        settings = {"log_cleaner_backoff_ms": "0", "log_initial_task_delay_ms": "0"}
        async with a_broker(
            tmp_path, log_flush_offset_checkpoint_interval_ms="0", **settings
        ) as broker:
            broker.clock.advance(0)
            await until(lambda: not broker.broker._tasks)
            broker.clock.advance(MIN_INTERVAL_MS - 1)
            assert not broker.broker._tasks, "nothing runs again at once"
            broker.clock.advance(1)
            assert broker.broker._tasks

    run(main())


def test_compaction_can_be_turned_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, log_cleaner_enable="false") as broker:
            await broker.create_topic("table", cleanup_policy="compact")
            append(broker.log("table"))
            broker.log("table").roll(NOW_MS)
            broker.clock.advance(TEN_DAYS_MS)
            await until(lambda: not broker.broker._tasks)
            assert broker.broker._cleaner is None

    run(main())


def test_a_log_that_could_not_be_made_is_made_when_it_can_be(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            no_room = FaultyFiles()
            broker.logs._files = broker.logs._remover._files = no_room
            no_room.failures["make_directory"] = errno.ENOSPC
            await broker.create_topic("t", partitions=2)
            await broker.create_topic("gone")
            assert broker.logs.get("t", 0) is None
            calls = no_room.calls["make_directory"]
            broker.clock.advance(MAX_FLUSH_INTERVAL_MS)
            await until(lambda: no_room.calls["make_directory"] == calls + 3)
            await turns()
            no_room.failures.clear()
            await broker.broker.metadata.delete_topics([TopicToDelete(name="gone")])
            broker.clock.advance(MAX_FLUSH_INTERVAL_MS)
            await until(lambda: broker.logs.get("t", 1) is not None)
            assert broker.logs.get("gone", 0) is None

    run(main())


def test_the_coordinator_takes_the_logs_that_were_missing(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, offsets_topic_num_partitions="1") as broker:
            no_room = FaultyFiles()
            broker.logs._files = broker.logs._remover._files = no_room
            no_room.failures["make_directory"] = errno.ENOSPC
            groups = broker.broker.groups
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            with pytest.raises(KafkaError, match="NOT_COORDINATOR"):
                await groups.describe_group("g")
            no_room.failures.clear()
            broker.clock.advance(MAX_FLUSH_INTERVAL_MS)
            await until(lambda: broker.logs.get(OFFSETS_TOPIC, 0) is not None)
            await turns()
            assert (await groups.describe_group("g")).group_id == "g"

    run(main())


def test_a_directory_that_is_offline_keeps_its_partitions(tmp_path: Path) -> None:
    settings = {"log_dirs": f"{tmp_path / 'data'},{tmp_path / 'more'}"}

    async def main() -> None:
        async with a_broker(tmp_path, **settings) as broker:
            await broker.create_topic("t", partitions=2)
            log = broker.log("t", 1)
            assert log.path.parent == tmp_path / "more"
            topic_id = await broker.create_topic("gone", partitions=2)
        (tmp_path / "more").rename(tmp_path / "away")
        (tmp_path / "more").write_bytes(b"")
        async with a_broker(tmp_path, **settings) as broker:
            assert broker.log("t", 0).log_end_offset == 0
            assert broker.logs.get("t", 1) is None
            assert ("t", 1) in broker.logs.refused
            # Its remains may turn up with the directory, so it is not forgotten.
            await broker.delete_topic("gone")
            assert broker.image.deleted_topics == {topic_id: "gone"}
            await broker.create_topic("gone", partitions=3)
            assert broker.log("gone", 2).path.parent == tmp_path / "data"
        (tmp_path / "more").unlink()
        (tmp_path / "away").rename(tmp_path / "more")
        async with a_broker(tmp_path, **settings) as broker:
            assert broker.log("t", 1).path.parent == tmp_path / "more"
            assert broker.log("gone", 1).path.parent == tmp_path / "data"
            assert broker.image.deleted_topics == {}
        assert not list((tmp_path / "more").glob("gone-?"))

    run(main())


def test_a_deleted_topic_is_remembered_until_its_directories_are_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            append(broker.log("t"))
            kept = copy_of(tmp_path / "data" / "t-0", tmp_path / "kept")
            await broker.delete_topic("t")
            assert broker.image.deleted_topics == {topic_id: "t"}
            crashed = copy_of(tmp_path / "data", tmp_path / "crashed" / "data")
            broker.clock.advance(60_000)
            await until(lambda: not broker.image.deleted_topics)
            await until(lambda: not broker.broker._tasks)
        # A crash has undone the rename: the topic does not come back.
        copy_of(kept, crashed / "t-0")
        async with a_broker(crashed.parent) as broker:
            assert broker.image.topics == {}
            assert broker.image.deleted_topics == {}
        assert not (crashed / "t-0").exists()
        # Brought back by an operator, it does.
        copy_of(kept, tmp_path / "data" / "t-0")
        async with a_broker(tmp_path) as broker:
            assert broker.image.topics["t"].topic_id == topic_id
            assert broker.log("t").log_end_offset == 1

    run(main())


def test_no_log_is_made_while_what_a_deleted_topic_left_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            is_held = []

            def look(deleted: object) -> set[bytes]:
                is_held.append(broker.broker._make_logs_lock.locked())
                return set()

            monkeypatch.setattr(broker.logs, "discard_remains", look)
            await broker.broker.metadata.delete_topics([TopicToDelete("t")])
        assert is_held == [True]

    run(main())


def test_a_deleted_topic_that_cannot_be_forgotten_is_forgotten_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.delete_topic("t")
            monkeypatch.setattr(broker.broker.metadata, "forget_deleted_topics", refuse)
        assert "deleted topics not forgotten" in caplog.text
        async with a_broker(tmp_path) as broker:
            assert broker.image.deleted_topics == {}

    run(main())


def test_a_second_broker_cannot_use_the_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path):
            other = Broker(a_config(tmp_path / "data"), ManualClock())
            with pytest.raises(DataDirectoryInUseError):
                await other.start()
            await other.stop()

    run(main())


def test_the_cluster_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        asked = {"pykbroker_cluster_id": "ciWo7IWazngRchmPES6q5A"}
        for given in (asked, {}, asked):
            async with a_broker(tmp_path, **given) as broker:
                assert broker.image.cluster_id == "ciWo7IWazngRchmPES6q5A"
        config = a_config(tmp_path / "data", **{"pykbroker.cluster.id": "another"})
        foreign = Broker(config, ManualClock())
        with pytest.raises(MetadataStoreError, match=r"cluster ciWo7.*cluster\.id is another$"):
            await foreign.start()
        await foreign.stop()

    run(story())


def test_everything_is_found_again_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t", partitions=3)
            cluster_id = broker.image.cluster_id
            await broker.broker.metadata.ensure_internal_topic("__consumer_offsets")
        async with a_broker(tmp_path) as broker:
            assert broker.image.cluster_id == cluster_id
            assert broker.image.topics["t"].topic_id == topic_id
            assert broker.log("t", 2).topic_id == topic_id
            # Groups are known to exist, so they are loaded without being asked for.
            assert broker.broker._groups is not None

    run(main())


@pytest.mark.parametrize(
    ("local_host", "told"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
    ],
)
def test_a_client_is_told_the_address_it_connected_to(
    tmp_path: Path, local_host: str, told: str
) -> None:
    broker = Broker(a_config(tmp_path), SystemClock())
    broker.metadata.open(tmp_path)
    connection = FakeConnection()
    connection.local_host = local_host
    assert broker.advertised_endpoint(connection) == (told, 9092)
    run(broker.stop())


def test_an_advertised_listener_is_told_instead(tmp_path: Path) -> None:
    config = a_config(tmp_path, advertised_listeners="PLAINTEXT://broker.example:0")
    broker = Broker(config, SystemClock())
    broker.metadata.open(tmp_path)
    broker.listening({"PLAINTEXT": 4711})
    assert broker.advertised_endpoint(FakeConnection()) == ("broker.example", 4711)
    run(broker.stop())


def test_a_wall_clock_that_jumps_ahead_deletes_nothing_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            append(broker.log("t"))
            broker.clock._now_ms += TEN_DAYS_MS
            broker.clock.advance(30_000)
            await turns()
            assert broker.log("t").log_start_offset == 0
            for _ in range(12):
                broker.clock.advance(300_000)
                await turns()
            assert broker.log("t").log_start_offset == 1

    run(main())
