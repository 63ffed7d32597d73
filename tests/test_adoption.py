"""Directories that somebody has put into the data directory: adopted, set aside, never removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pykbroker.adoption import OFFSETS_TOPIC, TRANSACTIONS_TOPIC, judge
from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.metadata.image import NO_LEADER_EPOCH, MetadataImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.records import Record
from pykbroker.protocol.uuids import uuid_to_text
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.partition_directories import NO_TOPIC_ID, Fate, FoundPartition
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_batch_of_payload
from tests.harness.broker import a_broker
from tests.harness.logs import FaultyFiles, append, copy_of, values
from tests.harness.loop import run
from tests.harness.metadata import a_topic, an_id, an_image

KNOWN = a_topic("t", topic_id=an_id(5), partitions=2)


def found(path: Path, *partitions: tuple[str, bytes]) -> list[FoundPartition]:
    """Directories with a log and the given ids."""
    directory = DataDirectory(path, FaultyFiles())
    made = []
    for name, topic_id in partitions:
        topic, _, number = name.rpartition("-")
        (path / name).mkdir()
        (path / name / "00000000000000000000.log").touch()
        made.append(FoundPartition(directory, path / name, topic, int(number), topic_id))
    return made


def fates(image: MetadataImage, partitions: list[FoundPartition]) -> dict[str, str]:
    return {path.name: entry.fate.name for path, entry in judge(partitions, image).items()}


def test_what_belongs_to_a_topic_is_kept(tmp_path: Path) -> None:
    partitions = found(
        tmp_path, ("t-0", an_id(5)), ("t-1", NO_TOPIC_ID), ("t-7", an_id(5)), ("new-3", an_id(6))
    )

    assert judge(partitions, an_image(KNOWN)) == {}


@pytest.mark.parametrize(
    ("name", "topic_id", "reason"),
    [
        ("t-0", an_id(6), "delete the topic, stop, rename it back"),
        ("t-2", NO_TOPIC_ID, "add partitions, stop, rename it back"),
        ("copy-0", an_id(5), "remove partition.metadata in it"),
        ("gone-0", NO_TOPIC_ID, "topic gone was deleted"),
    ],
)
def test_what_contradicts_the_metadata_is_set_aside(
    tmp_path: Path, name: str, topic_id: bytes, reason: str
) -> None:
    image = an_image(KNOWN, a_topic("gone", topic_id=an_id(9))).without_topics(["gone"])

    (judgement,) = judge(found(tmp_path, (name, topic_id)), image).values()

    assert judgement.fate is Fate.STRAY
    assert reason in judgement.reason


def test_of_several_ids_that_of_most_partitions_counts(tmp_path: Path) -> None:
    partitions = found(
        tmp_path,
        ("new-0", an_id(6)),
        ("new-1", an_id(7)),
        ("new-2", an_id(7)),
        ("new-3", NO_TOPIC_ID),
        ("other-1", an_id(9)),
        ("other-0", an_id(8)),
        ("same-0", an_id(7)),
    )

    assert fates(an_image(), partitions) == {
        "new-0": "STRAY",
        "other-1": "STRAY",
        "same-0": "STRAY",
    }


def test_what_is_no_partition_is_left_alone(tmp_path: Path) -> None:
    partitions = found(
        tmp_path, ("backup-20241231", an_id(6)), ("t-20241231", an_id(5)), ("photos-1", NO_TOPIC_ID)
    )
    partitions += found(tmp_path, ("t-3", NO_TOPIC_ID))
    for name in ("photos-1", "t-3"):
        (tmp_path / name / "00000000000000000000.log").unlink()

    assert set(fates(an_image(KNOWN), partitions).values()) == {"IGNORED"}
    assert len(fates(an_image(KNOWN), partitions)) == 4


def test_what_a_deleted_topic_left_behind_is_removed(tmp_path: Path) -> None:
    image = an_image(KNOWN).without_topics(["t"])

    assert fates(image, found(tmp_path, ("t-0", an_id(5)), ("t-1", an_id(6)))) == {"t-0": "REMAINS"}
    assert fates(image, found(tmp_path, ("u-0", NO_TOPIC_ID))) == {}


def test_a_topic_is_adopted_with_all_that_is_in_its_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path / "elsewhere", num_partitions="3") as broker:
            topic_id = await broker.create_topic("t", partitions=3, cleanup_policy="compact")
            await broker.broker.metadata.bump_leader_epochs({("t", p): 0 for p in range(3)})
            log = broker.log("t", 1)
            append(log, records=2)
            append(log, producer_id=41, producer_epoch=0, base_sequence=0)
        async with a_broker(tmp_path) as broker:
            pass
        copy_of(tmp_path / "elsewhere" / "data" / "t-1", tmp_path / "data" / "t-1")
        async with a_broker(tmp_path, log_retention_ms="1") as broker:
            topic = broker.image.topics["t"]
            assert topic.topic_id == topic_id
            assert [p.leader_epoch for p in topic.partitions] == [0, 1]
            assert topic.configs == {"retention.ms": "-1"}
            log = broker.log("t", 1)
            assert len(values(log)) == 3
            assert log.config.retention_ms == -1
            assert log.producers.producers[41].last_sequence == 0
            assert broker.log("t", 0).log_end_offset == 0
            assert await broker.broker.producer_ids.take() > 41
        assert f"topic adopted topic=t id={uuid_to_text(topic_id)} partitions=2" in caplog.text
        caplog.clear()
        async with a_broker(tmp_path) as broker:
            assert broker.image.topics["t"] == topic
        assert "adopted" not in caplog.text

    run(main())


def test_gaps_in_the_last_segment_of_a_follower_are_no_damage_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path / "elsewhere") as broker:
            await broker.create_topic("t")
            for _ in range(3):
                append(broker.log("t"))
            file = broker.log("t").segments[0].path
            batch_bytes = broker.log("t").size_bytes // 3
        data = file.read_bytes()
        file.write_bytes(data[:batch_bytes] + data[2 * batch_bytes :])
        copy_of(file.parent, tmp_path / "data" / "t-0")
        for _ in range(2):
            async with a_broker(tmp_path) as broker:
                assert set(values(broker.log("t"))) == {0, 2}
            (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
            (tmp_path / "data" / "recovery-point-offset-checkpoint").unlink()

    run(main())


def test_groups_are_adopted_with_their_topic(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, offsets_topic_num_partitions="5") as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
        for file in (tmp_path / "data").glob("pykbroker-metadata.db*"):
            file.unlink()
        shutil.rmtree(tmp_path / "data" / f"{OFFSETS_TOPIC}-4")
        async with a_broker(tmp_path, offsets_topic_num_partitions="4") as broker:
            topic = broker.image.topics[OFFSETS_TOPIC]
            assert len(topic.partitions) == 4
            assert topic.configs["cleanup.policy"] == "compact"
            assert broker.log(OFFSETS_TOPIC).config.cleanup_policy == {"compact"}
            assert broker.broker._groups is not None

    run(main())


def test_a_topic_grows_by_partitions_that_were_brought_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=1, segment_bytes="2000000")
        copy_of(tmp_path / "data" / "t-0", tmp_path / "data" / "t-2")
        async with a_broker(tmp_path) as broker:
            assert len(broker.image.topics["t"].partitions) == 3
            assert broker.image.topics["t"].configs == {"segment.bytes": "2000000"}
            assert broker.log("t", 2).config.segment_bytes == 2_000_000

    run(main())


def test_a_damaged_log_is_a_partition_that_cannot_be_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
        for file in (tmp_path / "data").glob("pykbroker-metadata.db*"):
            file.unlink()
        (tmp_path / "data" / "t-1" / "no-offset.log").touch()
        async with a_broker(tmp_path) as broker:
            assert len(broker.image.topics["t"].partitions) == 2
            assert broker.logs.get("t", 1) is None
            assert ("t", 1) in broker.logs.refused

    run(main())


def test_a_damaged_log_stays_whole_however_often_the_broker_starts(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path / "elsewhere") as broker:
            await broker.create_topic("t")
            for _ in range(3):
                append(broker.log("t"))
                broker.log("t").roll(NOW_MS)
            first = broker.log("t").segments[0].path
        whole = first.read_bytes()
        path = tmp_path / "data" / "t-0"
        copy_of(first.parent, path)
        (path / first.name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        before = sorted(file.name for file in path.glob("*.log"))
        for _ in range(3):
            async with a_broker(tmp_path) as broker:
                assert ("t", 0) in broker.logs.refused
                assert broker.image.topics["t"].partitions[0].leader_epoch == NO_LEADER_EPOCH
            assert sorted(file.name for file in path.glob("*.log")) == before
        (path / first.name).write_bytes(whole)
        for _ in range(2):
            async with a_broker(tmp_path) as broker:
                assert set(values(broker.log("t"))) == {0, 1, 2}
                assert broker.image.topics["t"].partitions[0].leader_epoch > NO_LEADER_EPOCH

    run(main())


def test_a_log_without_room_to_close_is_adopted_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(log: PartitionLog, now_ms: int) -> None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "No space left on device")

    async def main() -> None:
        async with a_broker(tmp_path / "elsewhere") as broker:
            await broker.create_topic("t")
            append(broker.log("t"))
            path = broker.log("t").path
        copy_of(path, tmp_path / "data" / "t-0")
        for epoch in (NO_LEADER_EPOCH, NO_LEADER_EPOCH, 0):
            with monkeypatch.context() as patched:
                if epoch == NO_LEADER_EPOCH:
                    patched.setattr(PartitionLog, "roll", refuse)
                async with a_broker(tmp_path) as broker:
                    assert len(values(broker.log("t"))) == 1
                    assert broker.image.topics["t"].partitions[0].leader_epoch == epoch

    run(main())


@pytest.mark.parametrize(("had", "configured", "gets"), [(4, 50, 4), (4, 3, 4), (50, 50, 50)])
def test_an_internal_topic_keeps_the_number_of_partitions_that_its_records_need(
    tmp_path: Path, had: int, configured: int, gets: int
) -> None:
    groups = [f"group-{number}" for number in range(20)]

    async def main() -> None:
        async with a_broker(tmp_path, transaction_state_log_num_partitions=str(had)) as broker:
            await broker.broker.metadata.ensure_internal_topic(TRANSACTIONS_TOPIC)
            for number, group in enumerate(groups):
                key = b"\0\0" + len(group).to_bytes(2, "big") + group.encode()
                value = b"\0\0" + (700 + number).to_bytes(8, "big") + bytes(10)
                log = broker.log(TRANSACTIONS_TOPIC, partition_for(group, had))
                log.append_records([Record(0, NOW_MS, key, value)], NOW_MS)
                log.append_records([Record(0, NOW_MS, key, None)], NOW_MS)
                log.append_records([Record(0, NOW_MS, None, b"?")], NOW_MS)
        for file in (tmp_path / "data").glob("pykbroker-metadata.db*"):
            file.unlink()
        settings = {"transaction_state_log_num_partitions": str(configured)}
        async with a_broker(tmp_path, **settings) as broker:
            assert len(broker.image.topics[TRANSACTIONS_TOPIC].partitions) == gets
            assert await broker.broker.producer_ids.take() == 700 + len(groups)

    run(main())


def test_records_that_fit_nowhere_leave_the_number_that_is_configured(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, offsets_topic_num_partitions="2") as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            for partition in range(2):
                record = Record(0, NOW_MS, b"\0\0\0\1g", b"")
                broker.log(OFFSETS_TOPIC, partition).append_records([record], NOW_MS)
        for file in (tmp_path / "data").glob("pykbroker-metadata.db*"):
            file.unlink()
        async with a_broker(tmp_path, offsets_topic_num_partitions="3") as broker:
            assert len(broker.image.topics[OFFSETS_TOPIC].partitions) == 3

    run(main())


def test_records_that_cannot_be_read_do_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, offsets_topic_num_partitions="1") as broker:
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            garbage = a_batch_of_payload(b"garbage", 1)
            broker.log(OFFSETS_TOPIC).append(garbage, NOW_MS)
        for file in (tmp_path / "data").glob("pykbroker-metadata.db*"):
            file.unlink()
        async with a_broker(tmp_path, offsets_topic_num_partitions="2") as broker:
            assert len(broker.image.topics[OFFSETS_TOPIC].partitions) == 2
        assert "log not read in full" in caplog.text

    run(main())
