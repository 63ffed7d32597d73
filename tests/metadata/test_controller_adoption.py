"""Topics that the data directories know and the metadata do not, and the other way round."""

import sqlite3
from pathlib import Path

import pytest

from pykbroker.metadata.store import MetadataStore, MetadataStoreError
from pykbroker.metadata.topics import FoundTopic, NewTopic, TopicToDelete
from tests.harness.loop import run
from tests.harness.metadata import a_controller, an_id


def test_topics_that_are_found_are_adopted_and_kept(tmp_path: Path) -> None:
    controller = a_controller(tmp_path, settings={"offsets.topic.num.partitions": "4"})
    adopted = controller.adopt_topics(
        [
            FoundTopic("t", an_id(70), {0: 3, 1: -1}),
            FoundTopic("__consumer_offsets", None, {1: 0}),
            FoundTopic("__transaction_state", an_id(71), {60: 0}),
        ],
        largest_producer_id=41,
    )

    assert [len(topic.partitions) for topic in adopted] == [2, 4, 61]
    assert controller.topic_config("t").retention_ms == -1
    assert controller.topic_config("__consumer_offsets").cleanup_policy == {"compact"}
    assert controller.topic_config("__transaction_state").cleanup_policy == {"compact"}
    image = controller.image
    assert image.topics["t"].configs == {"retention.ms": "-1"}
    assert image.next_producer_id == 42
    run(controller.close())
    controller = a_controller(tmp_path)
    assert controller.image == image
    assert controller.adopt_topics([FoundTopic("t", an_id(70), {2: 1})], 7) == [
        controller.image.topics["t"]
    ]
    assert len(controller.image.topics["t"].partitions) == 3
    assert controller.image.next_producer_id == 42
    run(controller.close())


def test_an_adopted_topic_loses_nothing_whatever_the_defaults_are(tmp_path: Path) -> None:
    settings = {
        "log.retention.bytes": "5",
        "log.cleanup.policy": "compact",
        "log.retention.ms": "1",
    }
    controller = a_controller(tmp_path, settings=settings)
    controller.adopt_topics([FoundTopic("t", an_id(7), {0: 0})])

    config = controller.topic_config("t")

    assert (config.retention_ms, config.retention_bytes) == (-1, -1)
    assert config.cleanup_policy == {"delete"}
    run(controller.close())


def test_an_adoption_that_cannot_be_saved_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    controller = a_controller(tmp_path)
    monkeypatch.setattr(MetadataStore, "save", save)
    with pytest.raises(MetadataStoreError, match="disk I/O error"):
        controller.adopt_topics([FoundTopic("t", an_id(7), {0: 0})])
    assert controller.image.topics == {}
    run(controller.close())


def test_deleted_topics_are_remembered_and_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        controller = a_controller(tmp_path)
        await controller.create_topics([NewTopic("t")])
        await controller.delete_topics([TopicToDelete("t")])
        assert controller.image.deleted_topics == {an_id(2): "t"}
        await controller.forget_deleted_topics([an_id(2)])
        assert controller.image.deleted_topics == {}
        await controller.close()

    run(main())
