import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.metadata.config_changes import ConfigChange, ConfigOperation, ConfigReplacement
from pykbroker.metadata.controller import MetadataController, random_uuid
from pykbroker.metadata.image import MetadataImage, ResourceType, TopicImage
from pykbroker.metadata.store import FILE_NAME, MetadataStoreError
from pykbroker.metadata.topics import NewPartitions, NewTopic, TopicToDelete
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.uuids import uuid_from_text, uuid_to_text
from tests.harness.loop import run
from tests.harness.metadata import CLUSTER_ID, a_controller, an_id

BROKER, TOPIC = ResourceType.BROKER, ResourceType.TOPIC


def codes(results: Sequence[object]) -> list[ErrorCode | None]:
    return [result.code if isinstance(result, KafkaError) else None for result in results]


def put(resource_type: int, name: str, setting: str, value: str) -> ConfigChange:
    return ConfigChange(resource_type, name, (ConfigOperation(setting, 0, value),))


def topic_of(result: object) -> TopicImage:
    assert isinstance(result, TopicImage)
    return result


def test_topics_are_created_shown_and_kept(tmp_path: Path) -> None:
    async def main() -> MetadataImage:
        controller = a_controller(tmp_path)
        results = await controller.create_topics(
            [NewTopic("a", 2, 1, configs=(("retention.ms", "5"),)), NewTopic("b")]
        )
        image = controller.image
        assert [topic_of(result) for result in results] == [image.topics["a"], image.topics["b"]]
        assert image.topics["a"].topic_id == an_id(2)
        assert len(image.topics["a"].partitions) == 2
        await controller.close()
        return image

    image = run(main())

    async def again() -> None:
        controller = a_controller(tmp_path)
        assert controller.image == image
        assert controller.topic_config("a").retention_ms == 5
        await controller.close()

    run(again())


def test_each_new_topic_fails_on_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        results = await controller.create_topics(
            [
                NewTopic("good"),
                NewTopic("a b"),
                NewTopic("twice"),
                NewTopic("three", 1, 3),
                NewTopic("twice"),
                NewTopic("null", configs=(("retention.ms", None), ("segment.ms", None))),
                NewTopic("wrong", configs=(("nope", "1"),)),
            ]
        )
        assert codes(results) == [
            None,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REPLICATION_FACTOR,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_CONFIG,
            ErrorCode.INVALID_CONFIG,
        ]
        assert isinstance(results[5], KafkaError)
        assert results[5].message == (
            "Null value not supported for topic configs: retention.ms,segment.ms"
        )
        assert list(controller.image.topics) == ["good"]
        await controller.close()

    run(main())


def test_too_many_partitions_refuse_the_whole_request(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        both = await controller.create_topics([NewTopic("a", 6000), NewTopic("b", 6000)])
        huge = await controller.create_topics([NewTopic("a", 2_000_000_000)])
        await controller.create_topics([NewTopic("c")])
        grown = await controller.create_partitions([NewPartitions("c", 2_000_000_000)])
        many = await controller.create_topics([NewTopic(f"t{n}", 10_000) for n in range(1000)])

        policy = ErrorCode.POLICY_VIOLATION
        assert codes([*both, *huge, *grown, *many]) == [policy] * 1004
        assert list(controller.image.topics) == ["c"]
        await controller.close()

    run(main())


def test_defaults_and_the_cap_come_from_the_brokers_settings(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(
            tmp_path,
            settings={
                "num.partitions": "3",
                "default.replication.factor": "2",
                "pykbroker.replication.factor.cap": "true",
            },
        )
        (result,) = await controller.create_topics([NewTopic("a")])
        assert [partition.replicas for partition in topic_of(result).partitions] == [(1,)] * 3
        await controller.close()

    run(main())


def test_validate_only_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("a")])
        before = controller.image
        created = await controller.create_topics([NewTopic("b", 2)], validate_only=True)
        grown = await controller.create_partitions([NewPartitions("a", 5)], validate_only=True)
        altered = await controller.incremental_alter_configs(
            [put(TOPIC, "a", "retention.ms", "5")], validate_only=True
        )
        assert len(topic_of(created[0]).partitions) == 2
        assert len(topic_of(grown[0]).partitions) == 5
        assert altered == [None]
        assert controller.image is before
        await controller.close()

    run(main())


def test_topics_grow(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("a"), NewTopic("b")])
        results = await controller.create_partitions(
            [
                NewPartitions("a", 3),
                NewPartitions("b", 1),
                NewPartitions("x", 2),
                NewPartitions("y", 2),
                NewPartitions("y", 3),
            ]
        )
        assert codes(results) == [
            None,
            ErrorCode.INVALID_PARTITIONS,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
        ]
        assert len(controller.image.topics["a"].partitions) == 3
        await controller.close()

    run(main())


def test_topics_are_deleted_with_their_settings(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("a", configs=(("retention.ms", "5"),))])
        assert controller.topic_config("a").retention_ms == 5
        results = await controller.delete_topics([TopicToDelete("a"), TopicToDelete("x")])
        assert codes(results) == [None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert controller.image.topics == {}
        assert controller.topic_config("a").retention_ms == 604_800_000
        (created,) = await controller.create_topics([NewTopic("a")])
        assert topic_of(created).configs == {}
        assert topic_of(created).topic_id == an_id(3)
        await controller.close()

    run(main())


def test_settings_take_effect_at_once_and_stay(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("a"), NewTopic("b")])
        assert controller.topic_config("a").max_message_bytes == 1_048_588

        await controller.incremental_alter_configs([put(BROKER, "", "message.max.bytes", "5")])
        assert controller.broker_config().message_max_bytes == 5
        assert controller.topic_config("a").max_message_bytes == 5

        await controller.incremental_alter_configs([put(BROKER, "1", "message.max.bytes", "6")])
        await controller.alter_configs(
            [ConfigReplacement(TOPIC, "a", (("max.message.bytes", "7"),))]
        )
        assert controller.broker_config().message_max_bytes == 6
        assert controller.topic_config("a").max_message_bytes == 7
        assert controller.topic_config("b").max_message_bytes == 6
        await controller.close()

        controller = a_controller(tmp_path)
        assert controller.broker_config().message_max_bytes == 6
        assert controller.topic_config("a").max_message_bytes == 7
        assert controller.topic_config("b").max_message_bytes == 6
        await controller.close()

    run(main())


def test_settings_are_described(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        (topic,) = await controller.create_topics([NewTopic("a", configs=(("flush.ms", "5"),))])
        described = controller.describe_configs(TOPIC, "a")
        assert [config.value for config in described if config.name == "flush.ms"] == ["5"]
        assert controller.describe_topic_configs(topic_of(topic)) == described
        await controller.close()

    run(main())


def test_topics_without_settings_of_their_own_share_one_config(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("a"), NewTopic("b")])
        assert controller.topic_config("a") is controller.topic_config("b")
        assert controller.broker_config().topic_defaults is controller.topic_config("x")
        await controller.close()

    run(main())


def test_the_settings_of_a_topic_in_an_image_to_come(tmp_path: Path) -> None:
    seen: list[int] = []

    async def main() -> None:
        def prepare(old: MetadataImage, new: MetadataImage) -> None:
            if "a" in new.topics:
                seen.append(controller.topic_config_in(new, "a").retention_ms)
            seen.append(controller.topic_config_in(old, "a").retention_ms)

        controller = a_controller(tmp_path, prepare=prepare)
        await controller.create_topics([NewTopic("a", configs=(("retention.ms", "5"),))])
        await controller.incremental_alter_configs([put(BROKER, "", "log.retention.ms", "7")])
        await controller.delete_topics([TopicToDelete("a")])
        assert controller.topic_config_in(controller.image, "a").retention_ms == 7
        await controller.close()

    run(main())

    assert seen == [5, 604_800_000, 5, 5, 5]


def test_a_change_is_durable_then_prepared_then_shown(tmp_path: Path) -> None:
    events: list[str] = []
    loop_thread = threading.get_ident()

    async def main() -> None:
        def prepare(old: MetadataImage, new: MetadataImage) -> None:
            assert threading.get_ident() != loop_thread
            assert "a" not in controller.image.topics
            with sqlite3.connect(tmp_path / FILE_NAME) as connection:
                assert connection.execute("SELECT name FROM topics").fetchall() == [("a",)]
            connection.close()
            events.append(f"prepare {sorted(old.topics)} {sorted(new.topics)}")

        def listener(old: MetadataImage, new: MetadataImage) -> None:
            assert controller.image is new
            events.append(f"publish {sorted(old.topics)} {sorted(new.topics)}")

        controller = a_controller(tmp_path, prepare=prepare)
        controller.subscribe(listener)
        await controller.create_topics([NewTopic("a")])
        await controller.create_topics([NewTopic("a")])
        await controller.close()

    run(main())

    assert events == ["prepare [] ['a']", "publish [] ['a']"]


def test_a_change_that_cannot_be_prepared_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def prepare(old: MetadataImage, new: MetadataImage) -> None:
        raise OSError("no space left")

    async def main() -> None:
        controller = a_controller(tmp_path, prepare=prepare)
        await controller.create_topics([NewTopic("a")])
        assert "a" in controller.image.topics
        await controller.close()

    run(main())

    assert "metadata change not prepared error=no space left" in caplog.text


def test_a_saved_change_is_shown_even_if_its_preparation_has_a_bug(tmp_path: Path) -> None:
    def prepare(old: MetadataImage, new: MetadataImage) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        controller = a_controller(tmp_path, prepare=prepare)
        with pytest.raises(ZeroDivisionError):
            await controller.create_topics([NewTopic("a")])
        assert "a" in controller.image.topics
        await controller.close()

    run(main())


def test_a_change_that_cannot_be_saved_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        blocker = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        blocker.execute("DROP TABLE partitions")
        blocker.close()
        with pytest.raises(KafkaError) as caught:
            await controller.create_topics([NewTopic("a")])
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert controller.image.topics == {}
        assert await controller.allocate_producer_ids(10) == range(10)
        await controller.close()

    run(main())

    assert "metadata not saved error=" in caplog.text


def test_concurrent_changes_follow_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        results = await asyncio.gather(
            *(controller.create_topics([NewTopic("same")]) for _ in range(3)),
            *(controller.create_topics([NewTopic(f"t{number}")]) for number in range(3)),
        )
        flat = [result for (result,) in results]
        assert sorted(code or 0 for code in codes(flat)) == [0, 0, 0, 0, 36, 36]
        assert sorted(controller.image.topics) == ["same", "t0", "t1", "t2"]
        await controller.close()

    run(main())


def test_a_caller_that_goes_away_does_not_stop_its_change(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def prepare(old: MetadataImage, new: MetadataImage) -> None:
        entered.set()
        leave.wait(10)

    async def main() -> None:
        controller = a_controller(tmp_path, prepare=prepare)
        caller = asyncio.create_task(controller.create_topics([NewTopic("a")]))
        await asyncio.to_thread(entered.wait, 10)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert caller.cancelled()
        leave.set()
        await controller.close()
        assert "a" in controller.image.topics

    run(main())


def test_producer_ids_are_given_once(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        assert await controller.allocate_producer_ids(1000) == range(1000)
        assert await controller.allocate_producer_ids(10) == range(1000, 1010)
        await controller.close()
        controller = a_controller(tmp_path)
        assert await controller.allocate_producer_ids(1) == range(1010, 1011)
        await controller.close()

    run(main())


@pytest.mark.parametrize(
    ("name", "partitions", "configs"),
    [
        (
            "__consumer_offsets",
            5,
            {
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": "2097152",
            },
        ),
        (
            "__transaction_state",
            50,
            {
                "cleanup.policy": "compact",
                "compression.type": "uncompressed",
                "min.insync.replicas": "1",
                "segment.bytes": "104857600",
                "unclean.leader.election.enable": "false",
            },
        ),
    ],
)
def test_internal_topics_are_made_once_as_kafka_makes_them(
    tmp_path: Path, name: str, partitions: int, configs: dict[str, str]
) -> None:
    async def main() -> None:
        controller = a_controller(
            tmp_path,
            settings={
                "offsets.topic.num.partitions": "5",
                "offsets.topic.segment.bytes": "2097152",
            },
        )
        made = await asyncio.gather(*(controller.ensure_internal_topic(name) for _ in range(3)))
        assert made == [controller.image.topics[name]] * 3
        assert len(made[0].partitions) == partitions
        assert made[0].configs == configs
        assert await controller.ensure_internal_topic(name) is made[0]
        await controller.close()

    run(main())


def test_internal_topics_that_cannot_be_made_say_why(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path, settings={"offsets.topic.replication.factor": "3"})
        for name, code in (
            ("__consumer_offsets", ErrorCode.INVALID_REPLICATION_FACTOR),
            ("mine", ErrorCode.INVALID_TOPIC_EXCEPTION),
        ):
            with pytest.raises(KafkaError) as caught:
                await controller.ensure_internal_topic(name)
            assert caught.value.code is code
        await controller.close()

    run(main())


def test_a_new_leader_epoch_begins_where_this_broker_leads(tmp_path: Path) -> None:
    async def main() -> None:
        everywhere = {("a", 0): 0, ("a", 1): 6, ("gone", 0): 3}
        controller = a_controller(tmp_path)
        await controller.bump_leader_epochs(everywhere)
        await controller.create_topics([NewTopic("a", 3)])
        await controller.bump_leader_epochs(everywhere)
        await controller.bump_leader_epochs({("a", 0): 0})
        await controller.close()
        controller = a_controller(tmp_path, settings={"node.id": "2"})
        await controller.bump_leader_epochs(everywhere)
        epochs = [part.leader_epoch for part in controller.image.topics["a"].partitions]
        assert epochs == [2, 7, 0]
        await controller.close()

    run(main())


def test_the_cluster_id_is_kept_and_compared(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        assert controller.image.cluster_id == CLUSTER_ID
        await controller.close()

        controller = a_controller(tmp_path, cluster_id=None)
        assert controller.image.cluster_id == CLUSTER_ID
        await controller.close()

    run(main())
    with pytest.raises(MetadataStoreError, match=f"belongs to cluster {CLUSTER_ID}"):
        a_controller(tmp_path, cluster_id="another")


def test_a_new_cluster_gets_an_id(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path, cluster_id=None)
        assert uuid_from_text(controller.image.cluster_id) == an_id(2)
        await controller.close()

    run(main())


def test_dynamic_settings_that_no_longer_fit_do_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.incremental_alter_configs([put(BROKER, "", "message.max.bytes", "5")])
        await controller.close()
        with sqlite3.connect(tmp_path / FILE_NAME) as connection:
            connection.execute("UPDATE configs SET value = 'x'")
        connection.close()
        controller = a_controller(tmp_path)
        assert controller.broker_config().message_max_bytes == 1_048_588
        await controller.close()

    run(main())

    assert "dynamic settings ignored reason=Invalid value x" in caplog.text


def test_a_controller_that_was_never_opened_can_be_closed() -> None:
    async def main() -> None:
        controller = MetadataController(BrokerConfig.from_settings())
        assert controller.broker_config().node_id == 1
        await controller.close()

    run(main())


def test_random_ids_are_version_4_and_no_options() -> None:
    for _ in range(200):
        uuid = random_uuid()
        assert uuid[6] >> 4 == 4
        assert uuid[8] >> 6 == 2
        assert not uuid_to_text(uuid).startswith("-")
